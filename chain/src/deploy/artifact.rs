//! The compiled contracts, as they are committed. A build needs no Solidity compiler.

use serde::Deserialize;

/// A compiled contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Artifact {
    name: &'static str,
    json: &'static str,
}

/// A committed artifact cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("contracts/artifacts/{0}.json has no bytecode: build the contracts again")]
pub struct ArtifactError(&'static str);

#[derive(Deserialize)]
struct Body {
    bytecode: String,
}

macro_rules! artifact {
    ($name:literal) => {
        Artifact {
            name: $name,
            json: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../contracts/artifacts/",
                $name,
                ".json"
            )),
        }
    };
}

pub(super) const ROLLUP: Artifact = artifact!("Rollup");
pub(super) const HUB: Artifact = artifact!("Hub");
pub(super) const LOCAL_ROUTE: Artifact = artifact!("LocalRoute");
pub(super) const KEY_RECORDER: Artifact = artifact!("KeyRecorder");
pub(super) const ORACLE: Artifact = artifact!("LightOracle");
pub(super) const VERIFIER: Artifact = artifact!("Groth16Verifier");
pub(super) const TOKEN: Artifact = artifact!("DevToken");

impl Artifact {
    /// The code that creates the contract, without its arguments.
    pub(super) fn bytecode(self) -> Result<Vec<u8>, ArtifactError> {
        let broken = ArtifactError(self.name);
        let body: Body = serde_json::from_str(self.json).map_err(|_| broken)?;
        let digits = body.bytecode.strip_prefix("0x").ok_or(broken)?;
        let code = hex::decode(digits).map_err(|_| broken)?;
        if code.is_empty() { Err(broken) } else { Ok(code) }
    }
}
