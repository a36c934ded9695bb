//! What an attester has signed, for ever.
//!
//! A text file with one line per signature: source, destination, sequence, height, block hash,
//! digest. A line is on disk before its signature leaves. A torn last line was never signed for,
//! and is cut.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zklink::id::ChainId;

use super::places::Places;

/// A message: source, destination, sequence.
pub type MessageId = (ChainId, ChainId, u64);

/// What was signed for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The height of the block in which it was.
    pub height: u64,
    /// The hash of that block.
    pub block_hash: [u8; 32],
    /// The digest that was signed.
    pub digest: [u8; 32],
}

/// A signature is not given, or the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Another digest was signed for this message.
    #[error("another digest was signed for this message")]
    Other,
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The path.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A line in the middle of the file is broken. Restore the file from a copy: without it the
    /// attester could sign twice.
    #[error("{path}, line {line} is broken: restore the file from a copy")]
    Broken {
        /// The path.
        path: String,
        /// The line, from one.
        line: usize,
    },
    /// A write failed before: the end of the file is unknown, so nothing more is signed until a
    /// restart.
    #[error("a write failed before, so the end of the file is unknown: restart the attester")]
    Failed,
    /// Another process has the file.
    #[error("{0} is used by another process: two attesters must not share a key")]
    Locked(String),
}

/// The history of one attester.
#[derive(Debug, Default)]
pub struct History {
    signed: BTreeMap<MessageId, Signed>,
    file: Option<(PathBuf, File)>,
    failed: bool,
    /// How far the chains were read; beside the history, and under its lock.
    pub(super) places: Places,
}

impl History {
    /// A history that forgets when the process ends: for tests and for the development network,
    /// whose chains end with it as well.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Opens or makes the file of an attester.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let name = || path.display().to_string();
        let failed = |error| HistoryError::Io { path: name(), error };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path).map_err(failed)?;
        file.try_lock().map_err(|_| HistoryError::Locked(name()))?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut signed = BTreeMap::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let (id, entry) = parse(line)
                .ok_or_else(|| HistoryError::Broken { path: name(), line: index + 1 })?;
            signed.insert(id, entry);
        }
        if whole < text.len() {
            tracing::warn!(path = name(), "the last line was torn and is cut");
            file.set_len(whole as u64).map_err(failed)?;
            file.seek(SeekFrom::End(0)).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        let places = Places::open(&path.with_extension("places"));
        Ok(Self { signed, file: Some((path.to_owned(), file)), failed: false, places })
    }

    /// Allows a signature: it is the first for this message, or the same again.
    ///
    /// # Errors
    /// [`HistoryError::Other`]; [`HistoryError::Io`], after which nothing is signed any more.
    pub fn sign(&mut self, id: MessageId, signed: Signed) -> Result<(), HistoryError> {
        match self.signed.get(&id) {
            // The block may be another one: the same message, mined again.
            Some(before) if before.digest == signed.digest => return Ok(()),
            Some(_) => return Err(HistoryError::Other),
            None if self.failed => return Err(HistoryError::Failed),
            None => {}
        }
        if let Some((path, file)) = &mut self.file {
            let line = format!("{}\n", line(id, &signed));
            let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
            if let Err(error) = written {
                self.failed = true;
                return Err(HistoryError::Io { path: path.display().to_string(), error });
            }
        }
        self.signed.insert(id, signed);
        Ok(())
    }

    /// What was signed for a message.
    pub fn signed(&self, id: MessageId) -> Option<&Signed> {
        self.signed.get(&id)
    }
}

fn line((source, destination, sequence): MessageId, signed: &Signed) -> String {
    let Signed { height, block_hash, digest } = signed;
    let (block_hash, digest) = (hex::encode(block_hash), hex::encode(digest));
    format!("{source} {destination} {sequence} {height} {block_hash} {digest}")
}

fn parse(line: &str) -> Option<(MessageId, Signed)> {
    let [source, destination, sequence, height, block_hash, digest] =
        line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let mut signed = Signed { height: height.parse().ok()?, block_hash: [0; 32], digest: [0; 32] };
    hex::decode_to_slice(block_hash, &mut signed.block_hash).ok()?;
    hex::decode_to_slice(digest, &mut signed.digest).ok()?;
    let (source, destination) = (source.parse().ok()?, destination.parse().ok()?);
    Some(((ChainId(source), ChainId(destination), sequence.parse().ok()?), signed))
}
