use zklink::tx::{keccak, recover};
use zklink_chain::contracts::LightOracle;
use zklink_chain::scan::Question;
use zklink_chain::testing::sim::{CONTRACT, SimChain, confirmations, encoded};
use zklink_mechanism::probe::Inbox;

use super::*;

mod offers;
mod places;

fn sent(destination: u8, sequence: u64, payload: &[u8]) -> (Vec<[u8; 32]>, Vec<u8>) {
    encoded(&LightOracle::MessageSent { destination, sequence, payload: payload.to_vec().into() })
}

const A: ChainId = ChainId(1);
const B: ChainId = ChainId(2);

/// What an endpoint does with the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    None,
    /// No event of a message from this number on.
    Hide(u64),
    /// Nor does the contract know of one.
    HideDeeply(u64),
    /// Another payload in each event.
    Forge,
    /// The contract cannot be asked.
    NoState,
    /// The contract answers so many questions for hashes, and no more.
    Tired(u32),
    /// Events of so many blocks at once, and no more.
    Limit(u64),
}

struct Rig {
    chain: SimChain,
    attester: Attester,
    book: Inbox<Attestation>,
    lie: Lie,
    /// Whether what B has taken is final there.
    settles: bool,
    /// What chain A was asked.
    asked: Vec<Request>,
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
        periods: Periods { poll_ms: 1, quiet_ms: 1 },
    };
    let chains = [(A, chain.clone()), (B, chain)].into();
    let config = AttesterConfig { deployment: DeploymentId([7; 31]), chains, offer_ms: 1_000 };
    let attester = Attester::new(config, EthKey::from_seed("attester"), history, port);
    Rig {
        chain: SimChain::new(2),
        attester,
        book,
        lie: Lie::None,
        settles: false,
        asked: Vec::new(),
        now: 0,
    }
}

impl Rig {
    /// The messages that the contract knows at a height.
    fn messages(&self, height: u64) -> Vec<SentMessage> {
        let blocks = self.chain.blocks.iter().filter(|block| block.header.number <= height);
        let logs = blocks.flat_map(|block| &block.logs);
        logs.map(|log| SentMessage::decode(log).unwrap()).collect()
    }

    fn answer(&mut self, request: &Request) -> Response {
        self.asked.push(request.clone());
        if let (Lie::Tired(left), Request::Hashes { .. }) = (self.lie, request) {
            let Some(left) = left.checked_sub(1) else {
                return Response::Failed("too many questions".into());
            };
            self.lie = Lie::Tired(left);
        }
        if let (Lie::Limit(most), Request::Scan(Question::Logs(query))) = (self.lie, request)
            && query.to - query.from >= most
        {
            return Response::TooMuch("the range is too long".into());
        }
        let hidden = |sequence: u64| matches!(self.lie, Lie::HideDeeply(from) if sequence >= from);
        match request {
            Request::Hashes { .. } | Request::Counts { .. } if self.lie == Lie::NoState => {
                Response::Failed("no such state".into())
            }
            Request::Scan(question) => Response::Scan(self.bent(self.chain.tell(question))),
            Request::Hashes { height, messages } => {
                let known = self.messages(*height);
                let hash = |(to, number): &(ChainId, u64)| {
                    let found =
                        known.iter().find(|m| (m.destination, m.sequence) == (*to, *number));
                    found.map(|message| keccak(&[&message.payload])).unwrap_or_default()
                };
                Response::Hashes(messages.iter().map(hash).collect())
            }
            Request::Counts { height } => {
                let known = self.messages(*height);
                let count = known.iter().filter(|message| !hidden(message.sequence)).count();
                Response::Counts([(B, count as u64)].into())
            }
            Request::Delivered { .. } => {
                Response::Delivered { latest: [(B, 0)].into(), settled: BTreeMap::new() }
            }
        }
    }

