//! Provers, attesters and replicas as processes of their own: whom a node lets in, and what each of them needs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zklink_transport::{PLACES_MAX, Role, Token, Workers};

use super::{ChainConfig, ConfigError, Loaded, NodeConfig, read_secret};

/// Whom a node lets in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersConfig {
    /// Where it listens for them: not where users are served.
    pub listen: SocketAddr,
    /// The workers by their names.
    pub known: BTreeMap<String, WorkerConfig>,
}

/// A worker that is let in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// `prover`, `attester` or `replica`.
    pub role: Role,
    /// File with the token that it shows: 32 random bytes in hex, or more.
    pub token_file: PathBuf,
}

/// A prover as a process of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProverConfig {
    /// The node: `ws://HOST:PORT`, the port being that of its `[workers]`.
    pub node: String,
    /// File with the token under which the node knows this process.
    pub token_file: PathBuf,
    /// The deployment file: it names the shapes, and the keys that the contracts know.
    pub deployment: PathBuf,
    /// Folder of the proving keys; the command line's or the user's cache without it.
    pub keys: Option<PathBuf>,
    /// Provers in this process.
    #[serde(default = "one")]
    pub provers: u8,
}

/// An attester as a process of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttesterConfig {
    /// The node: `ws://HOST:PORT`, the port being that of its `[workers]`.
    pub node: String,
    /// File with the token under which the node knows this process.
    pub token_file: PathBuf,
    /// The deployment file.
    pub deployment: PathBuf,
    /// File with its private key.
    pub key_file: PathBuf,
    /// Folder of the history of what it signed.
    pub data: PathBuf,
    /// The chains by their numbers in the protocol, with endpoints of its own.
    pub chains: BTreeMap<String, ChainConfig>,
}

/// A replica as a process of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaConfig {
    /// The node: `ws://HOST:PORT`, the port being that of its `[workers]`.
    pub node: String,
    /// File with the token under which the node knows this process.
    pub token_file: PathBuf,
    /// The deployment file.
    pub deployment: PathBuf,
    /// Folder of journal and archive, laid out as that of a node.
    pub data: PathBuf,
}

fn one() -> u8 {
    1
}

impl<C> Loaded<C> {
    /// The token in a file.
    ///
    /// # Errors
    /// [`ConfigError`]; the text of the file is never in it.
    pub fn token(&self, file: &Path) -> Result<Token, ConfigError> {
        let path = self.path(file);
        let text = read_secret(&path)?;
        Token::from_hex(&text).map_err(|bad| ConfigError::Content { path, what: bad.to_string() })
    }
}

impl Loaded<NodeConfig> {
    /// The workers with their tokens, and where they connect; nothing without `[workers]`.
    ///
    /// # Errors
    /// A token cannot be read, or two workers could not be told apart.
    pub fn workers(&self) -> Result<Option<(SocketAddr, Workers)>, ConfigError> {
        let Some(config) = &self.config.workers else { return Ok(None) };
        let mut workers = Workers::default();
        for (name, worker) in &config.known {
            let token = self.token(&worker.token_file)?;
            let added = workers.add(name, worker.role, &token);
            added.map_err(|bad| self.wrong(format!("[workers.known]: {bad}")))?;
        }
        Ok(Some((config.listen, workers)))
    }
}

impl Loaded<ProverConfig> {
    /// The number of provers.
    ///
    /// # Errors
    /// It is zero, or above what one token allows.
    pub fn provers(&self) -> Result<u8, ConfigError> {
        let provers = self.config.provers;
        if (1..=PLACES_MAX).contains(&provers) {
            return Ok(provers);
        }
        Err(self.wrong(format!(
            "provers must be from 1 to {PLACES_MAX}: start another process with a token of its own for more"
        )))
    }
}

#[cfg(test)]
mod tests {
    use figment::Figment;
    use figment::providers::{Format, Toml};

    use super::*;

    const NODE: &str = r#"
data = "data"
deployment = "deployment.toml"
validator_key_file = "secrets/validator.key"
provers = 0

[workers]
listen = "127.0.0.1:3040"
known.one = { role = "prover", token_file = "one.token" }
known.signer = { role = "attester", token_file = "signer.token" }

[chains]
"#;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
    }

    fn read(folder: &Path, text: &str) -> Result<Option<(SocketAddr, Workers)>, String> {
        let figment = Figment::from(Toml::string(text));
        let loaded: Result<Loaded<NodeConfig>, _> =
            Loaded::parse(&folder.join("node.toml"), figment);
        loaded.and_then(|loaded| loaded.workers()).map_err(|error| error.to_string())
    }

    #[test]
    fn workers_are_read_with_their_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "one.token", &format!("{}\n", "11".repeat(32)));
        write(folder, "signer.token", &"22".repeat(40));
        let (listen, workers) = read(folder, NODE).unwrap().unwrap();
        assert_eq!((listen.port(), workers.count()), (3040, 2));
        let start = NODE.find("[workers]").unwrap();
        let end = NODE.find("[chains]").unwrap();
        let without = format!("{}{}", &NODE[..start], &NODE[end..]);
        assert!(read(folder, &without).unwrap().is_none());
        let error = read(folder, &NODE.replace("\"prover\"", "\"cook\"")).err().unwrap();
        assert!(error.contains("workers.known.one"), "{error}");
        write(folder, "signer.token", &"11".repeat(32));
        let error = read(folder, NODE).err().unwrap();
        assert!(error.contains("one and signer have the same token"), "{error}");
        let short = "abcdef0123";
        write(folder, "signer.token", short);
        let error = read(folder, NODE).err().unwrap();
        assert!(error.contains("openssl rand -hex 32") && !error.contains(short), "{error}");
    }

    #[test]
    fn a_prover_has_from_one_to_sixteen_places() {
        let text = "node = \"ws://n:1\"\ntoken_file = \"t\"\ndeployment = \"d\"\nprovers = ";
        let read = |provers: u32| {
            let figment = Figment::from(Toml::string(&format!("{text}{provers}")));
            let loaded: Loaded<ProverConfig> =
                Loaded::parse(Path::new("prover.toml"), figment).unwrap();
            loaded.provers().map_err(|error| error.to_string())
        };
        assert_eq!(read(16), Ok(16));
        for wrong in [0, 17] {
            assert!(read(wrong).unwrap_err().contains("provers must be from 1 to 16"));
        }
    }
}
