//! Room on the disk: intake stops before there is none.
//!
//! A full disk is a fault of the journal, which stops the node, and of parity-db, whose mapped files end the process
//! without a word. Both are worse for users than being told to come back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink_mechanism::driver::rest;
use zklink_mechanism::port::Port;

use crate::builder::DiskRoom;

/// How often the disk is looked at. A node writes some MiB a second at most.
const PERIOD: Duration = Duration::from_secs(2);

/// Free bytes on the disk of the data folder. The text says why nobody knows.
pub type FreeBytes = Arc<dyn Fn() -> Result<u64, String> + Send + Sync>;

/// What the node needs of its disk.
#[derive(Clone)]
pub struct Disk {
    /// How much is free.
    pub free: FreeBytes,
    /// Below so many free bytes nothing more is taken.
    pub least: u64,
}

impl Disk {
    /// The least room where nobody says otherwise, in MiB: some minutes of a full load.
    pub const LEAST_MIB: u64 = 1_024;

    /// The disk of a folder.
    pub fn of(folder: PathBuf, least_mib: u64) -> Disk {
        let free = move || {
            let disk = rustix::fs::statvfs(&folder).map_err(|error| error.to_string())?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        };
        Disk { free: Arc::new(free), least: least_mib << 20 }
    }

    /// Whether there is too little room. Once there was, a quarter more must be free, so that the answer does not
    /// change with every record.
    fn is_low(&self, was_low: bool) -> Result<(bool, u64), String> {
        let free = (self.free)()?;
        let least = if was_low { self.least + self.least / 4 } else { self.least };
        Ok((free < least, free))
    }
}

/// Looks at the disk until `stop` becomes true; tells the builder, and says in words what is wrong.
pub(super) async fn drive(
    disk: Disk,
    builder: Port<DiskRoom>,
    told: watch::Sender<Option<String>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut low = false;
    loop {
        match disk.is_low(low) {
            Ok((is_low, free)) => {
                low = is_low;
                let (free, least) = (free >> 20, disk.least >> 20);
                let text = format!(
                    "{free} MiB are free on the disk of the data folder, and below {least} nothing is taken"
                );
                told.send_replace(low.then_some(text));
            }
            Err(error) => {
                told.send_replace(Some(format!("nobody knows how much room there is: {error}")));
            }
        }
        // A builder that is busy hears it with the next look.
        drop(builder.tell(DiskRoom { low }));
        if rest(PERIOD, &mut stop).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;

    #[test]
    fn a_disk_that_was_low_must_have_more_room_than_one_that_becomes_so() {
        let free = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&free);
        let disk = Disk { free: Arc::new(move || Ok(seen.load(SeqCst))), least: 1_000 };
        let low = |bytes, was_low| {
            free.store(bytes, SeqCst);
            disk.is_low(was_low).map(|(low, _)| low)
        };
        assert_eq!([low(1_000, false), low(999, false)], [Ok(false), Ok(true)]);
        assert_eq!([low(1_249, true), low(1_250, true)], [Ok(true), Ok(false)]);
    }

    #[test]
    fn the_room_of_a_folder_is_that_of_its_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::of(folder.path().to_owned(), 1);
        assert_eq!(disk.least, 1 << 20);
        assert!((disk.free)().unwrap() > 0);
        let nowhere = Disk::of(folder.path().join("missing"), 1);
        assert!((nowhere.free)().is_err());
    }
}
