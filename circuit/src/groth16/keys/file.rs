//! Reading and writing of key files.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bellman::groth16::VerifyingKey;
use bls12_381::Bls12;
use rand_core::{OsRng, RngCore};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::super::key::{KeyError, ProvingKey, Queries, refuse_degenerate};
use super::super::point::{G1, G2, Group};
use super::super::r1cs::R1cs;
use super::error::KeyFileError;
use super::header::{FIELDS, HEADER, Header, Provenance, check_name};

/// Longest verifying key: ten thousand public inputs, far more than any contract can afford.
const MAX_VK: u32 = 1 << 20;

/// How points of a key file are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointCheck {
    /// Only that they are on the curve. Enough for files of one's own: SHA-256 shows that the
    /// bytes are those that were written, and the writer had the points from group operations.
    /// Someone who can replace the file with its hash can as well put a sound key there whose
    /// secrets he knows, and no check of points would see that.
    Curve,
    /// Also that they are in the subgroup of prime order, at some microseconds for each point.
    Subgroup,
}

/// Place of the verifying key's hash in the header.
const VK_HASH: usize = FIELDS;
/// Place of the parameters' hash.
const BODY_HASH: usize = FIELDS + 32;

/// A proving key and where it comes from.
#[derive(Debug)]
pub struct StoredKey {
    /// The key.
    pub key: ProvingKey,
    /// Who made it; a node refuses keys of a single party on real chains.
    pub provenance: Provenance,
}

/// A path to put into errors.
struct Place<'a>(&'a Path);

impl Place<'_> {
    fn io(&self, action: &'static str) -> impl Fn(std::io::Error) -> KeyFileError {
        let path = self.0.to_path_buf();
        move |source| KeyFileError::Io { action, path: path.clone(), source }
    }

    fn corrupt(&self, what: &'static str) -> KeyFileError {
        KeyFileError::Corrupt { path: self.0.to_path_buf(), what }
    }

    fn unusable(&self, source: KeyError) -> KeyFileError {
        KeyFileError::Unusable { path: self.0.to_path_buf(), source }
    }

    fn truncated(&self, expected: u64, found: u64) -> KeyFileError {
        KeyFileError::Truncated { path: self.0.to_path_buf(), expected, found }
    }
}

/// An open key file whose header has been accepted.
struct Opened {
    file: File,
    header: Header,
    raw: [u8; HEADER],
}

impl Opened {
    fn new(place: &Place<'_>, shape: &str, digest: [u8; 32]) -> Result<Self, KeyFileError> {
        check_name(shape)?;
        let mut file = File::open(place.0).map_err(place.io("open"))?;
        let size = file.metadata().map_err(place.io("examine"))?.len();
        let mut raw = [0u8; HEADER];
        if size < HEADER as u64 {
            return Err(place.truncated(HEADER as u64, size));
        }
        file.read_exact(&mut raw).map_err(place.io("read"))?;
        let header = Header::parse(&raw, place.0)?;
        if header.shape != shape {
            return Err(KeyFileError::OtherShape {
                path: place.0.to_path_buf(),
                expected: shape.to_owned(),
                found: header.shape,
            });
        }
        if header.digest != digest {
            return Err(KeyFileError::Stale {
                path: place.0.to_path_buf(),
                expected: hex::encode(digest),
                found: hex::encode(header.digest),
            });
        }
        let expected = header.body_bytes.saturating_add(HEADER as u64);
        match size.cmp(&expected) {
            std::cmp::Ordering::Less => Err(place.truncated(expected, size)),
            std::cmp::Ordering::Greater => Err(place.corrupt("bytes after the end")),
            std::cmp::Ordering::Equal => Ok(Self { file, header, raw }),
        }
    }

    /// Reads `count` bytes of the body; the caller has bounded them.
    fn body(&mut self, place: &Place<'_>, count: u64) -> Result<Vec<u8>, KeyFileError> {
        let mut bytes = Vec::with_capacity(count as usize);
        (&mut self.file).take(count).read_to_end(&mut bytes).map_err(place.io("read"))?;
        Ok(bytes)
    }

    /// Compares the hash of fields and `bytes` with the one at `hash` in the header.
    fn check(&self, place: &Place<'_>, bytes: &[u8], hash: usize) -> Result<(), KeyFileError> {
        let found = Sha256::new().chain_update(&self.raw[..FIELDS]).chain_update(bytes).finalize();
        if found[..] != self.raw[hash..hash + 32] {
            return Err(place.corrupt("its SHA-256 differs"));
        }
        Ok(())
    }
}

