use proptest::prelude::*;
use zklink::hash::fr_to_be_bytes;
use zklink::id::{BlockNumber, ChainId};
use zklink::key::SecretKey;
use zklink_chain::finality::{Anchor, Finality};
use zklink_chain::scan::Question;
use zklink_chain::testing::sim::{CONTRACT, RECORDER, SimChain, confirmations, deposit, key_event};
use zklink_mechanism::probe::Inbox;

use super::*;

const WATCHED: WatchedContracts =
    WatchedContracts { chain: ChainId(1), rollup: CONTRACT, recorder: RECORDER };

/// What the simulated chain answers a watcher.
fn answer(chain: &SimChain, request: &Request) -> Response {
    match request {
        Request::Scan(question) => Response::Scan(chain.tell(question)),
        Request::Books(at) => Response::Books(books(chain, *at)),
        Request::BooksAtTip => Response::Books(books(chain, chain.tip())),
    }
}

fn books(chain: &SimChain, at: u64) -> Books {
    Books {
        at,
        queue_head: Serial(0),
        queue_tail: Serial(chain.deposits(at) as u64),
        committed: BlockNumber(0),
        tokens: [(TokenId(1), [4, 3, 2, 1])].into(),
    }
}

struct Rig {
    chain: SimChain,
    watcher: Watcher,
    deposits: Inbox<DepositFinal>,
    keys: Inbox<KeyAuthorised>,
    readings: Inbox<Reading>,
    now: u64,
}

impl Rig {
    fn new(finality: Finality, resume: u64) -> Rig {
        Rig::with(SimChain::new(4), finality, resume, None)
    }

    fn with(chain: SimChain, finality: Finality, resume: u64, watched: Option<Watched>) -> Rig {
        let (deposits, deposit_port) = Inbox::new(1000);
        let (readings, reading_port) = Inbox::new(1000);
        let (keys, key_port) = Inbox::new(1000);
        let config = WatchConfig {
            chain: ChainId(1),
            rollup: CONTRACT,
            recorder: RECORDER,
            first_block: 1,
            finality,
            max_range: 3,
            checkpoints: 16,
            poll_ms: 10,
            reading_ms: 100_000,
            held_max: 100,
            tokens: vec![TokenId(1)],
            resume: Serial(resume),
        };
        let outlets = Outlets {
            deposits: [(TokenId(1), deposit_port)].into(),
            readings: [(TokenId(1), reading_port)].into(),
            keys: key_port,
        };
        let watcher = Watcher::new(config, outlets, watched);
        Rig { chain, watcher, deposits, keys, readings, now: 2_000_000 }
    }

    /// Lets the watcher ask until it rests.
    fn poll(&mut self) {
        self.poll_with(answer);
    }

    /// As [`Rig::poll`], with answers that are not those of the chain.
    fn poll_with(&mut self, mut answer: impl FnMut(&SimChain, &Request) -> Response) {
        self.now += 10;
        let mut turn = Turn::at(Timestamp(self.now));
        for _ in 0..10_000 {
            let Some(request) = self.watcher.next(&mut turn) else { return };
            let response = answer(&self.chain, &request);
            self.watcher.outcome(response, &mut turn);
        }
        panic!("the watcher does not rest");
    }

    /// Lets a quarter of an hour pass, with a reading each minute: as long as a contradiction may last.
    fn last_with(&mut self, mut answer: impl FnMut(&SimChain, &Request) -> Response) {
        for _ in 0..15 {
            self.now += 60_000;
            self.poll_with(&mut answer);
        }
    }

    fn last(&mut self) {
        self.last_with(answer);
    }

    fn doubt(&self) -> Option<Halt> {
        self.watcher.status().doubt.map(|(halt, _)| halt)
    }

    fn serials(&self) -> Vec<u64> {
        self.deposits.take().iter().map(|deposit| deposit.0.serial.0).collect()
    }

    fn halted(&self) -> Option<Halt> {
        self.watcher.status().halted
    }
}

