//! The embedded log: segment files with checksummed, chained records.
//!
//! A segment is called after its first position and begins with a header: magic (8 bytes), first
//! position (u64), the chain before it (32 bytes), crc32 of these.
//!
//! A group is written and synced before the next one is begun. So a torn write can only be in the
//! last group, and damage followed by an intact record of a *later* group is no torn write: the
//! damaged place was durable once. The first is cut and reported, the second refuses to open.
//!
//! The last group may also have been written and never synced: its process died before, or its sync
//! failed. So opening writes what it has found of it once more and syncs it, before it counts.

use super::disk::Disk;
use super::log::{self, Chain, HEADER_BYTES, Log, LogError, RECORD_BYTES_MAX, Record, Stored};

const MAGIC: &[u8; 8] = b"zkljrnl1";
const SEGMENT_HEADER_BYTES: usize = 52;
/// A segment can be read from every so many bytes on, without what is before.
const MARK_BYTES: u64 = 1 << 20;
/// How many bytes a read asks for at first; a larger record gets a second, larger read.
const READ_BYTES: usize = 256 << 10;
/// A segment is closed when it reaches this size, in bytes.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Number of intact records.
    pub records: u64,
    /// The torn write at the end, if there was one. Nothing in it was ever acknowledged.
    pub cut: Option<Cut>,
}

/// A torn write that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment that was cut.
    pub segment: String,
    /// Its length now, in bytes.
    pub length: u64,
    /// Bytes that were cut off.
    pub bytes: u64,
}

#[derive(Debug)]
struct Segment {
    name: String,
    /// Places from which it can be read, the first record before all.
    marks: Vec<Mark>,
}

/// A place in a segment from which reading can begin.
#[derive(Debug, Clone, Copy)]
struct Mark {
    position: u64,
    /// The chain before the record there.
    chain: Chain,
    offset: u64,
}

impl Segment {
    fn new(name: String, position: u64, chain: Chain) -> Segment {
        let offset = as_u64(SEGMENT_HEADER_BYTES);
        Segment { name, marks: vec![Mark { position, chain, offset }] }
    }

    /// Notes that a record begins here, if the last mark is far enough behind.
    fn pass(&mut self, mark: Mark) {
        let last = self.marks.last().map_or(0, |last| last.offset);
        if mark.offset >= last + MARK_BYTES {
            self.marks.push(mark);
        }
    }

    fn first(&self) -> u64 {
        self.marks[0].position
    }
}

/// Where sequential reading goes on.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    position: u64,
    chain: Chain,
    segment: usize,
    offset: u64,
}

/// See the module.
pub struct SegmentLog<D> {
    disk: D,
    segment_bytes: u64,
    segments: Vec<Segment>,
    /// Length of the last segment, in bytes.
    length: u64,
    end: u64,
    chain: Chain,
    cursor: Option<Cursor>,
    poisoned: bool,
}

impl<D: Disk> SegmentLog<D> {
    /// Opens the log of `identity` on `disk`, verifies every record and cuts a torn write.
    ///
    /// # Errors
    /// [`LogError`] when the storage fails, when acknowledged records are damaged or missing, or
    /// when the log was begun with another identity.
    pub fn open(disk: D, identity: &[u8], segment_bytes: u64) -> Result<(Self, Opened), LogError> {
        let mut log = Self {
            disk,
            segment_bytes,
            segments: Vec::new(),
            length: 0,
            end: 0,
            chain: log::genesis_chain(identity),
            cursor: None,
            poisoned: false,
        };
        let names = log.disk.list().map_err(|source| io_error("list the segments", source))?;
        let mut cut = None;
        for (index, name) in names.iter().enumerate() {
            cut = log.scan(name, index + 1 == names.len())?;
        }
        if names.is_empty() {
            log.begin_segment()?;
        }
        let opened = Opened { records: log.end, cut };
        Ok((log, opened))
    }

