//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use zklink::id::ShapeId;
use zklink::shape::{DEEP, DEEPEST, MEDIUM, NANO, SMALL, Shape, WIDE, shape};

/// A rollup over several chains, in one program.
///
/// Without a command it starts a development network to play with: three embedded chains, the contracts on them,
/// and a node with a prover. Everything is real except that the chains live in this process and that every
/// private key is public knowledge.
#[derive(Debug, Parser)]
#[command(name = "zklink", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do instead of the development network.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The development network.
    #[command(flatten)]
    pub(crate) local: LocalArgs,
    /// Where proving keys are.
    #[command(flatten)]
    pub(crate) keys: KeysArgs,
}

const EXAMPLES: &str = "\
Examples:
  zklink                                     a development network, until Ctrl-C
  zklink demo                                deposits, transfers, proofs and a payout, with checks
  zklink demo --l1 anvil --report out.json   the same on three anvil processes, with a report
  zklink demo --processes                    the same with a process for the prover, each attester and a replica
  zklink deploy --config deploy.toml         puts the contracts on chains
  zklink node --config node.toml             runs a node on them
  zklink attester --config attester.toml     signs what left a chain, with a key of its own
  zklink prover --config prover.toml         proves for that node, on any machine that reaches it
  zklink replica --config replica.toml       keeps a copy of its journal, on another machine

RUST_LOG=info shows the log of the node on stderr. docs: README.md";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plays a story with users on three chains and checks how it ends.
    Demo(DemoArgs),
    /// Runs a node on the chains of a configuration.
    Node(NodeArgs),
    /// Proves for a node, as a process of its own.
    Prover(ProverArgs),
    /// Attests the messages between chains for a node, as a process of its own.
    Attester(AttesterArgs),
    /// Keeps a copy of a node's journal and archive, as a process of its own.
    Replica(ReplicaArgs),
    /// Puts the contracts on chains and writes the deployment file.
    Deploy(DeployArgs),
    /// Makes the proving keys ahead of time.
    Keys(MakeKeysArgs),
}

/// Where proving keys are.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeysArgs {
    /// Folder of the proving keys; missing ones are made [default: zklink/keys in the user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}

/// The development network.
#[derive(Clone, Debug, Args)]
pub(crate) struct LocalArgs {
    /// Folder for journal and state [default: a temporary one]. The chains live in memory, so that each start is a
    /// new deployment; it gets a folder of its own in there.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where to serve the RPC, over HTTP and WebSocket; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3030")]
    pub(crate) rpc: SocketAddr,
    /// Milliseconds between blocks of the chains.
    #[arg(long, value_name = "MS", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub(crate) block_time: u64,
    /// The largest shape of the rollup's blocks. A larger one takes longer to prove and holds more.
    #[arg(long, value_enum, default_value_t = ShapeName::Small)]
    pub(crate) shape: ShapeName,
}

impl LocalArgs {
    /// Time between blocks of a chain.
    pub(crate) fn block_time(&self) -> Duration {
        Duration::from_millis(self.block_time)
    }
}

/// The demonstration.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Writes what happened, with proofs and public data, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Runs the prover, each attester and a replica as a process of its own, as on machines of their own.
    #[arg(long)]
    pub(crate) processes: bool,
    /// Keeps everything running after the story, until Ctrl-C.
    #[arg(long)]
    pub(crate) hold: bool,
    /// The chains: `embedded`, `anvil` (three processes are started), or three RPC addresses, the hub's first.
    #[arg(long, value_name = "embedded|anvil|URL,URL,URL", default_value = "embedded")]
    pub(crate) l1: L1Kind,
    /// File with the private key that pays for everything, for chains that are given by their addresses.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// The rollup's side.
    #[command(flatten)]
    pub(crate) local: DemoLocalArgs,
    /// Where proving keys are.
    #[command(flatten)]
    pub(crate) keys: KeysArgs,
}