    fn bent(&self, mut told: Told) -> Told {
        if let Told::Logs(logs) = &mut told {
            let number =
                |log: &zklink_chain::client::Log| SentMessage::decode(log).unwrap().sequence;
            match self.lie {
                Lie::Hide(from) | Lie::HideDeeply(from) => logs.retain(|log| number(log) < from),
                // The payload's last word, which is zero but for the text at its beginning.
                Lie::Forge => logs.iter_mut().for_each(|log| log.data[64] ^= 1),
                Lie::None | Lie::NoState | Lie::Tired(_) | Lie::Limit(_) => {}
            }
        }
        told
    }

    /// Lets the attester read chain A, whose messages B has taken `delivered` of.
    fn poll(&mut self, delivered: u64) -> Vec<(u64, Vec<u8>)> {
        self.now += 100;
        let mut turn = Turn::at(Timestamp(self.now));
        while let Some(request) = self.attester.next(A, &mut turn) {
            let response = self.answer(&request);
            let failed = matches!(response, Response::Failed(_));
            self.attester.outcome(A, response, &mut turn);
            if failed {
                break;
            }
        }
        if let Some(Request::Delivered { .. }) = self.attester.next(B, &mut turn) {
            let latest: BTreeMap<_, _> = [(A, delivered)].into();
            let settled = if self.settles { latest.clone() } else { BTreeMap::new() };
            self.attester.outcome(B, Response::Delivered { latest, settled }, &mut turn);
        }
        let told = self.book.take();
        told.into_iter().map(|attestation| (attestation.sequence, attestation.payload)).collect()
    }

    /// The numbers of all messages that are told within many polls.
    fn numbers(&mut self) -> std::collections::BTreeSet<u64> {
        (0..20).flat_map(|_| self.poll(0)).map(|(sequence, _)| sequence).collect()
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
    rig.now += 100;
    let mut turn = Turn::at(Timestamp(rig.now));
    while let Some(request) = rig.attester.next(A, &mut turn) {
        let response = rig.answer(&request);
        rig.attester.outcome(A, response, &mut turn);
    }
    let told = rig.book.take();
    let [attestation] = &told[..] else { panic!("{told:?}") };
    let digest = message_digest(DeploymentId([7; 31]), CONTRACT, (A, B, 0), b"ack 1");
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
    assert_eq!(rig.numbers(), (0..25).collect());
}

#[test]
fn many_messages_of_one_range_are_confirmed_one_after_another() {
    let mut rig = rig(History::in_memory());
    *rig.book.room.lock().unwrap() = 1_000;
    rig.chain.mine((0..200).map(|sequence| sent(2, sequence, b"x")).collect());
    rig.chain.grow(1);
    assert_eq!(rig.numbers(), (0..200).collect());
}

#[test]
fn a_server_with_a_low_limit_is_asked_for_less_at_once() {
    let mut rig = rig(History::in_memory());
    rig.lie = Lie::Limit(2);
    rig.chain.grow(30);
    rig.chain.mine(vec![sent(2, 0, b"zero")]);
    rig.chain.grow(8);
    assert_eq!(rig.numbers(), [0].into());
    let asked = rig.asked.iter().filter(|asked| matches!(asked, Request::Scan(Question::Logs(_))));
    // About twenty for two blocks each, and few that are refused.
    assert!(asked.count() < 30);
}

#[test]
fn what_was_confirmed_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let mut first = rig(History::open(&path).unwrap());
    *first.book.room.lock().unwrap() = 1_000;
    first.chain.mine((0..200).map(|sequence| sent(2, sequence, b"x")).collect());
    first.chain.grow(1);
    // One question of 64 messages in each poll, where the range needs four.
    for _ in 0..4 {
        first.lie = Lie::Tired(1);
        first.poll(0);
        first.poll(0);
    }
    first.poll(0);
    assert_eq!(first.attester.status(A).unwrap().scanned, Some(1));
    let chain = first.chain.clone();
    drop(first);
    let mut second = rig(History::open(&path).unwrap());
    *second.book.room.lock().unwrap() = 1_000;
    second.chain = chain;
    second.lie = Lie::Tired(0);
    assert_eq!(second.numbers(), (0..200).collect());
    assert_eq!(second.attester.status(A).unwrap().last_error, None);
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
    for _ in 0..4 {
        let told = rig.poll(0);
        assert!(told.iter().all(|(_, payload)| payload == b"first"), "{told:?}");
    }
    assert_eq!(rig.refusal(), Some(Refusal::Equivocation { destination: B, sequence: 0 }));
    // When the first is on the chain again, everything is right again.
    rig.chain.rewind(5);
    rig.chain.mine(vec![sent(2, 0, b"first"), sent(2, 1, b"next")]);
    rig.chain.grow(9);
    assert!(rig.numbers().contains(&1));
    assert_eq!(rig.refusal(), None);
}

