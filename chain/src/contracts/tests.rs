use std::collections::BTreeSet;

use alloy_sol_types::{SolError, SolEvent, SolInterface};
use serde_json::Value;
use zklink::tx::keccak;

use super::refusal::known_selectors;
use super::*;

/// The signatures of an artifact's functions, events or errors.
fn signatures(artifact: &str, kind: &str) -> BTreeSet<String> {
    let artifact: Value = serde_json::from_str(artifact).unwrap();
    let entries = artifact["abi"].as_array().unwrap().clone();
    let wanted = entries.into_iter().filter(|entry| entry["type"] == kind);
    wanted
        .map(|entry| format!("{}{}", entry["name"].as_str().unwrap(), tuple(&entry["inputs"])))
        .collect()
}

fn tuple(inputs: &Value) -> String {
    let types: Vec<String> = inputs.as_array().unwrap().iter().map(one_type).collect();
    format!("({})", types.join(","))
}

fn one_type(input: &Value) -> String {
    let name = input["type"].as_str().unwrap();
    match name.strip_prefix("tuple") {
        Some(array) => format!("{}{array}", tuple(&input["components"])),
        None => name.to_owned(),
    }
}

fn selectors(signatures: &BTreeSet<String>) -> BTreeSet<[u8; 4]> {
    let first = |text: &String| keccak(&[text.as_bytes()])[..4].try_into().unwrap();
    signatures.iter().map(first).collect()
}

const ROLLUP: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/Rollup.json"));
const HUB: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/Hub.json"));
const ORACLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/LightOracle.json"));
const RECORDER: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/KeyRecorder.json"));
const LOCAL_ROUTE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/LocalRoute.json"));
const VERIFIER: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../contracts/artifacts/Groth16Verifier.json"
));
const TOKEN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/artifacts/DevToken.json"));

fn assert_calls<I: SolInterface>(artifact: &str, name: &str) {
    let known = selectors(&signatures(artifact, "function"));
    for selector in I::selectors() {
        assert!(known.contains(&selector), "{name} has no function {}", hex::encode(selector));
    }
}

#[test]
fn every_function_that_is_called_exists_in_the_artifacts() {
    assert_calls::<Rollup::RollupCalls>(ROLLUP, "Rollup");
    assert_calls::<Endpoint::EndpointCalls>(ROLLUP, "Rollup");
    assert_calls::<Endpoint::EndpointCalls>(HUB, "Hub");
    assert_calls::<KeyRecorder::KeyRecorderCalls>(RECORDER, "KeyRecorder");
    assert_calls::<Route::RouteCalls>(LOCAL_ROUTE, "LocalRoute");
    assert_calls::<Route::RouteCalls>(ORACLE, "LightOracle");
    assert_calls::<Hub::HubCalls>(HUB, "Hub");
    assert_calls::<LightOracle::LightOracleCalls>(ORACLE, "LightOracle");
    assert_calls::<Groth16Verifier::Groth16VerifierCalls>(VERIFIER, "Groth16Verifier");
    assert_calls::<Erc20::Erc20Calls>(TOKEN, "DevToken");
}

#[test]
fn every_event_that_is_read_exists_in_the_artifacts() {
    let events = signatures(ROLLUP, "event");
    assert!(events.contains(Rollup::DepositQueued::SIGNATURE));
    assert!(events.contains(Rollup::OperationsCommitted::SIGNATURE));
    assert!(signatures(RECORDER, "event").contains(KeyRecorder::AuthPubKeySet::SIGNATURE));
    assert!(signatures(ORACLE, "event").contains(LightOracle::MessageSent::SIGNATURE));
}

#[test]
fn every_error_of_the_artifacts_can_be_put_into_words_and_no_other() {
    let mut artifacts = BTreeSet::new();
    for artifact in [ROLLUP, HUB, ORACLE, LOCAL_ROUTE, RECORDER, VERIFIER, TOKEN] {
        artifacts.append(&mut signatures(artifact, "error"));
    }
    let known: BTreeSet<[u8; 4]> = known_selectors().into_iter().collect();
    let unknown: Vec<&String> =
        artifacts.iter().filter(|text| !known.contains(&keccak(&[text.as_bytes()])[..4])).collect();
    assert_eq!(unknown, Vec::<&String>::new());
    assert_eq!(selectors(&artifacts), known, "the list names errors that no contract has");
}

#[test]
fn an_error_is_shown_in_words() {
    let mut data = keccak(&[b"DepositMismatch(uint256,uint64)"])[..4].to_vec();
    data.extend_from_slice(&U256::from(0).to_be_bytes::<32>());
    data.extend_from_slice(&U256::from(4).to_be_bytes::<32>());
    assert_eq!(revert_text(&data), "DepositMismatch(index 0, serial 4)");
    let plain = keccak(&[b"NoWords()"])[..4].to_vec();
    assert_eq!(revert_text(&plain), "NoWords");
    let revert = alloy_sol_types::Revert::from("because").abi_encode();
    assert_eq!(revert_text(&revert), "because");
    assert_eq!(revert_text(&[]), "it gave no reason");
    assert_eq!(revert_text(&[1, 2, 3, 4, 5]), "an unknown error 0x0102030405");
}