    /// Verifies one segment and moves the end behind it.
    fn scan(&mut self, name: &str, last: bool) -> Result<Option<Cut>, LogError> {
        let bytes = self.read_bytes(name, 0, usize::MAX)?;
        self.open_segment(name, &bytes)?;
        let mut offset = SEGMENT_HEADER_BYTES;
        // Where the last group begins, and its number.
        let mut group = (offset, self.end);
        let mut cut = None;
        while offset < bytes.len() {
            match self.check(&bytes[offset..]) {
                Ok(stored) => {
                    if stored.group != group.1 {
                        group = (offset, stored.group);
                    }
                    self.pass(Mark {
                        position: self.end,
                        chain: self.chain,
                        offset: as_u64(offset),
                    });
                    self.end += 1;
                    self.chain = stored.record.chain;
                    offset += stored.len();
                }
                // An intact record that does not fit here was not torn, it was exchanged.
                Err(reason)
                    if !last
                        || log::decode(&bytes[offset..]).is_ok()
                        || self.was_durable(&bytes[offset..]) =>
                {
                    return Err(self.corrupt(name, offset, reason));
                }
                Err(_) => {
                    cut = Some(self.cut(name, offset, bytes.len())?);
                    break;
                }
            }
        }
        self.length = as_u64(offset);
        if last && group.0 < offset {
            let again = self.disk.rewrite(name, as_u64(group.0), &bytes[group.0..offset]);
            again.map_err(|source| io_error(&format!("write the end of {name} again"), source))?;
        }
        Ok(cut)
    }

    fn open_segment(&mut self, name: &str, bytes: &[u8]) -> Result<(), LogError> {
        let expected = self.segment_header();
        let found = bytes.get(..SEGMENT_HEADER_BYTES).unwrap_or_default();
        if found != expected {
            if found.is_empty() || crc32fast::hash(&found[..48]) != log::le_u32(&found[48..]) {
                return Err(self.corrupt(name, 0, "header"));
            }
            let first = log::le_u64(&found[8..16]);
            if first > self.end {
                return Err(LogError::Missing { expected: self.end, found: name.to_owned() });
            }
            if self.segments.is_empty() && first == 0 {
                return Err(LogError::Foreign);
            }
            return Err(self.corrupt(name, 0, "header does not continue the segment before"));
        }
        self.segments.push(Segment::new(name.to_owned(), self.end, self.chain));
        Ok(())
    }

    fn pass(&mut self, mark: Mark) {
        self.segments.last_mut().expect("an open log has a segment").pass(mark);
    }

