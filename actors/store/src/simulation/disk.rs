//! A simulated disk: files in memory that lose and tear what was not synced, and fail on demand.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use zklink_mechanism::world::Seed;

use crate::journal::disk::Disk;

/// How a simulated operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimFault {
    /// An append writes nothing: no space left.
    NoSpace,
    /// An append writes only the first half.
    ShortWrite,
    /// A sync reports an error. What was to be synced can be read as long as the power is on, and is gone afterwards: a
    /// later sync takes it for written, as systems do.
    SyncFails,
}

#[derive(Debug, Default, Clone)]
struct SimFile {
    bytes: Vec<u8>,
    /// Bytes that a sync has nothing to do for.
    synced: usize,
    /// Of these, the ones that are not on the disk, because their sync failed.
    holes: Vec<Range<usize>>,
}

#[derive(Debug, Default)]
struct Folder {
    files: BTreeMap<String, SimFile>,
    faults: BTreeMap<u64, SimFault>,
    writes: u64,
    syncs: u64,
}

/// See the module. Clones share their files, so that a test keeps the disk of a node it kills.
#[derive(Debug, Default, Clone)]
pub struct SimDisk(Arc<Mutex<Folder>>);

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `write`-th append or sync from now fail, the next one being zero.
    pub fn fail_at(&self, write: u64, fault: SimFault) {
        let mut folder = self.folder();
        let at = folder.writes + write;
        folder.faults.insert(at, fault);
    }

    /// Nothing fails any more that was to fail.
    pub fn mend(&self) {
        self.folder().faults.clear();
    }

    /// The power goes: of what was not synced in each file, a random beginning stays, and random
    /// bytes of it are wrong.
    pub fn crash(&self, seed: &mut Seed) {
        for file in self.folder().files.values_mut() {
            let unsynced = file.bytes.len() - file.synced;
            let kept = file.synced + seed.below_usize(unsynced + 1);
            file.bytes.truncate(kept);
            for hole in std::mem::take(&mut file.holes) {
                file.bytes[hole].fill(0);
            }
            while kept > file.synced && seed.below(2) == 0 {
                let at = file.synced + seed.below_usize(kept - file.synced);
                file.bytes[at] ^= u8::try_from(1 + seed.below(255)).unwrap_or(1);
            }
            file.synced = kept;
        }
    }

    /// Bytes of a file, for a test that damages or measures it.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.folder().files.get(name).map(|file| file.bytes.clone()).unwrap_or_default()
    }

    /// Replaces the bytes of a file, all of them durable.
    pub fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let synced = bytes.len();
        self.folder().files.insert(name.to_owned(), SimFile { bytes, synced, holes: Vec::new() });
    }

    /// Number of syncs so far.
    pub fn syncs(&self) -> u64 {
        self.folder().syncs
    }

    fn folder(&self) -> MutexGuard<'_, Folder> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Folder {
    fn next_fault(&mut self) -> Option<SimFault> {
        let fault = self.faults.remove(&self.writes);
        self.writes += 1;
        fault
    }

    fn file(&mut self, name: &str) -> io::Result<&mut SimFile> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.folder().files.keys().cloned().collect())
    }

    fn read(&mut self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut folder = self.folder();
        let bytes = &folder.file(name)?.bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(limit).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.set_bytes(name, content.to_vec());
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut folder = self.folder();
        let fault = folder.next_fault();
        let file = folder.file(name)?;
        match fault {
            Some(SimFault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => {
                file.bytes.extend(&bytes[..bytes.len() / 2]);
                Err(io::ErrorKind::WriteZero.into())
            }
            None => {
                file.bytes.extend(bytes);
                Ok(())
            }
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut folder = self.folder();
        folder.syncs += 1;
        let failed = folder.next_fault().is_some();
        let file = folder.file(name)?;
        if failed {
            file.holes.push(file.synced..file.bytes.len());
        }
        file.synced = file.bytes.len();
        if failed { Err(io::Error::other("simulated sync failure")) } else { Ok(()) }
    }

    fn rewrite(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut folder = self.folder();
        if folder.next_fault().is_some() {
            return Err(io::Error::other("simulated write failure"));
        }
        let file = folder.file(name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.bytes.len());
        let end = start.saturating_add(bytes.len()).min(file.bytes.len());
        assert_eq!(file.bytes[start..end], *bytes, "what is written again was there");
        file.synced = file.synced.max(end);
        file.holes.retain(|hole| hole.start < start || end < hole.end);
        Ok(())
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut folder = self.folder();
        let file = folder.file(name)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        file.bytes.truncate(length);
        file.holes.retain_mut(|hole| {
            hole.end = hole.end.min(length);
            hole.start < hole.end
        });
        file.synced = file.bytes.len();
        Ok(())
    }
}
