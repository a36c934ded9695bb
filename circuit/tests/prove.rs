//! One real key, one real proof: from a block to bytes that bellman's verifier accepts, and to what it refuses.

#[path = "support/blocks.rs"]
mod blocks;

use std::ops::Neg as _;

use bellman::groth16::Proof;
use blocks::{full, idle, witness};
use bls12_381::Bls12;
use zklink::hash::Fr;
use zklink::shape::{NANO, SMALL, Shape, shape};
use zklink_circuit::block::BlockCircuit;
use zklink_circuit::groth16::{
    KeyFileError, KeyStore, Making, ProveError, Provenance, R1cs, R1csError, constraint_name,
};
use zklink_circuit::proving::{
    BadProof, KeysError, PROOF_BYTES, ShapeKeys, read_proof, write_proof,
};
use zklink_circuit::witness::Witness;

/// Key generation takes seconds, so that one test tells the whole story.
#[test]
fn a_block_is_proven_and_nothing_else() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let nano: &'static Shape = shape(NANO).expect("a known shape");
    let mut heard = Vec::new();
    let keys = ShapeKeys::open(folder.path(), &[nano], |_, making| heard.push(making));
    let keys = keys.expect("the folder is empty");
    assert_eq!(heard, [Making::Generating, Making::Preparing, Making::Saving]);
    let key = keys.get(NANO).expect("it was asked for");
    assert_eq!(key.provenance, Provenance::Dev);

    let sealed = full();
    let honest = witness(&sealed);
    // The witness takes the way to a prover and back.
    let honest = Witness::decode(&honest.encode(), nano).expect("it was encoded here");
    let proof = key.prove(&honest, |_, _| {}).expect("the block is provable");
    let bytes = write_proof(&proof);
    assert_eq!(bytes.len(), PROOF_BYTES);
    let inputs = sealed.block.public_inputs().expect("it fits");
    keys.check(NANO, &inputs, &bytes).expect("bellman accepts it");

    only_these_inputs(&keys, &inputs, &bytes);
    only_these_bytes(&keys, &inputs, &bytes, &proof);
    assert!(matches!(keys.check(SMALL, &inputs, &bytes), Err(BadProof::Shape(SMALL))));

    // The same statement has another proof each time, and another block has another statement.
    let again = write_proof(&key.prove(&honest, |_, _| {}).expect("the block is provable"));
    assert_ne!(again, bytes);
    keys.check(NANO, &inputs, &again).expect("it proves the same");
    let other = idle(NANO).block.public_inputs().expect("it fits");
    assert!(matches!(keys.check(NANO, &other, &bytes), Err(BadProof::Wrong)));

    unprovable(&keys, &honest);
    keys_are_kept(folder.path(), nano, &keys);
}

fn only_these_inputs(keys: &ShapeKeys, inputs: &[Fr; 4], bytes: &[u8]) {
    for at in 0..inputs.len() {
        let mut wrong = *inputs;
        wrong[at] += Fr::one();
        let refused = keys.check(NANO, &wrong, bytes);
        assert!(matches!(refused, Err(BadProof::Wrong)), "input {at}");
    }
    assert!(matches!(keys.check(NANO, &inputs[..3], bytes), Err(BadProof::Wrong)));
    let more = [&inputs[..], &[Fr::zero()]].concat();
    assert!(matches!(keys.check(NANO, &more, bytes), Err(BadProof::Wrong)));
}

fn only_these_bytes(keys: &ShapeKeys, inputs: &[Fr; 4], bytes: &[u8], proof: &Proof<Bls12>) {
    let check = |bytes: &[u8]| keys.check(NANO, inputs, bytes);
    for cut in [0, 1, PROOF_BYTES - 1] {
        assert!(matches!(check(&bytes[..cut]), Err(BadProof::Bytes(_))), "{cut} bytes");
    }
    assert!(matches!(check(&[bytes, &[0]].concat()), Err(BadProof::Bytes(_))));
    assert!(matches!(check(&[0; PROOF_BYTES]), Err(BadProof::Bytes(_))));
    for at in (0..PROOF_BYTES).step_by(7) {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert!(check(&changed).is_err(), "byte {at}");
    }
    let swapped = Proof { a: proof.c, b: proof.b, c: proof.a };
    assert!(matches!(check(&write_proof(&swapped)), Err(BadProof::Wrong)));
    // Groth16 proofs can be changed into others of the same statement: (-A, -B, C) is one. So a proof is no name of
    // anything; whoever counts proofs must count statements.
    let malleated = Proof { a: proof.a.neg(), b: proof.b.neg(), c: proof.c };
    let malleated = write_proof(&malleated);
    assert_ne!(malleated, bytes);
    assert!(read_proof(&malleated).is_ok());
    check(&malleated).expect("it is a proof of the same statement");
}

/// A prover that is given a cheating witness says which constraint fails, and makes no proof.
fn unprovable(keys: &ShapeKeys, honest: &Witness) {
    let key = keys.get(NANO).expect("it was asked for");
    let mut cheat = honest.clone();
    cheat.balances[0].leaf.amount.0 += 1;
    let refused = key.prove(&cheat, |_, _| {});
    let Err(ProveError::Unsatisfied { row }) = refused else {
        panic!("an invented balance was proven");
    };
    let circuit = BlockCircuit { shape: key.shape, witness: None };
    let name = constraint_name(circuit, row).expect("it needs no values");
    let rule = "close/balance 0/level0/old child/child on the path";
    assert_eq!(name.as_deref(), Some(rule));
}

/// A key is made once; the key of another circuit under its name is refused, not replaced.
fn keys_are_kept(folder: &std::path::Path, nano: &'static Shape, keys: &ShapeKeys) {
    let mut heard = Vec::new();
    let loaded = ShapeKeys::read(folder, &[nano], |_, making| heard.push(making));
    let loaded = loaded.expect("the key is whole");
    assert_eq!(heard, [Making::Loading]);
    assert!(loaded.verifying_key(NANO) == keys.verifying_key(NANO));

    let store = KeyStore::new(folder);
    let mut other = nano.clone();
    other.room.queue -= 1;
    let changed: Result<R1cs, R1csError> = R1cs::of(BlockCircuit { shape: &other, witness: None });
    let changed = changed.expect("it records");
    let refused = store.get_or_make(nano.name, &changed, |_| {}).err();
    assert!(matches!(refused, Some(KeyFileError::Stale { .. })), "{refused:?}");
    let path = store.path(nano.name).expect("a good name");
    let length = std::fs::metadata(&path).expect("the key is there").len();
    let file = std::fs::File::options().write(true).open(&path).expect("the key is there");
    file.set_len(length - 1).expect("the file is ours");
    let refused = ShapeKeys::open(folder, &[nano], |_, _| {}).err();
    let Some(KeysError::Key { source: KeyFileError::Truncated { .. }, .. }) = refused else {
        panic!("{refused:?}");
    };
}