/// Reads the verifying key at the head of a key file and nothing more.
///
/// # Errors
/// [`KeyFileError`]; points are checked fully, a degenerate key is refused.
pub fn read_verifying_key(
    path: &Path,
    shape: &str,
    digest: [u8; 32],
) -> Result<(VerifyingKey<Bls12>, Provenance), KeyFileError> {
    let place = Place(path);
    let mut opened = Opened::new(&place, shape, digest)?;
    let count = opened.header.vk_bytes;
    if count > MAX_VK || u64::from(count) > opened.header.body_bytes {
        return Err(place.corrupt("length of the verifying key"));
    }
    let bytes = opened.body(&place, u64::from(count))?;
    opened.check(&place, &bytes, VK_HASH)?;
    let key = VerifyingKey::read(&bytes[..]).map_err(|_| place.corrupt("verifying key"))?;
    refuse_degenerate(&key).map_err(|source| place.unusable(source))?;
    Ok((key, opened.header.provenance))
}

/// Cuts one list of points off `rest`: a count and the points.
fn points<G: Group>(
    query: &'static str,
    rest: &mut &[u8],
    check: PointCheck,
    place: &Place<'_>,
) -> Result<Vec<G::Affine>, KeyFileError> {
    let (count, tail) = rest.split_first_chunk().ok_or_else(|| place.corrupt("a list is cut"))?;
    let bytes = (u32::from_be_bytes(*count) as usize)
        .checked_mul(G::ENCODED)
        .filter(|bytes| *bytes <= tail.len())
        .ok_or_else(|| place.corrupt("a list is cut"))?;
    let (list, tail) = tail.split_at(bytes);
    *rest = tail;
    list.par_chunks_exact(G::ENCODED)
        .map(|bytes| {
            G::decode(bytes)
                .filter(|point| check == PointCheck::Curve || G::in_subgroup(point))
                .ok_or_else(|| place.unusable(KeyError::InvalidPoint { query }))
        })
        .collect()
}

/// Bytes of the verifying key and of all of bellman's parameters for `system`, which bounds what
/// is read into memory.
fn body_bytes(system: &R1cs) -> (u64, u64) {
    let h = (1u64 << system.log_domain()) - 1;
    let a = system.dense_columns(system.a()).len() as u64;
    let b = system.dense_columns(system.b()).len() as u64;
    let vk = 3 * (96 + 192) + 4 + 96 * system.inputs() as u64;
    (vk, vk + 5 * 4 + 96 * (h + system.aux() as u64 + a + b) + 192 * b)
}

impl ProvingKey {
    /// Loads the key of `shape` for `system`.
    ///
    /// # Errors
    /// [`KeyFileError`]: the file is missing, stale, truncated, damaged, or no key.
    pub fn load(
        path: &Path,
        shape: &str,
        system: &R1cs,
        check: PointCheck,
    ) -> Result<StoredKey, KeyFileError> {
        let place = Place(path);
        let mut opened = Opened::new(&place, shape, system.digest())?;
        let (vk_bytes, count) = body_bytes(system);
        if (u64::from(opened.header.vk_bytes), opened.header.body_bytes) != (vk_bytes, count) {
            return Err(place.corrupt("length of the parameters"));
        }
        let bytes = opened.body(&place, count)?;
        opened.check(&place, &bytes, BODY_HASH)?;
        opened.check(&place, &bytes[..vk_bytes as usize], VK_HASH)?;
        let mut rest = &bytes[..];
        let vk = VerifyingKey::read(&mut rest).map_err(|_| place.corrupt("verifying key"))?;
        let mut h_and_l = points::<G1>("h", &mut rest, check, &place)?;
        let h = h_and_l.len();
        h_and_l.extend(points::<G1>("l", &mut rest, check, &place)?);
        let queries = Queries {
            h_and_l,
            a: points::<G1>("a", &mut rest, check, &place)?,
            b_g1: points::<G1>("b_g1", &mut rest, check, &place)?,
            b_g2: points::<G2>("b_g2", &mut rest, check, &place)?,
        };
        let key = Self::new(vk, h, queries, system).map_err(|source| place.unusable(source))?;
        Ok(StoredKey { key, provenance: opened.header.provenance })
    }