#[test]
fn a_deposit_is_told_once_and_only_when_it_is_final() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.mine(vec![deposit(0, 1, 77)]);
    for _ in 0..3 {
        rig.chain.grow(1);
        rig.poll();
        assert_eq!(rig.serials(), Vec::<u64>::new(), "tip {}", rig.chain.tip());
    }
    rig.chain.grow(1);
    rig.poll();
    let told = rig.deposits.take();
    let [DepositFinal(told)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.chain, told.serial, told.amount.0), (ChainId(1), Serial(0), 77));
    let owner = Owner { home: ChainId(2), address: [5; 32] };
    assert_eq!((told.owner, told.sub_account.0, told.l1_block), (owner, 3, 1));
    assert_eq!(told.payer, Owner::from_evm([6; 20]));
    rig.chain.grow(20);
    rig.poll();
    assert_eq!(rig.serials(), Vec::<u64>::new());
    let reading = rig.readings.take()[0];
    assert_eq!(
        (reading.balance, reading.locked, reading.pending, reading.unconsumed),
        (4, 3, 2, 1)
    );
    assert_eq!(rig.watcher.status().scanned, Some(21));
}

#[test]
fn a_minimum_age_delays_what_the_anchor_allows() {
    let rule = Finality { anchor: Anchor::Finalized, min_age_seconds: 60 };
    let mut rig = Rig::new(rule, 0);
    rig.chain.mine(vec![deposit(0, 1, 1)]);
    rig.chain.grow(4);
    // Block 1 is of second 1010.
    rig.now = 1_069_000;
    rig.poll();
    assert_eq!(rig.serials(), Vec::<u64>::new());
    rig.now = 1_070_000;
    rig.poll();
    assert_eq!(rig.serials(), vec![0]);
}

#[test]
fn a_restart_goes_on_where_the_builder_is() {
    let mut rig = Rig::new(Finality::FINALIZED, 2);
    rig.chain.mine((0..4).map(|serial| deposit(serial, 1, 1)).collect());
    rig.chain.grow(4);
    rig.poll();
    assert_eq!(rig.serials(), vec![2, 3]);
}

/// The chain as a watcher left it that had read up to a block. Block n has deposit n - 1.
fn left_at(chain: &SimChain, block: u64) -> Watched {
    let hash = chain.blocks[usize::try_from(block).unwrap()].header.hash;
    Watched { block, hash, next: Serial(block.min(6)) }
}

fn six_deposits() -> SimChain {
    let mut chain = SimChain::new(4);
    (0..6).for_each(|serial| chain.mine(vec![deposit(serial, 1, 1)]));
    chain.grow(8);
    chain
}

#[test]
fn a_restart_reads_only_what_is_not_in_the_journal() {
    let chain = six_deposits();
    for (block, resume, serials) in [(3, 4, vec![4, 5]), (4, 4, vec![4, 5]), (6, 6, vec![])] {
        let watched = left_at(&chain, block);
        let mut rig = Rig::with(chain.clone(), Finality::FINALIZED, resume, Some(watched));
        let mut lowest = u64::MAX;
        let mut turn = Turn::at(Timestamp(rig.now));
        while let Some(request) = rig.watcher.next(&mut turn) {
            if let Request::Scan(Question::Logs(query)) = &request {
                lowest = lowest.min(query.from);
            }
            rig.watcher.outcome(answer(&rig.chain, &request), &mut turn);
        }
        assert_eq!((rig.serials(), rig.halted()), (serials, None), "behind block {block}");
        assert_eq!(lowest, block + 1, "the blocks before are not read");
        let handed = rig.watcher.status().handed.expect("nothing waits");
        assert_eq!((handed.block, handed.next), (10, Serial(6)));
        assert_eq!(handed.hash, chain.blocks[10].header.hash);
    }
}

