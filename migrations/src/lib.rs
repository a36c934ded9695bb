//! Schema of the stored state and its append-only migration steps.
//!
//! There is one step per version, in a file of its own, that is never changed after a release.
//! A store that was written by a newer program is refused. A step that was cut short by a crash
//! runs again: its last commit is the new version.

use std::path::{Path, PathBuf};

use parity_db::{Db, Options};

mod m0001_genesis;
pub mod schema;

/// Why the store cannot be brought to this program's schema.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A newer program wrote this store.
    #[error(
        "{path} has schema {found}, this program knows schemas up to {supported}: start the newer \
         program, or let this one rebuild an empty folder from the journal"
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version known here.
        supported: u32,
    },
    /// The folder holds a parity-db that is not a zkLink store of this edition.
    #[error(
        "{path} is a database of something else, or of an edition before any release: check the data folder of the \
         node"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The database failed.
    #[error(
        "store {path}: {source}. Is another node running on this folder? If the store is damaged, \
         move it away: it is rebuilt from the journal"
    )]
    Store {
        /// The folder.
        path: PathBuf,
        /// What parity-db said.
        source: parity_db::Error,
    },
}

/// What [`migrate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema that was found; zero when there was no store.
    pub from: u32,
    /// The schema now.
    pub to: u32,
}

struct Step {
    version: u32,
    columns: u8,
    run: fn(&Path) -> Result<(), MigrationError>,
}

/// All steps, oldest first.
const STEPS: &[Step] =
    &[Step { version: 1, columns: m0001_genesis::COLUMNS, run: m0001_genesis::run }];

/// Brings the store at `path` to [`schema::VERSION`]; makes it if there is none. The folder must
/// not be in use.
///
/// # Errors
/// [`MigrationError`]; the store then is as it was, or at a version in between.
pub fn migrate(path: &Path) -> Result<Migrated, MigrationError> {
    let from = version(path)?;
    if from > schema::VERSION {
        let supported = schema::VERSION;
        return Err(MigrationError::Newer { path: path.to_owned(), found: from, supported });
    }
    for step in STEPS.iter().filter(|step| step.version > from) {
        (step.run)(path)?;
    }
    Ok(Migrated { from, to: schema::VERSION })
}

/// The schema of the store at `path`; zero when there is none.
///
/// # Errors
/// [`MigrationError::Foreign`] for a database that is not ours, or what parity-db says.
pub fn version(path: &Path) -> Result<u32, MigrationError> {
    let metadata = Options::load_metadata(path).map_err(|source| fault(path, source))?;
    let Some(metadata) = metadata else { return Ok(0) };
    let foreign = || MigrationError::Foreign { path: path.to_owned() };
    let columns = u8::try_from(metadata.columns.len()).map_err(|_| foreign())?;
    let db = open(path, columns)?;
    let found = db.get(schema::Column::Meta.id(), schema::KEY_SCHEMA);
    let found = found.map_err(|source| fault(path, source))?;
    match found.map(<[u8; 4]>::try_from) {
        Some(Ok(bytes)) => {
            let found = u32::from_be_bytes(bytes);
            let step = STEPS.iter().find(|step| step.version == found);
            // Stores of the first edition have the version, but not its columns.
            if step.is_none_or(|step| step.columns == columns) { Ok(found) } else { Err(foreign()) }
        }
        Some(Err(_)) => Err(foreign()),
        // The very first commit did not reach the disk: begin again.
        None if columns == STEPS[0].columns && is_empty(&db, path)? => Ok(0),
        None => Err(foreign()),
    }
}

fn is_empty(db: &Db, path: &Path) -> Result<bool, MigrationError> {
    let mut entries = 0;
    for column in 0..db.num_columns() {
        let seen = db.iter_column_while(column, |_| {
            entries += 1;
            false
        });
        seen.map_err(|source| fault(path, source))?;
    }
    Ok(entries == 0)
}

pub(crate) fn open(path: &Path, columns: u8) -> Result<Db, MigrationError> {
    let options = schema::options(path, columns);
    Db::open_or_create(&options).map_err(|source| fault(path, source))
}

/// Commits and closes: the database is dropped by the caller right after, which makes it durable.
pub(crate) fn commit(
    db: &Db,
    changes: impl IntoIterator<Item = (u8, Vec<u8>, Option<Vec<u8>>)>,
) -> Result<(), MigrationError> {
    db.commit(changes).map_err(|source| fault(Path::new("(migrating)"), source))
}

fn fault(path: &Path, source: parity_db::Error) -> MigrationError {
    MigrationError::Store { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
