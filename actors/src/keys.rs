//! Proving keys: where they are kept, and how their making is shown.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use zklink::shape::Shape;
use zklink_circuit::groth16::Making;
use zklink_circuit::proving::ShapeKeys;

use crate::cli::{KeysArgs, MakeKeysArgs, ShapeName};
use crate::local::shapes_up_to;
use crate::show::{Show, group};

/// Makes the keys of the shapes that were named, or of those that a development network has.
///
/// # Errors
/// A key cannot be read or made.
pub(crate) fn run(make: &MakeKeysArgs, keys: &KeysArgs) -> Result<()> {
    let show = Show::new();
    let named: Vec<&'static Shape> = make.shape.iter().map(|name| name.shape()).collect();
    let wanted = if named.is_empty() { shapes_up_to(ShapeName::Small.shape()) } else { named };
    let folder = folder(keys.keys.as_deref());
    let keys = open(&folder, &wanted, &show)?;
    for key in keys.iter() {
        let (name, rows) = (key.shape.name, group(&key.constraints().to_string()));
        let digest = hex::encode(&key.key.digest()[..8]);
        show.line(format!(
            "{name}: {rows} constraints, circuit {digest}, {:?} key",
            key.provenance
        ));
    }
    show.line(format!("The keys are in {}", folder.display()));
    Ok(())
}

/// The folder that was named, or the one in the user's cache.
pub(crate) fn folder(named: Option<&Path>) -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    match named {
        Some(named) => named.to_owned(),
        None => cache().map_or_else(|| ".zklink".into(), |cache| cache.join("zklink")).join("keys"),
    }
}

/// Reads keys, and makes those that are missing, which takes minutes and happens once.
///
/// # Errors
/// A key cannot be read or made.
pub(crate) fn open(folder: &Path, shapes: &[&'static Shape], show: &Show) -> Result<ShapeKeys> {
    let work = show.spinner("proving keys");
    let keys = ShapeKeys::open(folder, shapes, |shape, making| {
        let what = match making {
            Making::Loading => "reading",
            Making::Generating => "making (once; this takes a while)",
            Making::Preparing => "preparing",
            Making::Saving => "saving",
        };
        work.say(&format!("proving key of shape {}: {what}", shape.name));
        if making == Making::Generating {
            show.line(format!(
                "  The proving key of shape {} is made once and kept in {}",
                shape.name,
                folder.display()
            ));
        }
    });
    keys.with_context(|| format!("the proving keys in {}", folder.display()))
}

/// [`open`], away from the thread on which everything else waits.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_apart(
    folder: PathBuf,
    shapes: Vec<&'static Shape>,
    show: &Show,
) -> Result<ShapeKeys> {
    let show = show.clone();
    tokio::task::spawn_blocking(move || open(&folder, &shapes, &show))
        .await
        .context("making the proving keys panicked")?
}