    /// The record at the start of `bytes`, if it is the one that must come next.
    fn check(&self, bytes: &[u8]) -> Result<Stored, &'static str> {
        check(bytes, self.end, &self.chain)
    }

    /// Whether an intact record behind the damage belongs to a later group. It looks at every
    /// offset, because the damage may be in a length. A payload could imitate a record and so make
    /// the node refuse a torn write that it might cut: that costs an inspection, never a record.
    fn was_durable(&self, damaged: &[u8]) -> bool {
        (1..damaged.len()).any(|offset| {
            let rest = &damaged[offset..];
            let plausible = rest.get(8..24).is_some_and(|places| {
                let (position, group) = (log::le_u64(&places[..8]), log::le_u64(&places[8..]));
                self.end < group && group <= position && position - self.end < as_u64(damaged.len())
            });
            plausible && log::decode(rest).is_ok()
        })
    }

    fn cut(&mut self, name: &str, offset: usize, found: usize) -> Result<Cut, LogError> {
        let (length, found) = (as_u64(offset), as_u64(found));
        let done = self.disk.truncate(name, length);
        done.map_err(|source| io_error(&format!("cut {name}"), source))?;
        Ok(Cut { segment: name.to_owned(), length, bytes: found - length })
    }

    fn corrupt(&self, name: &str, offset: usize, reason: &'static str) -> LogError {
        let (segment, offset) = (name.to_owned(), as_u64(offset));
        LogError::Corrupt { segment, offset, position: self.end, reason }
    }

    fn segment_header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(self.end.to_le_bytes());
        header.extend(self.chain);
        header.extend(crc32fast::hash(&header).to_le_bytes());
        header
    }

    fn begin_segment(&mut self) -> Result<(), LogError> {
        let name = format!("{:020}.log", self.end);
        let made = self.disk.create(&name, &self.segment_header());
        made.map_err(|source| io_error(&format!("create {name}"), source))?;
        self.length = as_u64(SEGMENT_HEADER_BYTES);
        self.segments.push(Segment::new(name, self.end, self.chain));
        Ok(())
    }

    fn write(&mut self, payloads: Vec<Vec<u8>>) -> Result<Vec<Record>, LogError> {
        if self.length >= self.segment_bytes {
            self.begin_segment()?;
        }
        let (group, mut position, mut chain) = (self.end, self.end, self.chain);
        let mut bytes = Vec::new();
        let (mut records, mut marks) = (Vec::with_capacity(payloads.len()), Vec::new());
        for payload in payloads {
            marks.push(Mark { position, chain, offset: self.length + as_u64(bytes.len()) });
            chain = log::next_chain(&chain, position, &payload);
            let record = Record { position, chain, payload };
            log::encode(&record, group, &mut bytes);
            records.push(record);
            position += 1;
        }
        let name = &self.segments.last().expect("an open log has a segment").name;
        let written = self.disk.append(name, &bytes).and_then(|()| self.disk.sync(name));
        written.map_err(|source| io_error(&format!("write and sync {name}"), source))?;
        marks.into_iter().for_each(|mark| self.pass(mark));
        self.length += as_u64(bytes.len());
        (self.end, self.chain) = (position, chain);
        Ok(records)
    }

    /// Where to begin for reading `position`: where the last read ended, or the mark before it.
    fn seek(&self, position: u64) -> Cursor {
        if let Some(cursor) = self.cursor.filter(|cursor| cursor.position == position) {
            return cursor;
        }
        let after = self.segments.partition_point(|segment| segment.first() <= position);
        let segment = after.saturating_sub(1);
        let marks = &self.segments[segment].marks;
        let after = marks.partition_point(|mark| mark.position <= position);
        let Mark { position, chain, offset } = marks[after.saturating_sub(1)];
        Cursor { position, chain, segment, offset }
    }

    /// Reads one stretch of bytes at the cursor and moves it behind the records that it looked at;
    /// keeps those from `from` on, at most `limit`.
    fn read_stretch(
        &mut self,
        cursor: &mut Cursor,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record>, LogError> {
        let next = self.segments.get(cursor.segment + 1);
        if next.is_some_and(|next| next.first() == cursor.position) {
            cursor.segment += 1;
            cursor.offset = as_u64(SEGMENT_HEADER_BYTES);
        }
        let name = self.segments[cursor.segment].name.clone();
        let mut bytes = self.read_bytes(&name, cursor.offset, READ_BYTES)?;
        if bytes.len() == READ_BYTES && log::decode(&bytes).is_err() {
            bytes = self.read_bytes(&name, cursor.offset, HEADER_BYTES + RECORD_BYTES_MAX)?;
        }
        let mut records = Vec::new();
        let mut at = 0;
        while cursor.position < self.end && records.len() < limit {
            match check(&bytes[at..], cursor.position, &cursor.chain) {
                Ok(stored) => {
                    at += stored.len();
                    cursor.offset += as_u64(stored.len());
                    cursor.position += 1;
                    cursor.chain = stored.record.chain;
                    if stored.record.position >= from {
                        records.push(stored.record);
                    }
                }
                // The stretch may end inside of a record; only one without any whole record is
                // a fault.
                Err(_) if at > 0 => break,
                Err(reason) => {
                    let (segment, offset, position) = (name, cursor.offset, cursor.position);
                    return Err(LogError::Corrupt { segment, offset, position, reason });
                }
            }
        }
        Ok(records)
    }

    fn read_bytes(&mut self, name: &str, offset: u64, limit: usize) -> Result<Vec<u8>, LogError> {
        let bytes = self.disk.read(name, offset, limit);
        bytes.map_err(|source| io_error(&format!("read {name}"), source))
    }
}

impl<D: Disk> Log for SegmentLog<D> {
    fn append(&mut self, payloads: Vec<Vec<u8>>) -> Result<Vec<Record>, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let written = self.write(payloads);
        self.poisoned = written.is_err();
        written
    }

    fn read(&mut self, position: u64, limit: usize) -> Result<Vec<Record>, LogError> {
        if position >= self.end || limit == 0 {
            return Ok(Vec::new());
        }
        let mut cursor = self.seek(position);
        let mut records = Vec::new();
        while records.is_empty() {
            records = self.read_stretch(&mut cursor, position, limit)?;
        }
        self.cursor = Some(cursor);
        Ok(records)
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn start(&self) -> Chain {
        self.segments.first().map_or(self.chain, |segment| segment.marks[0].chain)
    }
}

fn check(bytes: &[u8], position: u64, before: &Chain) -> Result<Stored, &'static str> {
    let stored = log::decode(bytes)?;
    if stored.record.position != position {
        return Err("position out of order");
    }
    if stored.group > position {
        return Err("group begins after its record");
    }
    if stored.record.chain != log::next_chain(before, position, &stored.record.payload) {
        return Err("chain differs");
    }
    Ok(stored)
}

fn io_error(doing: &str, source: std::io::Error) -> LogError {
    LogError::Io { doing: format!("the journal could not {doing}"), source }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a usize fits into 64 bits")
}
