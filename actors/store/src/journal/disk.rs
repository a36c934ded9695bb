//! The few things that a log does to a folder of files, and the real folder.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::log::LogError;

/// A folder of append-only files. Names are plain, without separators.
pub trait Disk: Send {
    /// Names of the files that were made with [`Disk::create`], in ascending order.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// All bytes of a file from `offset` on, at most `limit`.
    fn read(&mut self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>>;

    /// Makes a file with `content`, durably and as a whole: after a crash it is there with all of
    /// its content, or not at all.
    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Writes all of `bytes` at the end of a file. Not durable before [`Disk::sync`].
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything that was appended to a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Writes `bytes` once more where they are already, durably. Bytes whose sync failed may be read and yet not be on
    /// the disk; a sync alone does not bring them there, because the system takes them for written.
    fn rewrite(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to `length` bytes, durably.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;
}

const LOCK: &str = "LOCK";
const SUFFIX: &str = ".log";
const UNFINISHED: &str = "unfinished";

/// A folder of the file system, held by one process.
#[derive(Debug)]
pub struct FileDisk {
    folder: PathBuf,
    files: BTreeMap<String, File>,
    /// Held as long as this value lives; the system releases it also when the process dies.
    _lock: File,
}

/// Makes a folder that nobody but its owner may look into, with those above it; one that is there stays as it is.
///
/// # Errors
/// That of the system.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

impl FileDisk {
    /// Opens a folder, makes it if need be, and locks it.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process (or another value in this one) holds it.
    pub fn open(folder: &Path) -> Result<Self, LogError> {
        let fault = |source| LogError::Io { doing: format!("open {}", folder.display()), source };
        make_folder(folder).map_err(fault)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent).map_err(fault)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LogError::Locked(folder.display().to_string()));
            }
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        Ok(Self { folder: folder.to_owned(), files: BTreeMap::new(), _lock: lock })
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.files.contains_key(name) {
            let path = self.folder.join(name);
            let file = OpenOptions::new().read(true).append(true).open(path)?;
            self.files.insert(name.to_owned(), file);
        }
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A new name in a folder is durable only when the folder itself is synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Disk for FileDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(SUFFIX) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&mut self, name: &str, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        assert!(name.ends_with(SUFFIX), "a name without the suffix would not be listed");
        let unfinished = self.folder.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.folder.join(name))?;
        sync_folder(&self.folder)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rewrite(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // The other handle writes at the end whatever its place is.
        let mut file = OpenOptions::new().write(true).open(self.folder.join(name))?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let file = self.file(name)?;
        file.set_len(length)?;
        file.sync_all()
    }
}