#[test]
fn what_waits_is_not_called_handed_on() {
    let mut rig = Rig::with(six_deposits(), Finality::FINALIZED, 0, None);
    *rig.deposits.room.lock().unwrap() = 3;
    rig.poll();
    assert_eq!((rig.serials(), rig.watcher.status().handed), (vec![0, 1, 2], None));
    *rig.deposits.room.lock().unwrap() = 3;
    rig.poll();
    assert_eq!(rig.watcher.status().handed.map(|handed| handed.next), Some(Serial(6)));
}

#[test]
fn a_restart_on_another_branch_reads_from_the_beginning() {
    let chain = six_deposits();
    let left = left_at(&chain, 5);
    let other = Watched { hash: [9; 32], ..left };
    let ahead = Watched { block: 5_000, ..left };
    let unknown = Watched { next: Serial(5), ..left_at(&chain, 5) };
    // The journal has less than the archive says: the archive is not believed.
    for (watched, resume) in [(other, 5), (unknown, 4)] {
        let mut rig = Rig::with(chain.clone(), Finality::FINALIZED, resume, Some(watched));
        let mut lowest = u64::MAX;
        for _ in 0..3 {
            rig.now += 10;
            let mut turn = Turn::at(Timestamp(rig.now));
            while let Some(request) = rig.watcher.next(&mut turn) {
                if let Request::Scan(Question::Logs(query)) = &request {
                    lowest = lowest.min(query.from);
                }
                rig.watcher.outcome(answer(&rig.chain, &request), &mut turn);
            }
        }
        assert_eq!((rig.serials(), rig.halted()), ((resume..6).collect(), None));
        assert_eq!(lowest, 1);
    }
    // A chain that is not as long yet as it was: nothing is read before it is.
    let mut rig = Rig::with(chain, Finality::FINALIZED, 5, Some(ahead));
    rig.poll();
    assert_eq!((rig.serials(), rig.halted()), (vec![], None));
}

#[test]
fn a_full_port_gets_the_same_deposit_later_and_reading_pauses() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    *rig.deposits.room.lock().unwrap() = 1;
    let mine = |rig: &mut Rig, blocks: std::ops::Range<u64>| {
        for block in blocks {
            rig.chain.mine((0..5).map(|i| deposit(block * 5 + i, 1, 1)).collect());
        }
        rig.chain.grow(4);
    };
    mine(&mut rig, 0..24);
    rig.poll();
    let mut told = rig.serials();
    let paused = rig.watcher.status().scanned;
    mine(&mut rig, 24..40);
    while rig.watcher.status().held > 100 {
        rig.poll();
        assert_eq!(rig.watcher.status().scanned, paused, "reading pauses at the bound");
        told.extend(rig.serials());
    }
    for _ in 0..200 {
        rig.poll();
        told.extend(rig.serials());
    }
    assert_eq!(told, (0..200).collect::<Vec<u64>>());
}

#[test]
fn a_hole_in_the_queue_stops_the_chain() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.mine(vec![deposit(0, 1, 1), deposit(2, 1, 1)]);
    rig.chain.grow(4);
    rig.poll();
    let gap = Some(Halt::Gap { expected: Serial(1), found: Serial(2) });
    assert_eq!((rig.halted(), rig.doubt()), (None, gap.clone()), "it may pass");
    rig.last();
    assert_eq!(rig.halted(), gap);
    assert_eq!(rig.serials(), Vec::<u64>::new(), "nothing is handed on before it is counted");
    rig.chain.mine(vec![deposit(1, 1, 1)]);
    rig.chain.grow(10);
    rig.poll();
    assert_eq!(rig.serials(), Vec::<u64>::new(), "nothing is skipped");
}

/// A day has so many hours.
const HOURS: u64 = 24;

