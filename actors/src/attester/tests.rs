use zklink::tx::recover;

use super::*;
use crate::chain::contracts::LightOracle;
use crate::chain::testing::Inbox;
use crate::chain::testing::sim::{CONTRACT, SimChain, confirmations, encoded};

fn sent(destination: u8, sequence: u64, payload: &[u8]) -> (Vec<[u8; 32]>, Vec<u8>) {
    encoded(&LightOracle::MessageSent { destination, sequence, payload: payload.to_vec().into() })
}

const A: ChainId = ChainId(1);
const B: ChainId = ChainId(2);

struct Rig {
    chain: SimChain,
    attester: Attester,
    book: Inbox<Attestation>,
    now: u64,
}

fn rig(history: History) -> Rig {
    let (book, port) = Inbox::new(10);
    let chain = AttestedChain {
        oracle: CONTRACT,
        first_block: 1,
        finality: confirmations(1),
        max_range: 10,
        checkpoints: 32,
        poll_ms: 1,
    };
    let chains = [(A, chain.clone()), (B, chain)].into();
    let config = AttesterConfig { deployment: DeploymentId([7; 31]), chains, offer_ms: 1_000 };
    let attester = Attester::new(config, EthKey::from_seed("attester"), history, port);
    Rig { chain: SimChain::new(2), attester, book, now: 0 }
}

impl Rig {
    /// Lets the attester read chain A, whose messages B has taken `delivered` of.
    fn poll(&mut self, delivered: u64) -> Vec<(u64, Vec<u8>)> {
        self.now += 10;
        let mut turn = Turn::at(Timestamp(self.now));
        while let Some(request) = self.attester.next(A, &mut turn) {
            let response = match &request {
                Request::Scan(question) => Response::Scan(self.chain.tell(question)),
                Request::Delivered => Response::Delivered([(B, 0)].into()),
            };
            self.attester.outcome(A, response, &mut turn);
        }
        if self.attester.next(B, &mut turn) == Some(Request::Delivered) {
            self.attester.outcome(B, Response::Delivered([(A, delivered)].into()), &mut turn);
        }
        let told = self.book.take();
        told.into_iter().map(|attestation| (attestation.sequence, attestation.payload)).collect()
    }

    fn refusal(&self) -> Option<Refusal> {
        self.attester.status(A).unwrap().refusal
    }
}

#[test]
fn a_final_message_is_signed_and_offered() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine(vec![sent(2, 0, b"ack 1")]);
    assert_eq!(rig.poll(0), vec![], "the tip is not final");
    rig.chain.grow(1);
    rig.now += 10;
    let mut turn = Turn::at(Timestamp(rig.now));
    while let Some(request) = rig.attester.next(A, &mut turn) {
        let Request::Scan(question) = request else { panic!("{request:?}") };
        rig.attester.outcome(A, Response::Scan(rig.chain.tell(&question)), &mut turn);
    }
    let told = rig.book.take();
    let [attestation] = &told[..] else { panic!("{told:?}") };
    let digest = message_digest(DeploymentId([7; 31]), A, B, 0, b"ack 1");
    let signer = recover(&digest, &attestation.signature);
    assert_eq!(signer, Some(EthKey::from_seed("attester").address()));
    assert_eq!((attestation.source, attestation.destination), (A, B));
}

#[test]
fn what_is_not_delivered_is_offered_again() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine(vec![sent(2, 0, b"a"), sent(2, 1, b"b")]);
    rig.chain.grow(1);
    let first: Vec<u64> = rig.poll(0).into_iter().map(|(sequence, _)| sequence).collect();
    assert!(first.contains(&0) && first.contains(&1));
    rig.now += 1_000;
    assert_eq!(rig.poll(1), vec![(1, b"b".to_vec())]);
    rig.now += 1_000;
    assert_eq!(rig.poll(2), vec![]);
    // The destination took the deliveries back.
    rig.now += 1_000;
    assert_eq!(rig.poll(0).len(), 2);
}

