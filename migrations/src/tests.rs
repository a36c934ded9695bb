//! Each step against its fixtures: what is there before, and a description of what is there after.

use std::fmt::Write;
use std::path::Path;

use parity_db::Options;
use tempfile::tempdir;

use super::*;
use crate::schema::{Column, KEY_SCHEMA};

/// Columns with their options, and the entries of the meta column that are known.
fn describe(path: &Path) -> String {
    let metadata = Options::load_metadata(path).unwrap();
    let Some(metadata) = metadata else { return "no store\n".to_owned() };
    let columns = u8::try_from(metadata.columns.len()).unwrap();
    let db = open(path, columns).unwrap();
    let mut text = String::new();
    for (id, options) in metadata.columns.iter().enumerate() {
        let mut entries = 0;
        db.iter_column_while(u8::try_from(id).unwrap(), |_| {
            entries += 1;
            true
        })
        .unwrap();
        let kind = if options.btree_index { "ordered" } else { "hash" };
        writeln!(text, "column {id}: {kind}, {entries} entries").unwrap();
    }
    let schema = db.get(Column::Meta.id(), KEY_SCHEMA).unwrap().unwrap();
    writeln!(text, "schema = {schema:?}").unwrap();
    text
}

#[test]
fn genesis_leads_from_its_before_to_its_after() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("store");
    assert_eq!(describe(&path), include_str!("../fixtures/m0001_before.txt"));
    m0001_genesis::run(&path).unwrap();
    assert_eq!(describe(&path), include_str!("../fixtures/m0001_after.txt"));
}

#[test]
fn an_empty_folder_becomes_a_store_and_a_store_stays_as_it_is() {
    let folder = tempdir().unwrap();
    assert_eq!(migrate(folder.path()).unwrap(), Migrated { from: 0, to: schema::VERSION });
    let before = describe(folder.path());
    let kept = Migrated { from: schema::VERSION, to: schema::VERSION };
    assert_eq!(migrate(folder.path()).unwrap(), kept);
    assert_eq!(describe(folder.path()), before);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempdir().unwrap();
    migrate(folder.path()).unwrap();
    let newer = (schema::VERSION + 1).to_be_bytes().to_vec();
    let db = open(folder.path(), STEPS.last().unwrap().columns).unwrap();
    commit(&db, [(Column::Meta.id(), KEY_SCHEMA.to_vec(), Some(newer))]).unwrap();
    drop(db);
    let before = describe(folder.path());
    let error = migrate(folder.path()).unwrap_err();
    assert!(matches!(error, MigrationError::Newer { found: 2, supported: 1, .. }), "{error}");
    assert_eq!(describe(folder.path()), before);
}

#[test]
fn a_creation_that_was_cut_short_begins_again() {
    let folder = tempdir().unwrap();
    drop(open(folder.path(), m0001_genesis::COLUMNS).unwrap());
    assert_eq!(version(folder.path()).unwrap(), 0);
    assert_eq!(migrate(folder.path()).unwrap(), Migrated { from: 0, to: schema::VERSION });
}

#[test]
fn a_database_of_something_else_is_refused() {
    let folder = tempdir().unwrap();
    drop(open(folder.path(), 3).unwrap());
    assert!(matches!(migrate(folder.path()), Err(MigrationError::Foreign { .. })));

    let full = tempdir().unwrap();
    let db = open(full.path(), m0001_genesis::COLUMNS).unwrap();
    commit(&db, [(Column::Blocks.id(), b"key".to_vec(), Some(vec![1; 40]))]).unwrap();
    drop(db);
    assert!(matches!(migrate(full.path()), Err(MigrationError::Foreign { .. })));
}

#[test]
fn a_store_of_the_first_edition_is_refused_and_left_alone() {
    let folder = tempdir().unwrap();
    let db = open(folder.path(), 7).unwrap();
    let version = 1u32.to_be_bytes().to_vec();
    commit(&db, [(Column::Meta.id(), KEY_SCHEMA.to_vec(), Some(version))]).unwrap();
    drop(db);
    let before = describe(folder.path());
    assert!(matches!(migrate(folder.path()), Err(MigrationError::Foreign { .. })));
    assert_eq!(describe(folder.path()), before);
}

#[test]
fn columns_and_steps_are_numbered_without_gaps() {
    for (index, column) in Column::ALL.iter().enumerate() {
        assert_eq!(usize::from(column.id()), index);
    }
    for (version, step) in (1u32..).zip(STEPS) {
        assert_eq!(step.version, version);
    }
    let last = STEPS.last().unwrap();
    assert_eq!((last.version, usize::from(last.columns)), (schema::VERSION, Column::ALL.len()));
}