#[test]
fn a_quiet_chain_costs_few_requests_a_day() {
    for (finality, most) in [(Finality::FINALIZED, 23_000), (confirmations(2), 28_500)] {
        let mut rig = Rig::new(finality, 0);
        // As the node sets it up for a chain with two tokens, of which a reading of the books costs eleven requests.
        (rig.watcher.config.poll_ms, rig.watcher.config.reading_ms) = (4_000, 120_000);
        rig.watcher.config.max_range = 1_000;
        rig.watcher = Watcher::new(rig.watcher.config.clone(), rig.watcher.outlets.clone(), None);
        rig.chain.grow(10);
        let (mut scans, mut books) = (0, 0);
        for _ in 0..3_600 {
            rig.now += 990;
            rig.chain.grow(1);
            rig.poll_with(|chain, request| {
                match request {
                    Request::Scan(_) => scans += 1,
                    _ => books += 1,
                }
                answer(chain, request)
            });
        }
        assert!(scans * HOURS <= most, "{} questions of the scanner a day", scans * HOURS);
        assert!(books * HOURS * 11 <= 8_500, "{} for the books", books * HOURS * 11);
        assert_eq!(rig.halted(), None);
    }
}

/// Answers without the events of the chain.
fn hiding(chain: &SimChain, request: &Request) -> Response {
    match request {
        Request::Scan(Question::Logs(_)) => Response::Scan(Told::Logs(Vec::new())),
        _ => answer(chain, request),
    }
}

#[test]
fn an_event_that_an_endpoint_hides_is_missed_by_the_contracts_own_count() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.mine(vec![deposit(0, 1, 1)]);
    rig.chain.grow(4);
    rig.poll_with(hiding);
    let gap = Some(Halt::Gap { expected: Serial(0), found: Serial(1) });
    assert_eq!((rig.halted(), rig.doubt()), (None, gap.clone()));
    rig.last_with(hiding);
    assert_eq!((rig.halted(), rig.serials()), (gap, vec![]));
}

#[test]
fn an_event_that_was_hidden_once_comes_and_no_bookmark_was_set_behind_it() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.grow(5);
    rig.poll();
    let before = rig.watcher.status().handed.unwrap();
    rig.chain.mine(vec![deposit(0, 1, 1)]);
    rig.chain.grow(5);
    rig.poll_with(hiding);
    // Nobody missed it yet: the books are due later, and a deposit behind it tells.
    assert_eq!((rig.doubt(), rig.watcher.status().handed), (None, Some(before)));
    rig.chain.mine(vec![deposit(1, 1, 2)]);
    rig.chain.grow(5);
    rig.poll();
    let gap = Halt::Gap { expected: Serial(0), found: Serial(1) };
    assert_eq!((rig.doubt(), rig.serials()), (Some(gap), vec![]));
    rig.now += 60_000;
    rig.poll();
    assert_eq!((rig.serials(), rig.doubt(), rig.halted()), (vec![0, 1], None, None));
    let handed = rig.watcher.status().handed.unwrap();
    assert!(handed.block > before.block && handed.next == Serial(2), "{handed:?}");
}

#[test]
fn an_endpoint_that_lags_behind_every_second_time_does_not_halt_the_chain() {
    let mut rig = Rig::new(confirmations(2), 0);
    let mut asked = 0;
    let mut flickering = |chain: &SimChain, request: &Request| {
        asked += 1;
        let mut behind = chain.clone();
        if asked % 2 == 0 {
            behind.rewind(6.min(chain.tip()));
        }
        answer(&behind, request)
    };
    let mut told = Vec::new();
    for serial in 0..20 {
        rig.chain.mine(vec![deposit(serial, 1, 1)]);
        rig.chain.grow(2);
        rig.now += 60_000;
        rig.poll_with(&mut flickering);
        told.extend(rig.serials());
    }
    assert_eq!(rig.halted(), None);
    rig.last();
    told.extend(rig.serials());
    assert_eq!((told, rig.halted()), ((0..20).collect(), None));
}

#[test]
fn an_event_that_an_endpoint_invents_is_not_handed_on() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    let mut honest = rig.chain.clone();
    honest.grow(5);
    rig.chain.mine(vec![deposit(0, 1, 1)]);
    rig.chain.grow(4);
    rig.last_with(|chain, request| {
        answer(if matches!(request, Request::Books(_)) { &honest } else { chain }, request)
    });
    assert_eq!(rig.serials(), Vec::<u64>::new());
    assert_eq!(rig.halted(), Some(Halt::Gap { expected: Serial(1), found: Serial(0) }));
}

