//! Keys on disk.
//!
//! Making a key takes minutes, so it is made once for each shape and kept. A file begins with a
//! [`header`] that names the constraint system by its digest and ends with bellman's parameters in
//! bellman's bytes, verifying key first, so that it can be read alone.
//!
//! A file that does not fit is never replaced silently: a contract may already know the verifying
//! key inside. Every error says what the operator may do.

mod error;
mod file;
mod header;

use std::path::{Path, PathBuf};

use bellman::groth16::VerifyingKey;
use bls12_381::Bls12;
use rand_core::OsRng;

use super::key::ProvingKey;
use super::keygen::generate;
use super::r1cs::R1cs;

pub use error::KeyFileError;
pub use file::{PointCheck, StoredKey, read_verifying_key};
pub use header::Provenance;

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

/// A folder of keys, one file for each shape.
#[derive(Clone, Debug)]
pub struct KeyStore {
    folder: PathBuf,
}

impl KeyStore {
    /// The keys of a folder, which is made with the first key.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_path_buf() }
    }

    /// The file of a shape.
    ///
    /// # Errors
    /// [`KeyFileError::Name`].
    pub fn path(&self, shape: &str) -> Result<PathBuf, KeyFileError> {
        header::check_name(shape)?;
        Ok(self.folder.join(format!("{shape}.key")))
    }

    /// The key of `shape` from its file.
    ///
    /// # Errors
    /// [`KeyFileError`]; [`KeyFileError::Missing`] when there is none, [`KeyFileError::Stale`] when the circuit has
    /// changed.
    pub fn get(
        &self,
        shape: &str,
        system: &R1cs,
        mut progress: impl FnMut(Making),
    ) -> Result<StoredKey, KeyFileError> {
        let path = self.path(shape)?;
        if !path.exists() {
            return Err(KeyFileError::Missing { path });
        }
        progress(Making::Loading);
        ProvingKey::load(&path, shape, system, PointCheck::Curve)
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
        match self.get(shape, system, &mut progress) {
            Err(KeyFileError::Missing { .. }) => {}
            found => return found,
        }
        std::fs::create_dir_all(&self.folder).map_err(|source| KeyFileError::Io {
            action: "create the folder",
            path: self.folder.clone(),
            source,
        })?;
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