/// What the demonstration lets one choose of the network.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoLocalArgs {
    /// Folder for journal and state [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where to serve the RPC; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) rpc: SocketAddr,
    /// The largest shape of the rollup's blocks.
    #[arg(long, value_enum, default_value_t = ShapeName::Small)]
    pub(crate) shape: ShapeName,
}

/// The chains of the demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum L1Kind {
    /// In this process.
    Embedded,
    /// Processes of anvil.
    Anvil,
    /// Running already.
    Urls([String; 3]),
}

impl std::str::FromStr for L1Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<L1Kind, String> {
        match text {
            "embedded" => Ok(L1Kind::Embedded),
            "anvil" => Ok(L1Kind::Anvil),
            urls => {
                let urls: Vec<String> = urls.split(',').map(|url| url.trim().to_owned()).collect();
                let http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
                let three: Option<[String; 3]> = urls.try_into().ok();
                three.filter(|urls| urls.iter().all(http)).map(L1Kind::Urls).ok_or_else(|| {
                    "give embedded, anvil, or three http addresses with commas between them".into()
                })
            }
        }
    }
}

/// A node.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The configuration; `ZKLINK_…` variables stand above it, such as ZKLINK_RPC__LISTEN.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Folder of the proving keys with which the contracts were deployed [default: keys of the configuration, else
    /// zklink/keys in the user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}

/// A prover.
///
/// It connects to the listener of the node's [workers], takes proof jobs and hands the proofs in. It needs the proving
/// keys with which the contracts were deployed and nothing else: no chain, no state, no key that is worth anything. The
/// node checks each proof. When the node is away it connects again by itself.
#[derive(Debug, Args)]
#[command(after_help = PROVER_HELP)]
pub(crate) struct ProverArgs {
    /// The configuration; `ZKLINK_…` variables stand above it, such as ZKLINK_NODE.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// A copy of the folder of proving keys with which the contracts were deployed [default: keys of the configuration,
    /// else zklink/keys in the user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}

const PROVER_HELP: &str = "\
prover.toml:
  node = \"ws://10.0.0.1:3040\"         # [workers] listen of the node; wss:// behind a TLS proxy
  token_file = \"secrets/prover.token\" # chmod 600; openssl rand -hex 32; the node has the same in [workers.known]
  deployment = \"deployment.toml\"      # a copy of the node's
  keys = \"keys\"                       # a copy of the folder with which the contracts were deployed
  provers = 1                         # how many jobs at a time; one uses all cores

docs: docs/operations.md";

/// An attester.
///
/// It reads the chains by endpoints of its own, signs what left one of them once it is final there, and hands the
/// signatures to the node. Its key signs nothing else and needs no coins. What it signed is in its data folder, for
/// ever: a second attester with the same key elsewhere could sign twice. When the node is away it connects again by
/// itself.
#[derive(Debug, Args)]
#[command(after_help = ATTESTER_HELP)]
pub(crate) struct AttesterArgs {
    /// The configuration; `ZKLINK_…` variables stand above it, such as ZKLINK_NODE.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

const ATTESTER_HELP: &str = "\
attester.toml:
  node = \"ws://10.0.0.1:3040\"           # [workers] listen of the node; wss:// behind a TLS proxy
  token_file = \"secrets/attester.token\" # chmod 600; openssl rand -hex 32; the node has the same in [workers.known]
  deployment = \"deployment.toml\"        # a copy of the node's
  key_file = \"secrets/attester.key\"     # chmod 600; of one of the attesters of the deployment
  data = \"data\"                         # the history of what it signed; never lose it