#[test]
fn books_that_are_not_kept_at_the_final_height_are_read_at_the_tip() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    let pruned = |chain: &SimChain, request: &Request| match request {
        Request::Books(_) => Response::Failed("missing trie node".to_owned()),
        _ => answer(chain, request),
    };
    let mut told = Vec::new();
    for serial in 0..6 {
        // One more than is final: the contract counts it already.
        rig.chain.mine(vec![deposit(serial, 1, 1)]);
        rig.chain.grow(3);
        (0..5).for_each(|_| rig.poll_with(pruned));
        told.extend(rig.serials());
    }
    assert_eq!((told, rig.halted()), (vec![0, 1, 2, 3, 4], None));
    // What the contract counted at the tip must have come once that height is final.
    rig.chain.mine(vec![deposit(6, 1, 1)]);
    rig.chain.grow(1);
    (0..5).for_each(|_| rig.poll_with(pruned));
    rig.chain.grow(9);
    let hidden = |chain: &SimChain, request: &Request| match request {
        Request::Scan(Question::Logs(_)) => hiding(chain, request),
        _ => pruned(chain, request),
    };
    (0..5).for_each(|_| rig.poll_with(hidden));
    assert!(matches!(rig.doubt(), Some(Halt::Gap { .. })), "{:?}", rig.doubt());
}

#[test]
fn a_count_that_fails_is_asked_for_again_although_the_chain_stands_still() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.mine(vec![deposit(0, 1, 1)]);
    rig.chain.grow(4);
    let mut turn = Turn::at(Timestamp(rig.now));
    while let Some(request) = rig.watcher.next(&mut turn) {
        let counted = matches!(request, Request::Books(_));
        let failed = Response::Failed("no answer".to_owned());
        let response = if counted { failed } else { answer(&rig.chain, &request) };
        rig.watcher.outcome(response, &mut turn);
    }
    assert_eq!(rig.serials(), Vec::<u64>::new(), "not without the count");
    rig.poll();
    assert_eq!(rig.serials(), vec![0]);
}

#[test]
fn an_unknown_token_and_a_foreign_event_stop_the_chain() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.mine(vec![deposit(0, 9, 1)]);
    rig.chain.grow(4);
    rig.last();
    let halt = Halt::UnknownToken { serial: Serial(0), token: TokenId(9) };
    assert_eq!(rig.halted(), Some(halt));

    for (topics, data) in [
        (deposit(0, 1, 1).0, vec![0; 31]),
        (deposit(0, 1, 1).0[..3].to_vec(), deposit(0, 1, 1).1),
        (vec![[1; 32]], Vec::new()),
        deposit(0, 1, 0),
    ] {
        let mut rig = Rig::new(Finality::FINALIZED, 0);
        rig.chain.mine(vec![(topics, data)]);
        rig.chain.grow(4);
        rig.last();
        assert!(matches!(rig.halted(), Some(Halt::Event(_))), "{:?}", rig.halted());
    }
}

#[test]
fn keys_are_told_and_what_is_no_key_is_left_out() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    let key = SecretKey::from_seed(b"alice").public();
    let (x, y) = (fr_to_be_bytes(key.x()), fr_to_be_bytes(key.y()));
    rig.chain.mine(vec![key_event([0xff; 32], y, 0), key_event(y, x, 0), key_event(x, y, 7)]);
    rig.chain.grow(4);
    rig.poll();
    let owner = Owner::from_evm([6; 20]);
    let nonce = zklink::id::Nonce(7);
    assert_eq!(rig.keys.take(), vec![KeyAuthorised { chain: ChainId(1), owner, nonce, key }]);
    assert_eq!(rig.watcher.status().bad_keys, 2);
    assert_eq!(rig.halted(), None);
}

