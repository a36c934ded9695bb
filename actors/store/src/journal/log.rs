//! What the journal needs of a log, and the form of a record.
//!
//! A record on disk, integers little-endian:
//!
//! ```text
//! length u32 | crc32 u32 | position u64 | group u64 | chain 32 bytes | payload
//! ```
//!
//! - `crc32` covers everything else of the record.
//! - `position` counts records from zero, without gaps.
//! - `group` is the position of the first record that was written with the same sync.
//! - `chain` is SHA-256 of the chain before, the position and the payload, so that no record can
//!   be exchanged, dropped or moved without every later one telling.

use std::fmt;
use std::io;

use sha2::{Digest, Sha256};

/// Largest payload of a record, in bytes.
pub const RECORD_BYTES_MAX: usize = 4 << 20;
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 56;

/// A running digest of all records up to one.
pub type Chain = [u8; 32];

/// A record that is on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place, from zero.
    pub position: u64,
    /// The digest of all records up to and with this one.
    pub chain: Chain,
    /// What was appended.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {})", self.position, brief(&self.payload))
    }
}

/// The length of `bytes` and how they begin: enough to recognise them in a log of events.
pub(crate) fn brief(bytes: &[u8]) -> String {
    format!("{} bytes {}", bytes.len(), hex::encode(&bytes[..bytes.len().min(8)]))
}

/// An ordered, durable sequence of records. Embedded in the node as
/// [`SegmentLog`](super::segment::SegmentLog); a replicated log can take its place.
pub trait Log: Send {
    /// Appends a group and returns it as records. On return all of it is durable.
    ///
    /// # Errors
    /// Any error is final: what was written is unknown until the log is opened again.
    fn append(&mut self, payloads: Vec<Vec<u8>>) -> Result<Vec<Record>, LogError>;

    /// Reads records from `position` on, at most `limit` and at most a few MiB; at
    /// least one if there is one, none at the end.
    ///
    /// # Errors
    /// [`LogError`] when the storage fails or what it returns is not what was written.
    fn read(&mut self, position: u64, limit: usize) -> Result<Vec<Record>, LogError>;

    /// The position that the next record will get.
    fn end(&self) -> u64;

    /// The chain before the first record.
    fn start(&self) -> Chain;
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The storage failed.
    #[error("{doing}: {source}; check the disk, its space and its rights, then start again")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the log.
    #[error("{0} is in use by another process: two nodes must never share a journal")]
    Locked(String),
    /// Damage before intact records, or in a place that was synced: not a torn write.
    #[error(
        "{segment} is damaged at byte {offset} (record {position}: {reason}). The node does not \
         start on it, because acknowledged records would be lost. Restore the file from a replica \
         or a backup; keep the damaged one for inspection"
    )]
    Corrupt {
        /// File of the segment.
        segment: String,
        /// Where the damage begins.
        offset: u64,
        /// The record that should be there.
        position: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A whole segment is missing.
    #[error("the segment with record {expected} is missing; the next file is {found}. Restore it")]
    Missing {
        /// First record that is missing.
        expected: u64,
        /// The file after the hole.
        found: String,
    },
    /// The journal belongs to another deployment.
    #[error("this journal was begun by another deployment: check the data folder of the node")]
    Foreign,
    /// An earlier operation failed.
    #[error("an earlier operation failed; open the log again")]
    Poisoned,
}

/// Visits all records from `position` to the end, in order.
///
/// # Errors
/// What the log or `visit` says first.
pub fn replay<E: From<LogError>>(
    log: &mut dyn Log,
    mut position: u64,
    mut visit: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    while position < log.end() {
        for record in log.read(position, 256)? {
            position = record.position + 1;
            visit(record)?;
        }
    }
    Ok(())
}

/// The chain before the first record, for the journal of `identity`.
pub fn genesis_chain(identity: &[u8]) -> Chain {
    Sha256::new().chain_update(b"zkLink journal").chain_update(identity).finalize().into()
}

/// The chain after a record.
pub(crate) fn next_chain(before: &Chain, position: u64, payload: &[u8]) -> Chain {
    let digest = Sha256::new().chain_update(before).chain_update(position.to_le_bytes());
    digest.chain_update(payload).finalize().into()
}

/// Appends the form of `record` on disk to `out`.
pub(crate) fn encode(record: &Record, group: u64, out: &mut Vec<u8>) {
    let length = u32::try_from(record.payload.len()).expect("payloads are below RECORD_BYTES_MAX");
    let start = out.len();
    out.extend(length.to_le_bytes());
    out.extend([0; 4]);
    out.extend(record.position.to_le_bytes());
    out.extend(group.to_le_bytes());
    out.extend(record.chain);
    out.extend(&record.payload);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// A record as it stands on disk, and the position at which its group begins.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    pub(crate) group: u64,
}

impl Stored {
    /// Bytes on disk.
    pub(crate) fn len(&self) -> usize {
        HEADER_BYTES + self.record.payload.len()
    }
}

/// Reads the record at the start of `bytes`; says what is wrong if there is none.
pub(crate) fn decode(bytes: &[u8]) -> Result<Stored, &'static str> {
    let header = bytes.get(..HEADER_BYTES).ok_or("incomplete header")?;
    let length = le_u32(&header[..4]) as usize;
    if length > RECORD_BYTES_MAX {
        return Err("length above the limit");
    }
    let whole = bytes.get(..HEADER_BYTES + length).ok_or("incomplete payload")?;
    if checksum(whole) != le_u32(&header[4..8]) {
        return Err("checksum differs");
    }
    let mut chain = [0; 32];
    chain.copy_from_slice(&header[24..]);
    let payload = whole[HEADER_BYTES..].to_vec();
    let record = Record { position: le_u64(&header[8..16]), chain, payload };
    Ok(Stored { record, group: le_u64(&header[16..24]) })
}

fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

pub(crate) fn le_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("the caller passes four bytes"))
}

pub(crate) fn le_u64(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("the caller passes eight bytes"))
}
