//! The store on parity-db. With `migrations/` this is the only file that knows it.

use std::fmt;
use std::path::Path;

use parity_db::Db;
use zklink_migrations::schema::{self, Column};

use super::store::{Store, StoreError, Write};

/// A parity-db, held by one process.
pub struct ParityStore {
    db: Db,
}

impl ParityStore {
    /// Opens the store at `path` after bringing it to this program's schema; makes it if need be.
    ///
    /// # Errors
    /// [`StoreError`] when the store is newer, foreign, locked or damaged.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let done = zklink_migrations::migrate(path)?;
        if done.from != done.to {
            tracing::info!(from = done.from, to = done.to, "store migrated");
        }
        let columns = u8::try_from(Column::ALL.len()).expect("columns are numbered by one byte");
        let db = Db::open(&schema::options(path, columns)).map_err(failed)?;
        Ok(Self { db })
    }
}

impl Store for ParityStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get(column.id(), key).map_err(failed)
    }

    fn commit(&self, batch: Vec<Write>) -> Result<(), StoreError> {
        let writes = batch.into_iter().map(|write| (write.column.id(), write.key, write.value));
        self.db.commit(writes).map_err(failed)
    }
}

fn failed(error: parity_db::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl fmt::Debug for ParityStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParityStore")
    }
}