#[test]
fn a_full_book_gets_everything_later() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine((0..25).map(|sequence| sent(2, sequence, b"x")).collect());
    rig.chain.grow(1);
    let mut told = Vec::new();
    for _ in 0..4 {
        told.extend(rig.poll(0).into_iter().map(|(sequence, _)| sequence));
    }
    let told: std::collections::BTreeSet<u64> = told.into_iter().collect();
    assert_eq!(told, (0..25).collect());
}

#[test]
fn never_two_payloads_for_one_number() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine(vec![sent(2, 0, b"first")]);
    rig.chain.grow(1);
    assert!(!rig.poll(0).is_empty());
    // The chain is rewound below the rule: the same message again is fine.
    rig.chain.rewind(2);
    rig.chain.grow(1);
    rig.chain.mine(vec![sent(2, 0, b"first")]);
    rig.chain.grow(2);
    rig.poll(0);
    rig.poll(0);
    assert_eq!(rig.refusal(), None);
    // Another one is not.
    rig.chain.rewind(4);
    rig.chain.grow(1);
    rig.chain.mine(vec![sent(2, 0, b"second")]);
    rig.chain.grow(4);
    rig.poll(0);
    let told = rig.poll(0);
    assert!(told.iter().all(|(_, payload)| payload == b"first"), "{told:?}");
    assert_eq!(rig.refusal(), Some(Refusal::Equivocation { destination: B, sequence: 0 }));
}

#[test]
fn a_hole_is_refused() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine(vec![sent(2, 1, b"x")]);
    rig.chain.grow(1);
    rig.poll(0);
    assert_eq!(rig.refusal(), Some(Refusal::Gap { destination: B, expected: 0, found: 1 }));
}

#[test]
fn the_history_outlives_the_process_and_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let signed = |byte| Signed { height: 7, block_hash: [byte; 32], digest: [byte; 32] };
    let mut history = History::open(&path).unwrap();
    history.sign((A, B, 0), signed(1)).unwrap();
    history.sign((A, B, 1), signed(2)).unwrap();
    assert!(matches!(History::open(&path), Err(HistoryError::Locked(_))));
    drop(history);
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..whole.len() / 2 {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut history = History::open(&path).unwrap();
        assert_eq!(history.signed((A, B, 0)), Some(&signed(1)));
        assert_eq!(history.signed((A, B, 1)), None, "its signature never left");
        history.sign((A, B, 1), signed(3)).unwrap();
        drop(history);
        let history = History::open(&path).unwrap();
        assert_eq!(history.signed((A, B, 1)), Some(&signed(3)));
    }
    let mut broken = whole.clone();
    broken[3] = b'?';
    std::fs::write(&path, &broken).unwrap();
    let error = History::open(&path).unwrap_err().to_string();
    assert!(error.contains("line 1 is broken"), "{error}");
    std::fs::write(&path, &whole).unwrap();
    let mut history = History::open(&path).unwrap();
    assert!(matches!(history.sign((A, B, 0), signed(9)), Err(HistoryError::Other)));
    history.sign((A, B, 0), signed(1)).unwrap();
}

#[test]
fn a_restarted_attester_signs_the_same_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let mut before = rig(History::open(&path).unwrap());
    before.chain.mine(vec![sent(2, 0, b"first")]);
    before.chain.grow(1);
    assert!(!before.poll(0).is_empty());
    let chain = before.chain.clone();
    drop(before);
    let mut same = rig(History::open(&path).unwrap());
    same.chain = chain;
    assert!(!same.poll(0).is_empty(), "an offer that was lost with the process comes again");
    drop(same);
    let mut other = rig(History::open(&path).unwrap());
    other.chain.mine(vec![sent(2, 0, b"second")]);
    other.chain.grow(1);
    assert_eq!(other.poll(0), vec![]);
    assert_eq!(other.refusal(), Some(Refusal::Equivocation { destination: B, sequence: 0 }));
}