  [chains.1]                            # as in the node's configuration, with endpoints of another provider
  rpc = [\"https://ethereum.example\"]
  preset = \"chains/ethereum.toml\"

docs: docs/operations.md";

/// A replica.
///
/// It copies the journal of a node, record for record, and keeps an archive that follows the copy. When the machine of
/// the node is lost, `zklink node` can be started on its folder. It follows behind by some tenths of a second: what the
/// node acknowledged last before it was lost may be missing. It needs no key and no chain. When the node is away it
/// connects again by itself; when the node's journal is not the one that it has a copy of, it stops and changes
/// nothing.
#[derive(Debug, Args)]
#[command(after_help = REPLICA_HELP)]
pub(crate) struct ReplicaArgs {
    /// The configuration; `ZKLINK_…` variables stand above it, such as ZKLINK_NODE.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

const REPLICA_HELP: &str = "\
replica.toml:
  node = \"ws://10.0.0.1:3040\"          # [workers] listen of the node; wss:// behind a TLS proxy
  token_file = \"secrets/replica.token\" # chmod 600; openssl rand -hex 32; the node has the same in [workers.known]
  deployment = \"deployment.toml\"       # a copy of the node's
  data = \"replica\"                     # laid out as the data of a node

docs: docs/operations.md";

/// A deployment.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Says what would be sent and what it would cost, and sends nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Folder of the proving keys; missing ones are made [default: keys of the configuration, else zklink/keys in the
    /// user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
}

/// Proving keys.
#[derive(Debug, Args)]
pub(crate) struct MakeKeysArgs {
    /// The shapes; nano and small if none is named. Keys of large ones take long to make and much room.
    #[arg(long, value_enum)]
    pub(crate) shape: Vec<ShapeName>,
    /// Where they are kept.
    #[command(flatten)]
    pub(crate) keys: KeysArgs,
}

/// A shape on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShapeName {
    /// 4 signed operations and 4 deposits.
    Nano,
    /// 8 and 8.
    Small,
    /// 28 and 8, of as many users.
    Medium,
    /// 104 and 24, of as many users.
    Wide,
    /// 104 and 24, of few users.
    Deep,
    /// 416 and 96, of few users.
    Deepest,
}

impl ShapeName {
    /// The number of the shape.
    pub(crate) fn id(self) -> ShapeId {
        match self {
            ShapeName::Nano => NANO,
            ShapeName::Small => SMALL,
            ShapeName::Medium => MEDIUM,
            ShapeName::Wide => WIDE,
            ShapeName::Deep => DEEP,
            ShapeName::Deepest => DEEPEST,
        }
    }

    /// The shape.
    pub(crate) fn shape(self) -> &'static Shape {
        shape(self.id()).expect("each name has a shape in the table")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn chains_are_embedded_anvil_or_three_addresses() {
        assert_eq!("anvil".parse(), Ok(L1Kind::Anvil));
        let urls = "http://a:1, http://b:2,https://c".parse();
        let wanted = ["http://a:1", "http://b:2", "https://c"].map(String::from);
        assert_eq!(urls, Ok(L1Kind::Urls(wanted)));
        for bad in ["", "http://a:1", "http://a,http://b,ftp://c", "anvils"] {
            assert!(bad.parse::<L1Kind>().is_err(), "{bad}");
        }
    }

    #[test]
    fn options_of_the_development_network_are_refused_before_a_command() {
        let parse = |line: &[&str]| Cli::try_parse_from(line).ok();
        let folder = Some(PathBuf::from("k"));
        assert_eq!(parse(&["zklink", "--keys", "k"]).unwrap().keys.keys, folder);
        let Some(Command::Demo(demo)) = parse(&["zklink", "demo", "--keys", "k"]).unwrap().command
        else {
            panic!();
        };
        assert_eq!(demo.keys.keys, folder);
        // It would be ignored, and nobody would know.
        assert!(parse(&["zklink", "--shape", "nano", "demo"]).is_none());
        assert!(parse(&["zklink", "--keys", "k", "demo"]).is_none());
        // Nor does a command take what it does not use.
        for command in ["replica", "attester"] {
            assert!(parse(&["zklink", command, "--config", "c"]).is_some());
            assert!(parse(&["zklink", command, "--config", "c", "--keys", "k"]).is_none());
        }
    }
}