#[test]
fn an_outage_is_survived_and_shown() {
    let mut rig = Rig::new(Finality::FINALIZED, 0);
    rig.chain.mine(vec![deposit(0, 1, 1)]);
    rig.chain.grow(4);
    for cut in 0..8 {
        rig.now += 10;
        let mut turn = Turn::at(Timestamp(rig.now));
        for step in 0..=cut {
            let Some(request) = rig.watcher.next(&mut turn) else { break };
            let failed = Response::Failed("down".to_owned());
            let response = if step == cut { failed } else { answer(&rig.chain, &request) };
            rig.watcher.outcome(response, &mut turn);
        }
    }
    assert_eq!(rig.watcher.status().last_error.as_deref(), Some("down"));
    rig.now += 10;
    rig.poll();
    assert_eq!((rig.serials(), rig.watcher.status().failures), (vec![0], 0));
}

#[test]
fn a_rewound_chain_is_read_again_and_credits_nothing_twice() {
    let mut rig = Rig::new(confirmations(2), 0);
    rig.chain.mine(vec![deposit(0, 1, 10)]);
    rig.chain.grow(1);
    rig.chain.mine(vec![deposit(1, 1, 20)]);
    rig.chain.grow(2);
    rig.poll();
    assert_eq!(rig.serials(), vec![0, 1]);
    // Deeper than the rule: the same deposit is mined again, in another block.
    rig.chain.rewind(4);
    rig.chain.grow(3);
    rig.chain.mine(vec![deposit(1, 1, 20), deposit(2, 1, 30)]);
    rig.chain.grow(2);
    rig.poll();
    rig.poll();
    assert_eq!((rig.serials(), rig.halted()), (vec![2], None));
}

#[test]
fn a_credited_deposit_that_changes_stops_the_chain() {
    let mut rig = Rig::new(confirmations(1), 0);
    rig.chain.grow(1);
    rig.chain.mine(vec![deposit(0, 1, 10)]);
    rig.chain.grow(1);
    rig.poll();
    assert_eq!(rig.serials(), vec![0]);
    rig.chain.rewind(2);
    rig.chain.mine(vec![deposit(0, 1, 11)]);
    rig.chain.grow(3);
    rig.last();
    assert_eq!(rig.halted(), Some(Halt::Changed(Serial(0))));
}

#[test]
fn a_credited_deposit_that_vanishes_stops_the_chain() {
    let mut rig = Rig::new(confirmations(1), 0);
    rig.chain.grow(1);
    rig.chain.mine(vec![deposit(0, 1, 10)]);
    rig.chain.grow(1);
    rig.poll();
    assert_eq!(rig.serials(), vec![0]);
    rig.chain.rewind(2);
    rig.chain.grow(5);
    rig.last();
    assert_eq!(rig.halted(), Some(Halt::Vanished(Serial(0))));
}

#[test]
fn a_credited_deposit_that_vanishes_while_nobody_watches_stops_the_chain() {
    let watched = Watched { hash: [9; 32], ..left_at(&six_deposits(), 5) };
    let mut chain = SimChain::new(4);
    (0..4).for_each(|serial| chain.mine(vec![deposit(serial, 1, 1)]));
    chain.grow(4);
    let mut rig = Rig::with(chain, Finality::FINALIZED, 5, Some(watched));
    rig.poll();
    assert_eq!(rig.halted(), None, "it may still come: the chain is not as long yet as it was");
    rig.chain.grow(2);
    rig.last();
    assert_eq!(rig.halted(), Some(Halt::Vanished(Serial(4))));
}

