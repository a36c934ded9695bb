//! Key files that are whole, stale, cut or damaged.

use std::fs;

use bellman::groth16::Parameters;
use bls12_381::Bls12;
use tempfile::TempDir;

use super::super::tests::RandomCircuit;
use super::super::{prove, verify};
use super::*;

const SHAPE: &str = "toy-1";

fn circuit() -> RandomCircuit {
    RandomCircuit::new(5, 2, 12)
}

/// A store with one key in it.
fn made() -> (TempDir, KeyStore, R1cs, StoredKey) {
    let folder = tempfile::tempdir().unwrap();
    let store = KeyStore::new(folder.path().join("keys"));
    let system = R1cs::of(circuit()).unwrap();
    let missing = store.get(SHAPE, &system, |_| panic!("it makes nothing")).err().unwrap();
    assert!(matches!(missing, KeyFileError::Missing { .. }), "{missing}");
    assert!(!folder.path().join("keys").exists(), "a look changes nothing");
    let mut heard = vec![];
    let stored = store.get_or_make(SHAPE, &system, |step| heard.push(step)).unwrap();
    assert_eq!(heard, [Making::Generating, Making::Preparing, Making::Saving]);
    (folder, store, system, stored)
}

fn again(store: &KeyStore, system: &R1cs) -> Result<StoredKey, KeyFileError> {
    store.get_or_make(SHAPE, system, |step| assert_eq!(step, Making::Loading))
}

#[test]
fn a_saved_key_loads_and_proves() {
    let (_folder, store, system, first) = made();
    let loaded = again(&store, &system).unwrap();
    assert_eq!(loaded.provenance, Provenance::Dev);
    let vk = store.verifying_key(SHAPE, &system).unwrap();
    assert!(vk == *first.key.verifying_key());
    let proof = prove(&loaded.key, &system, circuit(), |_, _| {}).unwrap();
    verify(&vk, &circuit().public(), &proof).unwrap();
    let path = store.path(SHAPE).unwrap();
    ProvingKey::load(&path, SHAPE, &system, PointCheck::Subgroup).unwrap();
    let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "no partial file is left");
}

#[test]
fn the_body_is_bellmans_parameters() {
    let (_folder, store, system, stored) = made();
    let bytes = fs::read(store.path(SHAPE).unwrap()).unwrap();
    let theirs = Parameters::<Bls12>::read(&bytes[header::HEADER..], true).unwrap();
    let mut ours = Vec::new();
    stored.key.write_parameters(&mut ours).unwrap();
    assert_eq!(bytes[header::HEADER..], ours);
    assert!(theirs.vk == *stored.key.verifying_key());
    ProvingKey::from_parameters(&theirs, &system).unwrap();
}

#[test]
fn a_changed_circuit_makes_the_key_stale() {
    let (_folder, store, system, _) = made();
    let other = R1cs::of(RandomCircuit::new(6, 2, 12)).unwrap();
    for error in
        [again(&store, &other).err().unwrap(), store.verifying_key(SHAPE, &other).err().unwrap()]
    {
        let KeyFileError::Stale { expected, found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(expected, hex::encode(other.digest()));
        assert_eq!(found, hex::encode(system.digest()));
    }
}

#[test]
fn every_cut_is_truncation() {
    let (_folder, store, system, _) = made();
    let path = store.path(SHAPE).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in [0, 7, header::HEADER - 1, header::HEADER, 1000, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = again(&store, &system).err().unwrap();
        let KeyFileError::Truncated { found, .. } = error else {
            panic!("{length}: {error}");
        };
        assert_eq!(found, length as u64);
    }
    fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(again(&store, &system), Err(KeyFileError::Corrupt { .. })));
}

#[test]
fn every_changed_byte_is_noticed() {
    let (_folder, store, system, _) = made();
    let path = store.path(SHAPE).unwrap();
    let bytes = fs::read(&path).unwrap();
    let places = (0..header::HEADER + 64).chain((header::HEADER..bytes.len()).step_by(997));
    for place in places {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        let error = again(&store, &system).err().unwrap_or_else(|| panic!("byte {place}"));
        let expected = match place {
            0..8 => matches!(error, KeyFileError::NotAKey { .. }),
            8..12 => matches!(error, KeyFileError::Version { .. }),
            12 => matches!(error, KeyFileError::Corrupt { .. }),
            78..110 => matches!(error, KeyFileError::Stale { .. }),
            13..78 => {
                matches!(error, KeyFileError::Corrupt { .. } | KeyFileError::OtherShape { .. })
            }
            114..122 => {
                matches!(error, KeyFileError::Corrupt { .. } | KeyFileError::Truncated { .. })
            }
            _ => matches!(error, KeyFileError::Corrupt { .. }),
        };
        assert!(expected, "byte {place}: {error}");
    }
}

#[test]
fn keys_of_other_shapes_and_bad_names_are_refused() {
    let (_folder, store, system, _) = made();
    fs::copy(store.path(SHAPE).unwrap(), store.path("other").unwrap()).unwrap();
    let error = store.get_or_make("other", &system, |_| {}).err().unwrap();
    assert!(matches!(error, KeyFileError::OtherShape { .. }), "{error}");
    for name in ["", "../up", "Upper", "a/b", &"x".repeat(65)] {
        let error = store.get_or_make(name, &system, |_| {}).err().unwrap();
        assert!(matches!(error, KeyFileError::Name { .. }), "{error}");
    }
}

#[test]
fn a_key_that_exists_is_not_replaced() {
    let (_folder, store, system, first) = made();
    let path = store.path(SHAPE).unwrap();
    let parameters = generate(&system, &mut OsRng).unwrap();
    let second = ProvingKey::from_parameters(&parameters, &system).unwrap();
    assert!(!second.save(&path, SHAPE, Provenance::Dev).unwrap());
    let vk = store.verifying_key(SHAPE, &system).unwrap();
    assert!(vk == *first.key.verifying_key());
}