    /// Writes bellman's parameters, byte for byte what `Parameters::write` would write.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_parameters(&self, mut out: impl Write) -> std::io::Result<()> {
        self.vk.write(&mut out)?;
        let (h, l) = self.queries.h_and_l.split_at(self.lengths.h);
        for list in [h, l, &self.queries.a, &self.queries.b_g1] {
            write_points::<G1>(list, &mut out)?;
        }
        write_points::<G2>(&self.queries.b_g2, &mut out)
    }

    /// Saves the key under `path` unless a file is there; says whether it did.
    ///
    /// The file appears under its name complete and synchronised, or not at all.
    ///
    /// # Errors
    /// [`KeyFileError::Io`], [`KeyFileError::Name`].
    pub fn save(
        &self,
        path: &Path,
        shape: &str,
        provenance: Provenance,
    ) -> Result<bool, KeyFileError> {
        check_name(shape)?;
        let partial = partial_name(path);
        let written = self.write_file(&partial, shape, provenance);
        let place = Place(path);
        let placed = written.and_then(|()| place_new(&partial, path).map_err(place.io("create")));
        if !matches!(placed, Ok(true)) {
            // Whatever happened is reported by `placed`; a left-over is only lost space.
            let _ = std::fs::remove_file(&partial);
        }
        placed
    }

    fn write_file(
        &self,
        path: &Path,
        shape: &str,
        provenance: Provenance,
    ) -> Result<(), KeyFileError> {
        let place = Place(path);
        let mut vk = Vec::new();
        self.vk.write(&mut vk).map_err(place.io("encode"))?;
        let sizes = self.lengths;
        let g1_points = sizes.h + sizes.l + sizes.a + sizes.b;
        let body = vk.len() + 5 * 4 + G1::ENCODED * g1_points + G2::ENCODED * sizes.b;
        let header = Header {
            provenance,
            shape: shape.to_owned(),
            digest: self.digest(),
            // bellman's own format counts inputs in 32 bits; ours are far fewer.
            vk_bytes: u32::try_from(vk.len()).map_err(|_| place.corrupt("too many inputs"))?,
            body_bytes: body as u64,
        };
        let fields = header.fields();
        let vk_hash = Sha256::new().chain_update(fields).chain_update(&vk).finalize();

        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file = file.map_err(place.io("create"))?;
        file.write_all(&[0u8; HEADER]).map_err(place.io("write"))?;
        let hash = Sha256::new().chain_update(fields);
        let mut out = BufWriter::with_capacity(1 << 20, Hashing { file: &file, hash });
        self.write_parameters(&mut out).map_err(place.io("write"))?;
        let hashing = out.into_inner().map_err(|error| place.io("write")(error.into_error()))?;
        let body_hash = hashing.hash.finalize();
        file.seek(SeekFrom::Start(0)).map_err(place.io("write"))?;
        let head = [&fields[..], &vk_hash[..], &body_hash[..]].concat();
        file.write_all(&head).map_err(place.io("write"))?;
        file.sync_all().map_err(place.io("synchronise"))
    }
}

/// A file with the SHA-256 of what passes through.
struct Hashing<'a> {
    file: &'a File,
    hash: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn write_points<G: Group>(points: &[G::Affine], out: &mut impl Write) -> std::io::Result<()> {
    let count = u32::try_from(points.len()).map_err(std::io::Error::other)?;
    out.write_all(&count.to_be_bytes())?;
    let mut buffer = Vec::new();
    for chunk in points.chunks(1 << 12) {
        buffer.clear();
        chunk.iter().for_each(|point| G::encode(point, &mut buffer));
        out.write_all(&buffer)?;
    }
    Ok(())
}

/// A name beside `path` that no other process uses.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{:016x}.partial", OsRng.next_u64()));
    path.with_file_name(name)
}

/// Gives the finished file its name if that is free, and synchronises the folder.
fn place_new(partial: &Path, path: &Path) -> std::io::Result<bool> {
    match std::fs::hard_link(partial, path) {
        Ok(()) => std::fs::remove_file(partial)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        // A file system without hard links: a rename is atomic too, only it would replace a key
        // that another process has placed in this very moment.
        Err(_) => std::fs::rename(partial, path)?,
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(true)
}
