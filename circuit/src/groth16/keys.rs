//! Keys on disk.
//!
//! Making a key takes minutes, so it is made once for each shape and kept. A file begins with a
//! [`header`] that names the constraint system by its digest and ends with bellman's parameters in
//! bellman's bytes, verifying key first, so that it can be read alone.
//!
//! A file that does not fit is never replaced silently: a contract may already know the verifying
//! key inside. Every error says what the operator may do.

mod file;
mod header;

use std::path::{Path, PathBuf};

use bellman::groth16::VerifyingKey;
use bls12_381::Bls12;
use rand_core::OsRng;

use super::key::{KeyError, ProvingKey};
use super::keygen::{KeygenError, generate};
use super::r1cs::R1cs;

pub use file::{PointCheck, read_verifying_key};
pub use header::Provenance;

/// Why a key could not be had from disk or put there.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The name of a shape becomes a file name.
    #[error("{name:?} cannot name a key: use 1 to 64 of a-z, 0-9, '-' and '_'")]
    Name {
        /// The name that was given.
        name: String,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {source}; check the path, its permissions and free space")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file does not begin like a key.
    #[error("{path} is not a key file; move it away and let the key be made")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The file is of another version of this format.
    #[error(
        "{path} has format version {found}, this program reads {expected}; use the program \
             that wrote it, or delete it and let it be made again"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What this program reads.
        expected: u32,
        /// What the file says.
        found: u32,
    },
    /// The file holds the key of another shape.
    #[error("{path} is the key of shape {found:?}, not {expected:?}; restore its name")]
    OtherShape {
        /// The file.
        path: PathBuf,
        /// The shape asked for.
        expected: String,
        /// The shape in the file.
        found: String,
    },
    /// The circuit has changed since the key was made.
    #[error(
        "{path} was made for constraint system {found}, the circuit is now {expected}; \
             delete the file and let it be made again, then register the new verifying key"
    )]
    Stale {
        /// The file.
        path: PathBuf,
        /// Digest of the present system, hexadecimal.
        expected: String,
        /// Digest in the file, hexadecimal.
        found: String,
    },
    /// The file ends early.
    #[error(
        "{path} has {found} bytes of {expected}; restore it from a copy, or delete it and \
             let it be made again"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The contents are not what was written.
    #[error(
        "{path} is damaged ({what}); restore it from a copy, or delete it and let it be made \
             again"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// The contents are intact and yet not a usable key.
    #[error("{path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// No key could be made.
    #[error(transparent)]
    Keygen(#[from] KeygenError),
}

/// What [`KeyStore::get_or_make`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// Reading a key that exists.
    Loading,
    /// Making a key; by far the longest of the four.
    Generating,
    /// Converting the points of a new key.
    Preparing,
    /// Writing a new key.
    Saving,
}

/// A proving key and where it comes from.
#[derive(Debug)]
pub struct StoredKey {
    /// The key.
    pub key: ProvingKey,
    /// Who made it; a node refuses keys of a single party on real chains.
    pub provenance: Provenance,
}

/// A folder of keys, one file for each shape.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

impl KeyStore {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// [`KeyFileError::Io`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let folder = folder.as_ref().to_path_buf();
        std::fs::create_dir_all(&folder).map_err(|source| KeyFileError::Io {
            action: "create the folder",
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder })
    }

    /// The file of a shape.
    ///
    /// # Errors
    /// [`KeyFileError::Name`].
    pub fn path(&self, shape: &str) -> Result<PathBuf, KeyFileError> {
        header::check_name(shape)?;
        Ok(self.folder.join(format!("{shape}.key")))
    }

    /// The key of `shape`, from its file, or made for `system` and saved.
    ///
    /// A key made here has its randomness from one process, hence [`Provenance::Dev`]. If two
    /// processes make a key at once, both return the one that reached the disk first.
    ///
    /// # Errors
    /// [`KeyFileError`]; [`KeyFileError::Stale`] when the circuit has changed.
    pub fn get_or_make(
        &self,
        shape: &str,
        system: &R1cs,
        mut progress: impl FnMut(Making),
    ) -> Result<StoredKey, KeyFileError> {
        let path = self.path(shape)?;
        if path.exists() {
            progress(Making::Loading);
            return ProvingKey::load(&path, shape, system, PointCheck::Curve);
        }
        progress(Making::Generating);
        let parameters = generate(system, &mut OsRng)?;
        progress(Making::Preparing);
        let key = ProvingKey::from_parameters(&parameters, system)
            .map_err(|source| KeyFileError::Unusable { path: path.clone(), source })?;
        drop(parameters);
        progress(Making::Saving);
        if key.save(&path, shape, Provenance::Dev)? {
            return Ok(StoredKey { key, provenance: Provenance::Dev });
        }
        progress(Making::Loading);
        ProvingKey::load(&path, shape, system, PointCheck::Curve)
    }

    /// The verifying key of `shape` without the rest of the file.
    ///
    /// # Errors
    /// As [`read_verifying_key`].
    pub fn verifying_key(
        &self,
        shape: &str,
        system: &R1cs,
    ) -> Result<VerifyingKey<Bls12>, KeyFileError> {
        read_verifying_key(&self.path(shape)?, shape, system.digest()).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests;