#[test]
fn what_is_hidden_is_missed_and_signed_once_it_is_shown() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine(vec![sent(2, 0, b"0")]);
    rig.chain.grow(1);
    assert_eq!(rig.numbers(), [0].into());
    rig.lie = Lie::Hide(1);
    rig.chain.mine(vec![sent(2, 1, b"1")]);
    rig.chain.grow(1);
    assert!(!rig.numbers().contains(&1));
    assert_eq!(rig.refusal(), Some(Refusal::Hidden { destination: B, read: 1, sent: 2 }));
    rig.lie = Lie::None;
    assert!(rig.numbers().contains(&1));
    assert_eq!(rig.refusal(), None);
}

#[test]
fn a_hole_is_refused_and_filled_from_before_it() {
    let mut rig = rig(History::in_memory());
    rig.chain.grow(3);
    // An endpoint that knows neither the event nor what is in the contract; blocks go by.
    rig.lie = Lie::HideDeeply(0);
    for sequence in 0..8 {
        rig.chain.mine(vec![sent(2, sequence, b"x")]);
        rig.chain.grow(1);
        rig.poll(0);
    }
    assert_eq!((rig.numbers(), rig.refusal()), ([].into(), None), "there is nothing to see yet");
    rig.lie = Lie::None;
    rig.chain.mine(vec![sent(2, 8, b"x")]);
    rig.chain.grow(1);
    rig.poll(0);
    assert_eq!(rig.refusal(), Some(Refusal::Gap { destination: B, expected: 0, found: 8 }));
    assert_eq!(rig.numbers(), (0..9).collect(), "it went back far enough by itself");
    assert_eq!(rig.refusal(), None);
}

#[test]
fn what_the_contract_did_not_send_is_not_signed() {
    let mut rig = rig(History::in_memory());
    rig.lie = Lie::Forge;
    rig.chain.mine(vec![sent(2, 0, b"x")]);
    rig.chain.grow(1);
    assert_eq!(rig.numbers(), [].into());
    let Some(Refusal::Event(_) | Refusal::Invented { .. }) = rig.refusal() else { panic!() };
    rig.lie = Lie::None;
    assert_eq!(rig.numbers(), [0].into(), "the forged one was not signed, so the true one can be");
}

#[test]
fn nothing_is_signed_while_the_contract_cannot_be_asked() {
    let mut rig = rig(History::in_memory());
    rig.lie = Lie::NoState;
    rig.chain.mine(vec![sent(2, 0, b"x")]);
    rig.chain.grow(1);
    assert_eq!(rig.numbers(), [].into());
    let status = rig.attester.status(A).unwrap();
    assert_eq!((status.refusal, status.last_error.as_deref()), (None, Some("no such state")));
    rig.lie = Lie::None;
    assert_eq!(rig.numbers(), [0].into());
}

#[test]
fn a_chain_that_is_lost_is_read_again_from_the_beginning() {
    let mut rig = rig(History::in_memory());
    rig.chain.mine(vec![sent(2, 0, b"x")]);
    for _ in 0..40 {
        rig.chain.grow(1);
        rig.poll(0);
    }
    assert_eq!(rig.refusal(), None);
    // Another chain, below all of the 32 places that are remembered.
    rig.chain.rewind(40);
    rig.chain.grow(5);
    rig.chain.mine(vec![sent(2, 1, b"y")]);
    rig.chain.grow(50);
    rig.poll(0);
    assert!(rig.numbers().contains(&1));
    assert_eq!(rig.refusal(), None);
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
