//! Files: bounded, and secrets only where nobody else may read them.

use std::io::Read;
use std::path::Path;

use zklink_chain::account::EthKey;

use super::ConfigError;

/// No secret is longer.
const SECRET_MAX: u64 = 4096;

/// A private key of secp256k1 in hex, from a file that not everybody may read.
///
/// # Errors
/// [`ConfigError`]; the text of the file is never in it.
pub fn read_key(path: &Path) -> Result<EthKey, ConfigError> {
    EthKey::from_hex(&read_secret(path)?)
        .map_err(|bad| ConfigError::Content { path: path.to_owned(), what: bad.to_string() })
}

/// A secret in one line, from a file that not everybody may read. Its group may: secrets that a system mounts for a
/// service often belong to another user and to a group of the service, on a mount where no mode can be changed.
///
/// # Errors
/// [`ConfigError`]; the text of the file is never in it.
pub fn read_secret(path: &Path) -> Result<String, ConfigError> {
    forbid(path, 0o007, "is open to everybody, and it holds a secret", 0o600)?;
    Ok(read_bounded(path, SECRET_MAX)?.trim().to_owned())
}

/// Refuses a configuration that others may change: it says where money goes.
pub(super) fn only_owner_writes(path: &Path) -> Result<(), ConfigError> {
    forbid(path, 0o002, "can be changed by everybody", 0o644)
}

/// The text of a file of at most `max` bytes.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    // One byte more than allowed tells a longer file from one of just this length.
    file.take(max.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if length > max { Err(ConfigError::TooLong(path.to_owned())) } else { Ok(text) }
}

#[cfg(unix)]
fn forbid(path: &Path, bits: u32, what: &'static str, mode: u32) -> Result<(), ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let found = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if found & bits == 0 {
        return Ok(());
    }
    Err(ConfigError::Mode { path: path.to_owned(), what, mode })
}

/// Elsewhere permissions are not bits of the file, and the operator sees to them.
#[cfg(not(unix))]
fn forbid(_: &Path, _: u32, _: &'static str, _: u32) -> Result<(), ConfigError> {
    Ok(())
}
