//! The page that takes a newcomer through a first network, run as it stands: only ports, the folder of proving keys and
//! the shapes are those of this test.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../docs/first-network.md");

/// The commands of the page, in order.
fn blocks() -> Vec<&'static str> {
    let parts = PAGE.split("```sh\n").skip(1);
    parts.map(|part| part.split_once("```").unwrap().0).collect()
}

/// A text with other ports.
fn moved(text: &str, ports: &[(&str, u16)]) -> String {
    ports
        .iter()
        .fold(text.to_owned(), |text, (of_page, ours)| text.replace(of_page, &ours.to_string()))
}

#[test]
fn the_page_leads_from_keys_to_a_deposit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // All of them at once, so that they are not the same.
    let free = ["8545", "8546", "3030"]
        .map(|of_page| (of_page, TcpListener::bind("127.0.0.1:0").unwrap()));
    let ports = free.map(|(of_page, listener)| (of_page, listener.local_addr().unwrap().port()));
    for name in ["deploy.toml", "node.toml"] {
        let text = std::fs::read_to_string(root.join("config").join(name)).unwrap();
        let text = moved(&text, &ports);
        let nano = text.replace(r#"shapes = ["nano", "small"]"#, r#"shapes = ["nano"]"#);
        assert_eq!(nano != text, name == "deploy.toml", "the shapes of the example");
        std::fs::write(folder.path().join(name), nano).unwrap();
    }
    // The keys of the other tests of this repository, so that they are made once.
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    std::os::unix::fs::symlink(&keys, folder.path().join("keys")).unwrap();

    let blocks = blocks();
    let [build, rest @ ..] = &blocks[..] else { panic!("the page has commands") };
    assert!(build.contains("cargo build --release") && rest.len() == 5, "{blocks:?}");
    let program = Path::new(env!("CARGO_BIN_EXE_zklink")).parent().unwrap();
    let foundry = root.join("contracts/node_modules/.bin");
    let path =
        format!("{}:{}:{}", program.display(), foundry.display(), std::env::var("PATH").unwrap());
    let ending = "set -euo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n";
    let script = format!("{ending}{}", moved(&rest.concat(), &ports));
    let mut bash = Command::new("timeout");
    bash.args(["300", "bash", "-c", &script]).current_dir(folder.path()).env("PATH", path);
    let output = bash.output().unwrap();
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    for part in ["Nothing was sent.", "Deployment file:", "RPC on http://", r#""id":"#] {
        assert!(out.contains(part), "{part}: {out}\n{err}");
    }
    assert!(!out.contains("ALARM"), "{out}");
}
