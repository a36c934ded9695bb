//! A node among hostile surroundings, over real sockets and files: endpoints, provers, strangers,
//! damaged disks and misspelt configurations.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what they share")]

#[path = "hostile/attesters.rs"]
mod attesters;
#[path = "hostile/endpoints.rs"]
mod endpoints;
#[path = "hostile/gateway.rs"]
mod gateway;
#[path = "hostile/journal.rs"]
mod journal;
#[path = "hostile/misbehaviour.rs"]
mod misbehaviour;
#[path = "hostile/prover.rs"]
mod prover;
#[path = "common/proxy.rs"]
mod proxy;
#[path = "common/world.rs"]
mod world;

use zklink_node::config::{Loaded, NodeConfig};

/// A configuration that is right but for one key.
const NODE: &str = r#"
data = "data"
deployment = "deployment.toml"
validator_key_file = "validator.key"
block_max_age = 500

[chains.1]
rpc = ["http://localhost:8545"]
finality = { anchor = "finalized" }
"#;

#[test]
fn a_misspelt_key_is_refused_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    std::fs::write(&path, NODE).unwrap();
    let error = Loaded::<NodeConfig>::read(&path).unwrap_err().to_string();
    let wanted = "unknown key \"block_max_age\": did you mean \"block_max_age_ms\"?";
    assert!(error.ends_with(wanted), "{error}");
    std::fs::write(&path, NODE.replace("block_max_age ", "block_max_age_ms ")).unwrap();
    assert_eq!(Loaded::<NodeConfig>::read(&path).unwrap().config.block_max_age_ms, 500);
}
