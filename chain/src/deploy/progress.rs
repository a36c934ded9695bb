//! What is deployed already, so that a deployment that was stopped can be taken up again.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zklink::id::ChainId;
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink::tx::keccak;

use super::file::{FileError, HexAddress, read_whole, write_whole};
use crate::client::Call;

/// The mined transactions of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The transactions, in their order.
    #[serde(default)]
    pub steps: Vec<Made>,
}

/// A mined transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Where.
    pub chain: ChainId,
    /// What it did, in words that no other step of the chain has.
    pub what: String,
    /// What it did, exactly: the hash of receiver and data.
    #[serde(with = "hex::serde")]
    pub digest: [u8; 32],
    /// The contract that it created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<HexAddress>,
    /// The height of its block.
    pub block: u64,
}

impl Progress {
    /// Nothing is deployed yet.
    pub fn begin(deployment_id: DeploymentId) -> Self {
        Self { deployment_id, steps: Vec::new() }
    }

    /// The transaction that did this.
    pub(super) fn made(&self, chain: ChainId, what: &str) -> Option<&Made> {
        self.steps.iter().find(|made| made.chain == chain && made.what == what)
    }

    /// Reads a file; nothing when there is none.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(path: &Path) -> Result<Option<Self>, FileError> {
        if !path.exists() {
            return Ok(None);
        }
        let text = read_whole(path)?;
        toml::from_str(&text).map(Some).map_err(|error| FileError::Parse(error.to_string()))
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let text = toml::to_string(self).expect("numbers, strings and lists can be written");
        write_whole(path, &text)
    }
}

impl Made {
    pub(super) fn created(&self) -> Option<Address> {
        self.created.map(|address| address.0)
    }
}

/// The hash of what a transaction does.
pub(super) fn digest(call: &Call) -> [u8; 32] {
    let to = call.to.map(|to| to.to_vec()).unwrap_or_default();
    keccak(&[&to, &call.data])
}
