//! The node as a process, and what processes use.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Ticks of the scheduler a second, as `/proc` counts them (`proc(5)`, `USER_HZ`).
const TICKS: f64 = 100.0;

/// What a process has used and has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) rss_mib: u64,
}

impl Usage {
    /// Of this process.
    pub(crate) fn of_self() -> Result<Usage> {
        Usage::read("self")
    }

    fn read(process: &str) -> Result<Usage> {
        let text = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        let stat = text("stat")?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("a name")?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let cpu = ticks(11).context("user time")? + ticks(12).context("system time")?;
        let status = text("status")?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 =
            rss.and_then(|rss| rss.trim().split(' ').next()?.parse().ok()).context("VmRSS")?;
        Ok(Usage { cpu_s: cpu / TICKS, rss_mib: kib >> 10 })
    }

    /// What was used since then; the memory is that of now.
    pub(crate) fn since(&self, before: &Usage) -> Usage {
        Usage { cpu_s: self.cpu_s - before.cpu_s, rss_mib: self.rss_mib }
    }
}

/// A node that runs. It ends with this value.
pub(crate) struct NodeProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl NodeProcess {
    /// Starts a node on a folder, and waits until it listens.
    pub(crate) fn start(data: &Path, accounts: u32, active: u32) -> Result<NodeProcess> {
        let program = std::env::current_exe().context("the path of this program")?;
        let mut command = Command::new(program);
        command.args([
            "node",
            "--accounts",
            &accounts.to_string(),
            "--active",
            &active.to_string(),
        ]);
        command.arg("--data").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting a node")?;
        let mut line = String::new();
        let output = child.stdout.take().context("its output is a pipe")?;
        BufReader::new(output).read_line(&mut line).context("waiting for the node")?;
        ensure!(!line.is_empty(), "the node did not start: see above");
        let address = line.trim().parse().with_context(|| format!("{line:?} is no address"))?;
        Ok(NodeProcess { child, address })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::read(&self.child.id().to_string())
    }

    /// Ends it at once, as a loss of power of the process would.
    pub(crate) fn kill(&self) -> Result<()> {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-9", &id]).status().context("starting kill")?;
        ensure!(status.success(), "the node could not be killed");
        Ok(())
    }

    /// Ends it in order, if it still runs.
    pub(crate) fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().context("waiting for the node's end")?;
        Ok(())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // After `stop` there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
