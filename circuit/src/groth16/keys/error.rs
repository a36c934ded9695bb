//! What can be wrong with a key on disk.

use std::path::PathBuf;

use super::super::key::KeyError;
use super::super::keygen::KeygenError;

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
    /// There is no such file, and none may be made.
    #[error("{path} is missing; bring the folder of keys with which the contracts were deployed")]
    Missing {
        /// The file.
        path: PathBuf,
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
