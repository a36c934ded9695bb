//! How long one waits: a clean build in the development profile, and for each crate an edit of its library until its
//! unit tests have run.
//!
//! It works on a clone of HEAD below `target/`, so that no file of the checkout is touched, and on a target folder of
//! its own. Wall time says something on a quiet machine only; the CPU time beside it is that of cargo and all that it
//! started, and says on how many cores a wait could be shared.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What to measure, and where to say it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Packages to edit and test; all of the workspace with a library if none is named.
    #[arg(long)]
    package: Vec<String>,
    /// Removes what an earlier run built and measures a clean build, which takes minutes.
    #[arg(long)]
    clean: bool,
    /// Writes the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    commit: String,
    cores: usize,
    clean_build: Option<Cost>,
    crates: Vec<Cycle>,
}

/// An edit of a crate and its tests.
#[derive(Debug, Serialize)]
struct Cycle {
    package: String,
    lines: usize,
    /// Until the tests of the library have run.
    edit_and_test: Cost,
    /// Of that, the tests.
    tests: Cost,
}

/// Seconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

/// Measures and prints a table.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let place = Place::of(root)?;
    if options.clean && place.target.exists() {
        std::fs::remove_dir_all(&place.target).context("removing what was built")?;
    }
    println!("commit {}", place.commit);
    let clean_build = options.clean.then(|| place.cargo(&["build", "--workspace"])).transpose()?;
    if let Some(Cost { wall_s, cpu_s }) = clean_build {
        println!("clean build of everything: {wall_s:.1} s, {cpu_s:.1} s of CPU");
    }
    println!(
        "{:<30}{:>7}{:>11}{:>10}{:>11}{:>10}",
        "crate", "lines", "cycle s", "CPU s", "tests s", "CPU s"
    );
    let mut crates = Vec::new();
    for package in place.packages(&options.package)? {
        let cycle = place.cycle(&package)?;
        let Cycle { package, lines, edit_and_test: all, tests } = &cycle;
        println!(
            "{package:<30}{lines:>7}{:>11.1}{:>10.1}{:>11.1}{:>10.1}",
            all.wall_s, all.cpu_s, tests.wall_s, tests.cpu_s
        );
        crates.push(cycle);
    }
    if let Some(path) = &options.json {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let report = Report { commit: place.commit, cores, clean_build, crates };
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The clone, and where it is built.
struct Place {
    clone: PathBuf,
    target: PathBuf,
    commit: String,
}

impl Place {
    /// A clone of HEAD; an earlier one is brought up to date, so that what it built can be used.
    fn of(root: &Path) -> Result<Place> {
        let folder = root.join("target/cycle");
        let (clone, target) = (folder.join("clone"), folder.join("target"));
        let commit = git(root, &["rev-parse", "HEAD"])?;
        if !clone.exists() {
            std::fs::create_dir_all(&folder).context("making a folder")?;
            let (from, to) = (root.display().to_string(), clone.display().to_string());
            git(root, &["clone", "--quiet", &from, &to])?;
        }
        git(&clone, &["fetch", "--quiet", "origin", "HEAD"])?;
        git(&clone, &["checkout", "--quiet", "--force", "--detach", &commit])?;
        Ok(Place { clone, target, commit })
    }

    /// The packages with a library, all or those of these names.
    fn packages(&self, names: &[String]) -> Result<Vec<Package>> {
        let mut command = self.command(&["metadata", "--no-deps", "--format-version", "1"]);
        let output = command.stderr(Stdio::inherit()).output().context("starting cargo")?;
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        let all = metadata.packages.into_iter().filter(|package| package.library().is_some());
        let all: Vec<Package> = all.collect();
        for name in names {
            let known = all.iter().any(|package| package.name == *name);
            ensure!(known, "there is no package {name} with a library");
        }
        let chosen = |package: &Package| names.is_empty() || names.contains(&package.name);
        Ok(all.into_iter().filter(chosen).collect())
    }

    /// Builds the tests of a library, edits it, and measures until they have run again.
    fn cycle(&self, package: &Package) -> Result<Cycle> {
        let test = ["test", "--package", &package.name, "--lib"];
        let build = [&test[..], &["--no-run"]].concat();
        self.cargo(&build)?;
        let library = package.library().context("it was chosen for its library")?;
        let before = std::fs::read_to_string(library).context("reading a library")?;
        // A function that is new each time, as an edit is.
        let number = std::process::id();
        let edit = format!(
            "\n#[doc(hidden)]\npub fn edited_{number}(n: u64) -> u64 {{ n.rotate_left(3) }}\n"
        );
        std::fs::write(library, before.clone() + &edit).context("editing a library")?;
        let edit_and_test = self.cargo(&test);
        let tests = self.cargo(&test);
        std::fs::write(library, before).context("undoing the edit")?;
        let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
        let (package, lines) = (package.name.clone(), lines_of(&folder.join("src"))?);
        Ok(Cycle { package, lines, edit_and_test: edit_and_test?, tests: tests? })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(&self.clone).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// What a run of cargo costs. Its output is shown when it fails.
    #[expect(clippy::disallowed_methods, reason = "a measurement of time")]
    fn cargo(&self, arguments: &[&str]) -> Result<Cost> {
        let (begun, cpu) = (Instant::now(), cpu_of_children()?);
        let output = self.command(arguments).output().context("starting cargo")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo {}: {said}", arguments.join(" "));
        Ok(Cost { wall_s: begun.elapsed().as_secs_f64(), cpu_s: cpu_of_children()? - cpu })
    }
}

impl Package {
    fn library(&self) -> Option<&Path> {
        let library =
            self.targets.iter().find(|target| target.kind.iter().any(|kind| kind == "lib"));
        library.map(|target| target.src_path.as_path())
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).current_dir(folder).output();
    let output = output.context("starting git")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {said}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Lines of Rust in a folder, tests and comments included.
fn lines_of(folder: &Path) -> Result<usize> {
    let files = crate::repository::text_files(folder)?;
    Ok(files.iter().filter(|file| file.is(".rs")).map(|file| file.text.lines().count()).sum())
}

/// CPU seconds of all processes that this one started and that have ended.
fn cpu_of_children() -> Result<f64> {
    // proc(5): fields 16 and 17 of stat, in ticks of a hundredth of a second; the second field may hold spaces.
    let text =
        std::fs::read_to_string("/proc/self/stat").context("CPU time is read on Linux only")?;
    let behind_name = text.rsplit_once(')').context("/proc/self/stat")?.1;
    let fields: Vec<&str> = behind_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks(13).context("cutime")?, ticks(14).context("cstime")?);
    Ok((user + system) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_grows_with_what_they_do() {
        let before = cpu_of_children().unwrap();
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", busy]).status().unwrap().success());
        let spent = cpu_of_children().unwrap() - before;
        assert!(spent > 0.0 && spent < 60.0, "{spent}");
    }
}
