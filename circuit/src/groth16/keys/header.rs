//! The first bytes of a key file.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | `zkLinkKy` |
//! | 4 | version, big-endian like all numbers here |
//! | 1 | provenance |
//! | 1 + 64 | length of the shape's name, the name, zeros |
//! | 32 | digest of the constraint system |
//! | 4 | length of the verifying key |
//! | 8 | length of the parameters, verifying key included |
//! | 32 | SHA-256 of all fields above and the verifying key |
//! | 32 | SHA-256 of the same fields and the parameters |

use std::path::Path;

use super::error::KeyFileError;

const MAGIC: &[u8; 8] = b"zkLinkKy";
const VERSION: u32 = 1;
const NAME: usize = 64;

/// Bytes of the fields that both hashes cover.
pub(super) const FIELDS: usize = 8 + 4 + 1 + 1 + NAME + 32 + 4 + 8;
/// Bytes of the header.
pub(super) const HEADER: usize = FIELDS + 2 * 32;

/// Who knows, or might know, the secrets behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provenance {
    /// One process of one party made it, and that party could have kept the secrets and forge
    /// proofs. For development and tests only.
    Dev,
}

/// The header's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) provenance: Provenance,
    pub(super) shape: String,
    pub(super) digest: [u8; 32],
    pub(super) vk_bytes: u32,
    pub(super) body_bytes: u64,
}

/// Refuses names that would make odd file names.
pub(super) fn check_name(name: &str) -> Result<(), KeyFileError> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    if name.is_empty() || name.len() > NAME || !name.bytes().all(plain) {
        return Err(KeyFileError::Name { name: name.chars().take(NAME).collect() });
    }
    Ok(())
}

impl Header {
    /// The hashed fields. The name has passed [`check_name`].
    pub(super) fn fields(&self) -> [u8; FIELDS] {
        let mut name = [0u8; 1 + NAME];
        name[0] = self.shape.len() as u8;
        name[1..=self.shape.len()].copy_from_slice(self.shape.as_bytes());
        let provenance = match self.provenance {
            Provenance::Dev => [1u8],
        };
        let parts: [&[u8]; 7] = [
            MAGIC,
            &VERSION.to_be_bytes(),
            &provenance,
            &name,
            &self.digest,
            &self.vk_bytes.to_be_bytes(),
            &self.body_bytes.to_be_bytes(),
        ];
        parts.concat().try_into().expect("the fields have fixed lengths")
    }

    /// Reads the fields and checks those that say what the file is.
    pub(super) fn parse(bytes: &[u8; HEADER], path: &Path) -> Result<Self, KeyFileError> {
        let corrupt = |what| KeyFileError::Corrupt { path: path.to_path_buf(), what };
        let mut rest = &bytes[..];
        if take::<8>(&mut rest) != *MAGIC {
            return Err(KeyFileError::NotAKey { path: path.to_path_buf() });
        }
        let found = u32::from_be_bytes(take(&mut rest));
        if found != VERSION {
            let path = path.to_path_buf();
            return Err(KeyFileError::Version { path, expected: VERSION, found });
        }
        let provenance = match take(&mut rest) {
            [1u8] => Provenance::Dev,
            _ => return Err(corrupt("unknown provenance")),
        };
        let [length] = take::<1>(&mut rest);
        let name: [u8; NAME] = take(&mut rest);
        let shape = name
            .get(..usize::from(length))
            .and_then(|name| std::str::from_utf8(name).ok())
            .filter(|name| check_name(name).is_ok())
            .ok_or_else(|| corrupt("unreadable name"))?
            .to_owned();
        Ok(Self {
            provenance,
            shape,
            digest: take(&mut rest),
            vk_bytes: u32::from_be_bytes(take(&mut rest)),
            body_bytes: u64::from_be_bytes(take(&mut rest)),
        })
    }
}

/// Splits `N` bytes off; only called for fields inside a header of fixed length.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (field, tail) = rest.split_first_chunk().expect("the header holds all its fields");
    *rest = tail;
    *field
}
