//! How far an attester has read each chain, so that its next start goes on there.
//!
//! A place is where reading begins, and nothing that is signed rests on it:
//! - A signature needs the event, the contract's hash of the message at a final height, and a history without another
//!   one. None of them depends on where reading began.
//! - The scanner holds the block's hash against the chain. When the chain has another block there, all is read again.
//! - Numbers go on from counts that the contract confirmed at that block. Counts that are too small or too large show
//!   as a gap or as hidden messages, which lead back to the beginning, as they do while an attester runs.
//! - Every message before it was taken for good, so none of them has to be offered again. If a destination wants one
//!   all the same, its source is read from the beginning.
//!
//! So a file that is lost, damaged or old costs time and never a wrong signature.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zklink::id::ChainId;
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink::tx::keccak;
use zklink_chain::client::Hash;
use zklink_mechanism::timestamp::Timestamp;

/// The time between two writings, milliseconds: what was read since is read again after a crash.
const WRITE_MS: u64 = 10_000;

/// Whose messages were read: they mean nothing elsewhere.
pub(super) type Origin = (DeploymentId, Address);

/// Up to where a chain was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The height of the last block.
    pub(super) number: u64,
    /// Its hash.
    pub(super) hash: Hash,
    /// The number of the next message to each chain.
    pub(super) next: BTreeMap<ChainId, u64>,
}

/// The places of one attester.
#[derive(Debug, Default)]
pub(super) struct Places {
    path: Option<PathBuf>,
    of: BTreeMap<ChainId, (Origin, Place)>,
    /// Whether something is kept that is not on disk.
    changed: bool,
    due: Timestamp,
}

impl Places {
    /// Reads a file, or begins one. A line that cannot be used is told in the log, and its chain is read from the
    /// beginning.
    pub(super) fn open(path: &Path) -> Places {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "all chains are read from the beginning");
                }
                String::new()
            }
        };
        let mut of = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            match parse(line) {
                Some((chain, origin, place)) => drop(of.insert(chain, (origin, place))),
                None => tracing::warn!(
                    path = %path.display(), line = index + 1,
                    "a damaged line is left out: its chain is read from the beginning"
                ),
            }
        }
        Places { path: Some(path.to_owned()), of, changed: false, due: Timestamp(0) }
    }

    /// Where reading of a chain goes on; nothing when it begins at the beginning.
    pub(super) fn of(&self, chain: ChainId, origin: Origin) -> Option<&Place> {
        let (known, place) = self.of.get(&chain)?;
        (*known == origin).then_some(place)
    }

    /// Keeps a place. It is on disk within some time, or not at all.
    pub(super) fn keep(&mut self, chain: ChainId, origin: Origin, place: Place, now: Timestamp) {
        let Some(path) = &self.path else { return };
        let place = (origin, place);
        if self.of.get(&chain) != Some(&place) {
            self.of.insert(chain, place);
            self.changed = true;
        }
        if !self.changed || now < self.due {
            return;
        }
        (self.changed, self.due) = (false, now.after(WRITE_MS));
        if let Err(error) = write(path, &self.of) {
            tracing::warn!(path = %path.display(), %error, "the next start will read more than it must");
        }
    }
}

/// Replaces the file in one go.
fn write(path: &Path, of: &BTreeMap<ChainId, (Origin, Place)>) -> io::Result<()> {
    let text: String =
        of.iter().map(|(chain, (origin, place))| line(*chain, *origin, place)).collect();
    let new = path.with_extension("places.new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The end of a line, by which damage is noticed.
fn check(words: &str) -> String {
    hex::encode(&keccak(&[words.as_bytes()])[..8])
}

fn line(chain: ChainId, (deployment, oracle): Origin, place: &Place) -> String {
    let Place { number, hash, next } = place;
    let (deployment, oracle, hash) =
        (hex::encode(deployment.0), hex::encode(oracle), hex::encode(hash));
    let next: String = next.iter().map(|(to, next)| format!(" {to}:{next}")).collect();
    let words = format!("{chain} {deployment} {oracle} {number} {hash}{next}");
    format!("{words} {}\n", check(&words))
}

fn parse(line: &str) -> Option<(ChainId, Origin, Place)> {
    let (words, end) = line.rsplit_once(' ')?;
    if end != check(words) {
        return None;
    }
    let mut words = words.split(' ');
    let chain = ChainId(words.next()?.parse().ok()?);
    let (mut deployment, mut oracle, mut hash) = (DeploymentId([0; 31]), [0; 20], [0; 32]);
    hex::decode_to_slice(words.next()?, &mut deployment.0).ok()?;
    hex::decode_to_slice(words.next()?, &mut oracle).ok()?;
    let number = words.next()?.parse().ok()?;
    hex::decode_to_slice(words.next()?, &mut hash).ok()?;
    let next = words.map(|pair| {
        let (to, next) = pair.split_once(':')?;
        Some((ChainId(to.parse().ok()?), next.parse().ok()?))
    });
    let next = next.collect::<Option<_>>()?;
    Some((chain, (deployment, oracle), Place { number, hash, next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = (DeploymentId([7; 31]), [0xcc; 20]);

    fn place(number: u64) -> Place {
        let next = [(ChainId(2), 5), (ChainId(3), 0)].into();
        Place { number, hash: [9; 32], next }
    }

    #[test]
    fn places_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attester.places");
        let mut places = Places::open(&path);
        assert_eq!(places.of(ChainId(1), ORIGIN), None);
        places.keep(ChainId(1), ORIGIN, place(40), Timestamp(0));
        let empty = Place { next: BTreeMap::new(), ..place(7) };
        places.keep(ChainId(2), ORIGIN, empty.clone(), Timestamp(WRITE_MS));
        let places = Places::open(&path);
        assert_eq!(places.of(ChainId(1), ORIGIN), Some(&place(40)));
        assert_eq!(places.of(ChainId(2), ORIGIN), Some(&empty));
        assert_eq!(places.of(ChainId(1), (DeploymentId([8; 31]), ORIGIN.1)), None);
        assert_eq!(places.of(ChainId(1), (ORIGIN.0, [1; 20])), None, "another oracle");
    }

    #[test]
    fn a_damaged_line_is_no_place_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attester.places");
        let mut places = Places::open(&path);
        places.keep(ChainId(1), ORIGIN, place(40), Timestamp(0));
        places.keep(ChainId(2), ORIGIN, place(50), Timestamp(WRITE_MS));
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
        for at in 0..first {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let places = Places::open(&path);
            assert_eq!(places.of(ChainId(1), ORIGIN), None, "{at}");
            assert_eq!(places.of(ChainId(2), ORIGIN), Some(&place(50)), "{at}");
        }
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        assert_eq!(Places::open(&path).of(ChainId(2), ORIGIN), None);
    }
}
