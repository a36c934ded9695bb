//! Proving keys: where they are kept, and how their making is shown.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use zklink::shape::Shape;
use zklink::tx::keccak;
use zklink_chain::deploy::Deployment;
use zklink_circuit::groth16::Making;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::ShapeKeys;

use crate::cli::{MakeKeysArgs, ShapeName};
use crate::local::shapes_up_to;
use crate::show::{Show, group};

/// Makes the keys of the shapes that were named, or of those that a development network has.
///
/// # Errors
/// A key cannot be read or made.
pub(crate) fn run(make: &MakeKeysArgs) -> Result<()> {
    let show = Show::new();
    let named: Vec<&'static Shape> = make.shape.iter().map(|name| name.shape()).collect();
    let wanted = if named.is_empty() { shapes_up_to(ShapeName::Small.shape()) } else { named };
    let folder = folder(make.keys.keys.as_deref());
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
    let told = telling(folder, show);
    let keys = ShapeKeys::open(folder, shapes, told);
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

/// Reads the proving keys of a deployment. None is made: it would be another one than that which the contracts know.
///
/// # Errors
/// A key is missing, cannot be read, or is not that of the contracts.
pub(crate) async fn of_deployment(
    deployment: &Deployment,
    folder: PathBuf,
    show: &Show,
) -> Result<ShapeKeys> {
    let mut shapes = Vec::new();
    for deployed in &deployment.shapes {
        let shape = zklink::shape::shape(deployed.id);
        shapes.push(shape.with_context(|| {
            format!("this program does not know shape {} of the deployment", deployed.id)
        })?);
    }
    let (show, place) = (show.clone(), folder.clone());
    let reading = move || ShapeKeys::read(&folder, &shapes, telling(&folder, &show));
    let keys = tokio::task::spawn_blocking(reading).await;
    let keys = keys.context("reading the proving keys panicked")?.with_context(|| {
        format!("the proving keys in {} (keys in the configuration, or --keys)", place.display())
    })?;
    for deployed in &deployment.shapes {
        let key = keys.verifying_key(deployed.id).context("a key for each shape was read")?;
        ensure!(
            keccak(&[&verifying_key_to_evm(key)]) == deployed.key_hash,
            "the proving key of shape {} in {} is not the one that the contracts know: bring the folder of keys with \
             which they were deployed, and name it with keys in the configuration or --keys",
            deployed.id,
            place.display()
        );
    }
    Ok(keys)
}

/// Shows what is done with the keys.
fn telling(folder: &Path, show: &Show) -> impl FnMut(&'static Shape, Making) {
    let (folder, show, work) = (folder.to_owned(), show.clone(), show.spinner("proving keys"));
    move |shape, making| {
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
    }
}
