//! Proving blocks: the recorded circuit and the keys of each shape.

use std::collections::BTreeMap;
use std::path::Path;

use bellman::groth16::{Proof, VerifyingKey};
use bls12_381::Bls12;
use zklink::hash::Fr;
use zklink::id::ShapeId;
use zklink::shape::Shape;

use crate::block::BlockCircuit;
use crate::groth16::{
    self, KeyFileError, KeyStore, Making, ProveError, Provenance, ProvingKey, R1cs, R1csError,
    Stage, StoredKey,
};
use crate::witness::Witness;

/// Bytes of a proof as bellman writes it.
pub const PROOF_BYTES: usize = 192;

/// A shape with its recorded circuit and its proving key.
#[derive(Debug)]
pub struct ShapeKey {
    /// The shape.
    pub shape: &'static Shape,
    /// The recorded circuit.
    pub system: R1cs,
    /// The proving key.
    pub key: ProvingKey,
    /// Where the key comes from.
    pub provenance: Provenance,
}

/// The keys of the shapes that a deployment uses.
#[derive(Debug)]
pub struct ShapeKeys(BTreeMap<ShapeId, ShapeKey>);

/// Keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The circuit cannot be recorded.
    #[error("the circuit of shape {name}: {source}")]
    Circuit {
        /// The shape.
        name: &'static str,
        /// What is wrong.
        source: R1csError,
    },
    /// The key cannot be read or made.
    #[error("the key of shape {name}: {source}")]
    Key {
        /// The shape.
        name: &'static str,
        /// What is wrong.
        source: KeyFileError,
    },
}

/// A proof is not one of the statement.
#[derive(Debug, thiserror::Error)]
pub enum BadProof {
    /// There is no key of the shape.
    #[error("there is no key of shape {0}")]
    Shape(ShapeId),
    /// The bytes are not a proof.
    #[error("the bytes are not a proof: {0}")]
    Bytes(std::io::Error),
    /// The proof does not prove the statement.
    #[error("the proof does not prove the statement")]
    Wrong,
}

impl ShapeKeys {
    /// Reads the keys of the shapes from a folder, and makes those that are missing. `progress` hears what is done.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn open(
        folder: &Path,
        shapes: &[&'static Shape],
        mut progress: impl FnMut(&'static Shape, Making),
    ) -> Result<ShapeKeys, KeysError> {
        let store = KeyStore::new(folder);
        ShapeKeys::of(shapes, |shape, system| {
            store.get_or_make(shape.name, system, |making| progress(shape, making))
        })
    }

    /// Reads the keys of the shapes from a folder. A key that is missing there would not be the one that contracts know
    /// if it was made.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn read(
        folder: &Path,
        shapes: &[&'static Shape],
        mut progress: impl FnMut(&'static Shape, Making),
    ) -> Result<ShapeKeys, KeysError> {
        let store = KeyStore::new(folder);
        ShapeKeys::of(shapes, |shape, system| {
            store.get(shape.name, system, |making| progress(shape, making))
        })
    }

    fn of(
        shapes: &[&'static Shape],
        mut stored: impl FnMut(&'static Shape, &R1cs) -> Result<StoredKey, KeyFileError>,
    ) -> Result<ShapeKeys, KeysError> {
        let mut keys = BTreeMap::new();
        for shape in shapes {
            let name = shape.name;
            let system = R1cs::of(BlockCircuit { shape, witness: None })
                .map_err(|source| KeysError::Circuit { name, source })?;
            let found = stored(shape, &system).map_err(|source| KeysError::Key { name, source })?;
            let StoredKey { key, provenance } = found;
            keys.insert(shape.id, ShapeKey { shape, system, key, provenance });
        }
        Ok(ShapeKeys(keys))
    }

    /// The key of a shape.
    pub fn get(&self, shape: ShapeId) -> Option<&ShapeKey> {
        self.0.get(&shape)
    }

    /// All keys, in order of the shapes' ids.
    pub fn iter(&self) -> impl Iterator<Item = &ShapeKey> {
        self.0.values()
    }

    /// The verifying key of a shape.
    pub fn verifying_key(&self, shape: ShapeId) -> Option<&VerifyingKey<Bls12>> {
        self.get(shape).map(|key| key.key.verifying_key())
    }

    /// Checks the bytes of a proof from outside.
    ///
    /// # Errors
    /// [`BadProof`].
    pub fn check(&self, shape: ShapeId, inputs: &[Fr], proof: &[u8]) -> Result<(), BadProof> {
        let key = self.verifying_key(shape).ok_or(BadProof::Shape(shape))?;
        let proof = read_proof(proof)?;
        groth16::verify(key, inputs, &proof).map_err(|_| BadProof::Wrong)
    }
}

impl ShapeKey {
    /// Number of constraints of the circuit.
    pub fn constraints(&self) -> usize {
        self.system.rows()
    }

    /// Proves a block.
    ///
    /// # Errors
    /// [`ProveError`].
    pub fn prove(
        &self,
        witness: &Witness,
        progress: impl FnMut(Stage, f32),
    ) -> Result<Proof<Bls12>, ProveError> {
        let circuit = BlockCircuit { shape: self.shape, witness: Some(witness) };
        groth16::prove(&self.key, &self.system, circuit, progress)
    }
}

/// Reads a proof as bellman writes it: points on the curve, in the subgroup, not the identity.
///
/// # Errors
/// [`BadProof::Bytes`].
pub fn read_proof(bytes: &[u8]) -> Result<Proof<Bls12>, BadProof> {
    if bytes.len() != PROOF_BYTES {
        let text = format!("a proof has {PROOF_BYTES} bytes, not {}", bytes.len());
        return Err(BadProof::Bytes(std::io::Error::other(text)));
    }
    Proof::read(bytes).map_err(BadProof::Bytes)
}

/// The bytes of a proof as bellman writes it.
pub fn write_proof(proof: &Proof<Bls12>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PROOF_BYTES);
    proof.write(&mut bytes).expect("writing into memory does not fail");
    bytes
}
