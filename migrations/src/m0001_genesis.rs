//! Step 1: an empty store with the first eleven columns.

use std::path::Path;

use crate::{MigrationError, commit, open};

/// Number of columns of schema 1. Not `Column::ALL.len()`: a step never changes.
pub(crate) const COLUMNS: u8 = 11;
const META: u8 = 0;

/// Before: no store, or one whose creation was cut short. After: schema 1, no entries.
pub(crate) fn run(path: &Path) -> Result<(), MigrationError> {
    let db = open(path, COLUMNS)?;
    commit(&db, [(META, b"schema".to_vec(), Some(1u32.to_be_bytes().to_vec()))])
}
