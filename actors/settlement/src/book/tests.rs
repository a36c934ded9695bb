use zklink_chain::account::EthKey;
use zklink_mechanism::timestamp::Timestamp;

use super::*;

/// The oracle that delivers.
const ORACLE: [u8; 20] = [1; 20];

fn deployment() -> DeploymentId {
    DeploymentId([7; 31])
}

fn key(index: u8) -> EthKey {
    EthKey::from_seed(&format!("attester {index}"))
}

fn book(threshold: usize) -> AttestationBook {
    let attesters = (1..=3).map(|index| key(index).address()).collect();
    let oracles = [(ChainId(1), ORACLE), (ChainId(2), [2; 20])].into();
    AttestationBook::new(deployment(), oracles, attesters, threshold)
}

fn attest(index: u8, sequence: u64, payload: &[u8]) -> Attestation {
    let (source, destination) = (ChainId(2), ChainId(1));
    let message = (source, destination, sequence);
    let digest = message_digest(deployment(), ORACLE, message, payload);
    let signature = key(index).sign_digest(&digest);
    Attestation { source, destination, sequence, payload: payload.to_vec(), signature }
}

fn ask(book: &mut AttestationBook, delivered: u64) -> Vec<Deliverable> {
    let delivered = [(ChainId(2), delivered)].into();
    book.handle(WhatNext { destination: ChainId(1), delivered }, &mut Turn::at(Timestamp(0)))
}

#[test]
fn enough_signatures_over_the_same_bytes_make_a_message_deliverable() {
    let mut book = book(2);
    assert_eq!(book.take(attest(3, 0, b"release")), Ok(()));
    assert_eq!(book.take(attest(3, 0, b"release")), Ok(()), "twice the same counts once");
    assert_eq!(book.take(attest(1, 0, b"other")), Ok(()));
    assert_eq!(ask(&mut book, 0), vec![]);
    assert_eq!(book.take(attest(2, 0, b"release")), Ok(()));
    let found = ask(&mut book, 0);
    assert_eq!(found[0].payload, b"release");
    let digest = message_digest(deployment(), ORACLE, (ChainId(2), ChainId(1), 0), b"release");
    let signers: Vec<_> =
        found[0].signatures.iter().map(|s| recover(&digest, s).unwrap()).collect();
    assert_eq!(signers.len(), 2);
    assert!(signers[0] < signers[1], "the oracle wants them ascending");
}

#[test]
fn what_was_delivered_is_forgotten_and_the_window_moves() {
    let mut book = book(1);
    book.take(attest(1, 0, b"a")).unwrap();
    book.take(attest(1, 1, b"b")).unwrap();
    assert_eq!(book.take(attest(1, WINDOW, b"far")), Err(BadAttestation::Window));
    let both: Vec<u64> = ask(&mut book, 0).iter().map(|found| found.sequence).collect();
    assert_eq!(both, [0, 1], "all that follow each other");
    assert_eq!(ask(&mut book, 1)[0].payload, b"b");
    assert_eq!(book.take(attest(1, 0, b"a")), Err(BadAttestation::Window));
    assert_eq!(book.take(attest(1, WINDOW, b"far")), Ok(()));
    assert_eq!(ask(&mut book, 1).len(), 1, "not what lies behind a gap");
    // The destination took a delivery back: the attester offers again.
    assert_eq!(ask(&mut book, 0), vec![]);
    assert_eq!(book.take(attest(1, 0, b"a")), Ok(()));
    assert_eq!(ask(&mut book, 0)[0].payload, b"a");
}

#[test]
fn a_new_book_learns_where_a_channel_stands() {
    let mut book = book(1);
    assert_eq!(ask(&mut book, 5_000), vec![]);
    assert_eq!(book.take(attest(1, 5_000, b"x")), Ok(()));
    assert_eq!(ask(&mut book, 5_000).len(), 1);
}

#[test]
fn strangers_and_nonsense_are_refused() {
    let mut book = book(1);
    assert_eq!(book.take(attest(9, 0, b"x")), Err(BadAttestation::Signer));
    let mut forged = attest(1, 0, b"x");
    forged.payload = b"y".to_vec();
    assert_eq!(book.take(forged), Err(BadAttestation::Signer));
    let mut same = attest(1, 0, b"x");
    same.source = ChainId(1);
    assert_eq!(book.take(same), Err(BadAttestation::Channel));
    let mut unknown = attest(1, 0, b"x");
    unknown.source = ChainId(3);
    assert_eq!(book.take(unknown), Err(BadAttestation::Channel));
    assert_eq!(book.take(attest(1, 0, &[0; MAX_PAYLOAD + 1])), Err(BadAttestation::Payload));
}

#[test]
fn an_attester_that_signs_everything_stops_no_message() {
    let mut book = book(2);
    assert_eq!(book.take(attest(1, 0, b"lie")), Ok(()));
    for payload in 0..=u8::MAX {
        assert_eq!(book.take(attest(1, 0, &[payload])), Err(BadAttestation::Contradiction));
    }
    for honest in [2, 3] {
        assert_eq!(book.take(attest(honest, 0, b"truth")), Ok(()));
    }
    let found = ask(&mut book, 0);
    assert_eq!((found[0].payload.as_slice(), found[0].signatures.len()), (&b"truth"[..], 2));
}

#[test]
fn a_signature_for_another_oracle_is_worth_nothing() {
    let mut book = book(1);
    let message = (ChainId(2), ChainId(1), 0);
    let digest = message_digest(deployment(), [9; 20], message, b"x");
    let forged = Attestation { signature: key(1).sign_digest(&digest), ..attest(1, 0, b"x") };
    assert_eq!(book.take(forged), Err(BadAttestation::Signer));
}

/// The example of the contracts: `contracts/test/vectors/settlement.json`.
#[test]
fn the_digest_is_that_of_the_contract() {
    let mut id = [0; 31];
    id[30] = 0x1d;
    let mut oracle = [0; 20];
    oracle[15..].copy_from_slice(&[0x01, 0x23, 0x45, 0x67, 0x89]);
    let message = (ChainId(1), ChainId(2), 7);
    let digest = message_digest(DeploymentId(id), oracle, message, &[0xc0, 0xff, 0xee]);
    let wanted = "7189d8ea5b21e2bd3b733eac02d32d0e1c72b99a74e70e1cc76e8dac2d5a75fc";
    assert_eq!(hex::encode(digest), wanted);
}

#[test]
fn an_attestation_travels_as_json() {
    let attestation = attest(1, 0, b"a");
    let text = serde_json::to_string(&attestation).unwrap();
    assert!(text.contains(r#""payload":"61""#), "{text}");
    assert_eq!(serde_json::from_str::<Attestation>(&text).unwrap(), attestation);
    let short = text.replace(&hex::encode(attestation.signature), "00");
    let error = serde_json::from_str::<Attestation>(&short).unwrap_err().to_string();
    assert!(error.contains("65 bytes"), "{error}");
}