#[test]
fn a_halt_outlives_the_watcher() {
    let mut rig = Rig::new(confirmations(1), 0);
    let halted = Arc::default();
    rig.watcher = rig.watcher.halting(Arc::clone(&halted));
    rig.chain.mine(vec![deposit(1, 1, 1)]);
    rig.chain.grow(1);
    rig.last();
    let gap = Some(Halt::Gap { expected: Serial(0), found: Serial(1) });
    assert_eq!(rig.halted(), gap);
    let mut next = Rig::new(confirmations(1), 0);
    next.watcher = next.watcher.halting(halted);
    next.chain.mine(vec![deposit(0, 1, 1)]);
    next.chain.grow(1);
    next.poll();
    assert_eq!((next.serials(), next.halted()), (vec![], gap));
}

#[test]
fn a_rewind_below_all_memory_stops_the_chain() {
    let mut rig = Rig::new(confirmations(1), 0);
    for _ in 0..60 {
        rig.chain.grow(1);
        rig.poll();
    }
    // With a block that the contract's count confirmed it would begin behind that.
    rig.chain.rewind(60);
    rig.chain.grow(70);
    rig.last();
    assert_eq!(rig.halted(), Some(Halt::Lost));
}

#[derive(Clone, Debug)]
enum Event {
    Mine(u8),
    Reorg { depth: u64, deposits: Vec<u8> },
    Poll,
    Fail(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0u8..3).prop_map(Event::Mine),
        1 => (1u64..5, prop::collection::vec(0u8..3, 1..6))
            .prop_map(|(depth, deposits)| Event::Reorg { depth, deposits }),
        3 => Just(Event::Poll),
        1 => (0u8..12).prop_map(Event::Fail),
    ];
    prop::collection::vec(event, 1..60)
}

/// Mines a block with so many deposits; the amount tells which branch a deposit is of.
fn mine(rig: &mut Rig, deposits: u8, salt: &mut u128) {
    let first = rig.chain.deposits(u64::MAX) as u64;
    let events = (0..u64::from(deposits)).map(|i| {
        *salt += 1;
        deposit(first + i, 1, *salt)
    });
    let events = events.collect();
    rig.chain.mine(events);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Reorganisations less deep than the rule never credit a deposit that the chain loses, never
    /// miss one and never credit one twice, whatever fails in between.
    #[test]
    fn what_is_credited_is_what_the_final_chain_has(events in events()) {
        let mut rig = Rig::new(confirmations(5), 0);
        let (mut salt, mut credited) = (0, Vec::new());
        for event in events {
            match event {
                Event::Mine(deposits) => mine(&mut rig, deposits, &mut salt),
                Event::Reorg { depth, deposits } => {
                    let before = rig.chain.tip();
                    rig.chain.rewind(depth.min(before));
                    deposits.iter().for_each(|n| mine(&mut rig, *n, &mut salt));
                    // A branch wins by being longer.
                    rig.chain.grow((before + 1).saturating_sub(rig.chain.tip()));
                }
                Event::Poll => rig.poll(),
                Event::Fail(after) => {
                    rig.now += 10;
                    let mut turn = Turn::at(Timestamp(rig.now));
                    for step in 0..=after {
                        let Some(request) = rig.watcher.next(&mut turn) else { break };
                        let response = if step == after {
                            Response::Failed(String::new())
                        } else {
                            answer(&rig.chain, &request)
                        };
                        rig.watcher.outcome(response, &mut turn);
                    }
                }
            }
            credited.extend(rig.deposits.take().into_iter().map(|d| (d.0.serial.0, d.0.amount.0)));
        }
        rig.chain.grow(6);
        rig.poll();
        rig.poll();
        credited.extend(rig.deposits.take().into_iter().map(|d| (d.0.serial.0, d.0.amount.0)));
        prop_assert_eq!(rig.halted(), None);
        let logs = rig.chain.blocks.iter().flat_map(|block| &block.logs);
        let on_chain: Vec<(u64, u128)> = logs
            .map(|log| match RollupEvent::decode(log, &WATCHED).unwrap() {
                RollupEvent::Deposit { serial, amount, .. } => (serial.0, amount.0),
                RollupEvent::Key { .. } => unreachable!("only deposits were mined"),
            })
            .collect();
        prop_assert_eq!(credited, on_chain);
    }
}
