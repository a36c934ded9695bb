//! Blobs (EIP-4844): data that travel beside a transaction. A contract sees only their hashes, and nodes keep them for
//! some weeks. Commitments, proofs and encodings are alloy's and c-kzg's.

use std::fmt;
use std::sync::{Arc, OnceLock};

use alloy_eips::eip4844::c_kzg::{self, KzgSettings, ethereum_kzg_settings};
use alloy_eips::eip4844::{
    AsCkzg, BLS_MODULUS_BYTES, Blob, BlobTransactionSidecar, DATA_GAS_PER_BLOB,
    FIELD_ELEMENTS_PER_BLOB, kzg_to_versioned_hash,
};
use alloy_eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant};
use serde::{Deserialize, Serialize};

use super::client::Hash;

/// What one blob has room for, in elements of 32 bytes.
pub const ELEMENTS_PER_BLOB: usize = FIELD_ELEMENTS_PER_BLOB as usize;
/// No chain takes more blobs in one transaction: 9 of them fill a block of Prague. Since Osaka it is 6, see
/// [`SendPolicy::max_blobs`](super::sender::SendPolicy::max_blobs).
pub const BLOBS_MAX: usize = 9;
/// Tables that would make proofs faster. None: they take 96 MiB for as long as the process lives.
const PRECOMPUTE: u64 = 0;

/// How a transaction proves that its blobs are what their hashes say. The hash of the transaction is the same in both
/// forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobProofs {
    /// A proof for each of the 128 cells of an extended blob (EIP-7594), as Ethereum wants since Osaka.
    #[default]
    Cell,
    /// One proof for a blob (EIP-4844), as chains want that have not Osaka's sampling of data.
    Blob,
}

impl BlobProofs {
    /// The form that this one is not.
    pub(crate) fn other(self) -> BlobProofs {
        match self {
            BlobProofs::Cell => BlobProofs::Blob,
            BlobProofs::Blob => BlobProofs::Cell,
        }
    }
}

/// Why blobs cannot be made or sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// There are no data.
    #[error("there is nothing to put into a blob")]
    Empty,
    /// More than one transaction takes. Send the rest with another one.
    #[error("{count} blobs are more than the {limit} of one transaction: send fewer at a time")]
    TooMany {
        /// How many blobs the data fill.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A word is no element of the field: it must be below the order of BLS12-381.
    #[error("word {index} is not below the order of BLS12-381: no blob can hold it")]
    NotAnElement {
        /// Its place.
        index: usize,
    },
    /// A transaction with blobs cannot create a contract. Name a receiver.
    #[error("a transaction with blobs needs a receiver")]
    NoReceiver,
    /// The chain has no blobs.
    #[error("the chain takes no blobs: publish there in call data")]
    Unknown,
    /// Both forms of proofs were refused.
    #[error("neither form of blob_proofs is taken: the chain wants one that is not known here")]
    Proofs,
    /// The library gave no commitment or proof.
    #[error("the blobs could not be proven: {0}")]
    Kzg(String),
}

impl From<c_kzg::Error> for BlobError {
    fn from(error: c_kzg::Error) -> BlobError {
        BlobError::Kzg(error.to_string())
    }
}

/// One to nine blobs with their commitments. Copies share them, and two are equal if their hashes are, which bind the
/// contents.
#[derive(Clone)]
pub struct Blobs(Arc<Committed>);

struct Committed {
    blobs: Vec<Blob>,
    hashes: Vec<Hash>,
    /// Each form of proofs, once it was asked for.
    cell: OnceLock<BlobTransactionSidecarVariant>,
    blob: OnceLock<BlobTransactionSidecarVariant>,
}

impl Blobs {
    /// Puts words into blobs, 4096 into each in their order, the rest of the last one being zeros: word `i` is element
    /// `i % 4096` of blob `i / 4096`. How the words tell their length is theirs.
    ///
    /// Commitments take tenths of a second of a core for each blob, and the first call seconds for reading the trusted
    /// setup: drivers do it where long work is done.
    ///
    /// # Errors
    /// [`BlobError::Empty`], [`BlobError::TooMany`] above [`BLOBS_MAX`], [`BlobError::NotAnElement`], and
    /// [`BlobError::Kzg`], which no such words give.
    pub fn new(words: &[[u8; 32]]) -> Result<Blobs, BlobError> {
        let (count, limit) = (words.len().div_ceil(ELEMENTS_PER_BLOB), BLOBS_MAX);
        if count == 0 {
            return Err(BlobError::Empty);
        }
        if count > limit {
            return Err(BlobError::TooMany { count, limit });
        }
        if let Some(index) = words.iter().position(|word| *word >= BLS_MODULUS_BYTES.0) {
            return Err(BlobError::NotAnElement { index });
        }
        let mut blobs = vec![Blob::ZERO; count];
        for (blob, words) in blobs.iter_mut().zip(words.chunks(ELEMENTS_PER_BLOB)) {
            let words = words.as_flattened();
            blob[..words.len()].copy_from_slice(words);
        }
        let commitment = |blob: &Blob| setup().blob_to_kzg_commitment(blob.as_ckzg());
        let hash = |blob| Ok(kzg_to_versioned_hash(&commitment(blob)?.to_bytes()[..]).0);
        let hashes = blobs.iter().map(hash).collect::<Result<_, c_kzg::Error>>()?;
        Ok(Blobs(Arc::new(Committed {
            blobs,
            hashes,
            cell: OnceLock::new(),
            blob: OnceLock::new(),
        })))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.hashes.len()
    }

    /// The versioned hash of each, as contracts see it.
    pub fn hashes(&self) -> &[Hash] {
        &self.0.hashes
    }

    /// The blob gas that they take.
    pub fn gas(&self) -> u64 {
        DATA_GAS_PER_BLOB * self.count() as u64
    }

    /// Makes their proofs in one form, if they are not made yet. Sending does it where nobody has done it before; it
    /// takes tenths of a second of a core for each blob.
    ///
    /// # Errors
    /// [`BlobError::Kzg`].
    pub fn prove(&self, form: BlobProofs) -> Result<(), BlobError> {
        self.sidecar(form).map(|_| ())
    }

    /// What goes beside the transaction.
    pub(crate) fn sidecar(
        &self,
        form: BlobProofs,
    ) -> Result<&BlobTransactionSidecarVariant, BlobError> {
        let blobs = &self.0.blobs;
        let made = match form {
            BlobProofs::Cell => &self.0.cell,
            BlobProofs::Blob => &self.0.blob,
        };
        if let Some(made) = made.get() {
            return Ok(made);
        }
        let new = match form {
            BlobProofs::Cell => {
                BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs.clone(), setup())?
                    .into()
            }
            BlobProofs::Blob => {
                BlobTransactionSidecar::try_from_blobs_with_settings(blobs.clone(), setup())?.into()
            }
        };
        Ok(made.get_or_init(|| new))
    }
}

/// The trusted setup of Ethereum, which is part of c-kzg.
fn setup() -> &'static KzgSettings {
    ethereum_kzg_settings(PRECOMPUTE)
}

impl PartialEq for Blobs {
    fn eq(&self, other: &Blobs) -> bool {
        self.0.hashes == other.0.hashes
    }
}

impl Eq for Blobs {}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.hashes.iter().map(|hash| super::client::hex0x(hash))).finish()
    }
}
