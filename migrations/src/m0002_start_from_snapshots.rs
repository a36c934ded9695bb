//! Step 2: columns for what a start needs that does not read everything again.
//!
//! They are filled from the journal, and so are those that count: the position in the journal is
//! forgotten, and the archive reads the journal once more. Proofs and commitments stay, which are not
//! in the journal. A snapshot of schema 1 was never written by a released program.

use std::path::Path;

use parity_db::{ColumnOptions, Db};

use crate::{MigrationError, columns_of, commit, fault, open, schema};

/// Number of columns of schema 2.
pub(crate) const COLUMNS: u8 = 10;
const META: u8 = 0;
const ACCOUNT_TRANSACTIONS: u8 = 3;
const SNAPSHOTS: u8 = 6;

/// Before: schema 1, or this step cut short. After: schema 2, to be filled from the journal.
pub(crate) fn run(path: &Path) -> Result<(), MigrationError> {
    let mut columns = columns_of(path)?;
    let db = open(path, columns)?;
    // First of all, so that whatever follows is never taken for the image of the journal.
    let forgotten = [b"applied".to_vec(), b"head".to_vec()];
    commit(&db, forgotten.map(|key| (META, key, None)))?;
    drop(db);
    for column in [ACCOUNT_TRANSACTIONS, SNAPSHOTS] {
        let mut options = schema::options(path, columns);
        Db::reset_column(&mut options, column, None).map_err(|source| fault(path, source))?;
    }
    while columns < COLUMNS {
        let mut options = schema::options(path, columns);
        let added = Db::add_column(&mut options, ColumnOptions::default());
        added.map_err(|source| fault(path, source))?;
        columns += 1;
    }
    let db = open(path, COLUMNS)?;
    commit(&db, [(META, b"schema".to_vec(), Some(2u32.to_be_bytes().to_vec()))])
}
