//! A simulated store: entries in memory, of which the last batches can be lost.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use zklink_migrations::schema::Column;

use crate::archive::store::{Store, StoreError, Write};

#[derive(Default)]
struct Batches {
    entries: BTreeMap<(Column, Vec<u8>), Vec<u8>>,
    history: Vec<Vec<Write>>,
    failing: bool,
}

/// A store in memory that can lose its last batches. Clones share their content.
#[derive(Default, Clone)]
pub struct SimStore(Arc<Mutex<Batches>>);

impl SimStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of batches so far.
    pub fn batches(&self) -> usize {
        self.lock().history.len()
    }

    /// The process dies: only the first `kept` batches had reached the disk.
    pub fn lose_after(&self, kept: usize) {
        let mut batches = self.lock();
        batches.history.truncate(kept);
        batches.entries.clear();
        for batch in batches.history.clone() {
            batches.enter(&batch);
        }
    }

    /// Makes every later commit fail.
    pub fn fail(&self) {
        self.lock().failing = true;
    }

    /// All entries, to compare two stores.
    pub fn entries(&self) -> BTreeMap<(Column, Vec<u8>), Vec<u8>> {
        self.lock().entries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Batches {
    fn enter(&mut self, batch: &[Write]) {
        for write in batch {
            let place = (write.column, write.key.clone());
            match &write.value {
                Some(value) => drop(self.entries.insert(place, value.clone())),
                None => drop(self.entries.remove(&place)),
            }
        }
    }
}

impl Store for SimStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().entries.get(&(column, key.to_vec())).cloned())
    }

    fn commit(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        let mut batches = self.lock();
        if batches.failing {
            return Err(StoreError::Failed("simulated failure".to_owned()));
        }
        batches.enter(&batch);
        batches.history.push(batch);
        Ok(())
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimStore({} batches)", self.batches())
    }
}
