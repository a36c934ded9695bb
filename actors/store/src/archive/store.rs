//! What the archive needs of a store.

use zklink_migrations::MigrationError;
use zklink_migrations::schema::Column;

/// One change of a batch.
#[derive(Clone, PartialEq, Eq)]
pub struct Write {
    /// The column.
    pub column: Column,
    /// The key.
    pub key: Vec<u8>,
    /// The new value; nothing to delete the key.
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// Sets `key` to `value`.
    pub fn put(column: Column, key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { column, key, value: Some(value) }
    }

    /// Deletes `key`, if it is there.
    pub fn delete(column: Column, key: Vec<u8>) -> Self {
        Self { column, key, value: None }
    }
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be brought to this program's schema.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// Reading or writing failed.
    #[error("the store failed: {0}; check the disk, its space and its rights, then start again")]
    Failed(String),
}

/// Columns of keys and values. A batch is applied as a whole; after a crash the store is as it was
/// behind one of its batches, not necessarily the last.
pub trait Store: Send + Sync {
    /// The value of a key, as of the last committed batch.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Commits a batch. Readers see it at once; it is durable some time later.
    ///
    /// # Errors
    /// [`StoreError`] when the storage fails, also for an earlier batch.
    fn commit(&self, batch: Vec<Write>) -> Result<(), StoreError>;
}
