//! The World itself: determinism, order, filters, kills, supervision.

use super::*;
use crate::port::Unanswered;
use crate::probe::{Add, Burden, Counter, Explode, GiveUp};

const POLICY: supervisor::Config = supervisor::Config {
    backoff_first_ms: 100,
    backoff_max_ms: 1_000,
    failures_max: 3,
    window_ms: 60_000,
};

fn follower(world: &World) -> MachineRef<Counter> {
    world.start("counter", 64, Origin::rebuilt(|| Ok(Counter::default())))
}

/// A life with several machines, panics and kills; returns its log.
fn life(seed: u64) -> String {
    let world = World::new(seed, POLICY);
    let addresses: Vec<_> = ["a", "b", "c"]
        .map(|name| world.start(name, 8, Origin::rebuilt(|| Ok(Counter::default()))))
        .into();
    let mut choice = Seed(seed);
    for round in 0..200 {
        let address = &addresses[choice.below_usize(addresses.len())];
        match choice.below(20) {
            0 => drop(address.port().tell(Explode)),
            1 => drop(address.port().tell(Burden(3))),
            _ => drop(address.port().tell(Add(round))),
        }
        world.run_for(choice.below(30));
    }
    world.run_for(2_000);
    world.log()
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_seed_another() {
    let log = life(7);
    assert!(log.contains("Explode") && log.contains("rebuild"), "something happened:\n{log}");
    assert_eq!(log, life(7));
    assert_ne!(log, life(8));
}

#[test]
fn a_mailbox_keeps_its_order() {
    let world = World::new(1, POLICY);
    let address = world.start("counter", 64, Origin::Once(Counter::default()));
    let add: Port<Add> = address.port();
    let answers: Vec<_> = (0..50).map(|_| add.ask(Add(1)).unwrap()).collect();
    world.run_for(1_000);
    for (answer, expected) in answers.into_iter().zip(1..) {
        assert_eq!(world.answer(answer, 0), Ok(expected));
    }
}

#[test]
fn a_mailbox_is_bounded() {
    let world = World::new(1, POLICY);
    let add: Port<Add> = world.start("counter", 2, Origin::Once(Counter::default())).port();
    add.tell(Add(1)).unwrap();
    add.tell(Add(1)).unwrap();
    assert!(matches!(add.tell(Add(9)), Err(Refused::Full(Add(9)))));
    world.run_for(10);
    add.tell(Add(1)).unwrap();
}

#[test]
fn messages_are_lost_and_delayed_by_a_filter() {
    let world = World::new(1, POLICY);
    let add: Port<Add> = follower(&world).port();
    world.filter(|delivery| match delivery.text {
        "Add(1)" => Verdict::Drop,
        "Add(2)" => Verdict::Delay(500),
        _ => Verdict::Pass,
    });
    let lost = add.ask(Add(1)).unwrap();
    assert_eq!(world.answer(lost, 100), Err(Unanswered::Dropped));
    let late = add.ask(Add(2)).unwrap();
    assert_eq!(world.answer(late, 400), Err(Unanswered::TimedOut));
    world.run_for(200);
    let prompt = add.ask(Add(4)).unwrap();
    assert_eq!(world.answer(prompt, 10), Ok(6));
}

#[test]
fn a_killed_machine_is_closed_and_the_same_port_reaches_the_rebuilt_one() {
    let world = World::new(1, POLICY);
    let address = follower(&world);
    let add: Port<Add> = address.port();
    let under_way = add.ask(Add(5)).unwrap();
    world.kill("counter");
    assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(_))));
    assert_eq!(world.answer(under_way, 100), Err(Unanswered::Dropped));
    world.rebuild("counter");
    let answer = add.ask(Add(2)).unwrap();
    assert_eq!(world.answer(answer, 100), Ok(2));
}

#[test]
fn a_panic_is_mended_after_the_backoff() {
    let world = World::new(1, POLICY);
    let address = follower(&world);
    address.port().tell(Explode).unwrap();
    world.run_for(POLICY.backoff_first_ms - 20);
    assert!(address.inspect(|_| ()).is_none(), "not before the backoff");
    world.run_until(|| address.inspect(|_| ()).is_some(), 200).unwrap();
    assert_eq!(world.stopped(), None);
}

#[test]
fn a_machine_that_gives_up_stops_the_world() {
    let world = World::new(1, POLICY);
    follower(&world).port().tell(GiveUp).unwrap();
    world.run_until(|| world.stopped().is_some(), 1_000).unwrap();
    assert_eq!(world.stopped().unwrap(), "counter cannot go on");
}

#[test]
fn idle_comes_once_for_a_group_and_when_the_mailbox_is_empty() {
    let world = World::new(1, POLICY);
    let address = world.start("counter", 1_000, Origin::Once(Counter::default()));
    let add: Port<Add> = address.port();
    add.tell(Add(1)).unwrap();
    world.run_for(10);
    assert_eq!(address.inspect(|counter| counter.idles), Some(1));
    for _ in 0..600 {
        add.tell(Add(1)).unwrap();
    }
    world.run_for(10);
    let seen = address.inspect(|counter| (counter.total, counter.idles));
    assert_eq!(seen, Some((601, 1 + 3)), "after 256, after 512 and at the end");
}

#[test]
fn waiting_work_is_idled_without_messages() {
    let world = World::new(1, POLICY);
    let address = follower(&world);
    address.port().tell(Burden(4)).unwrap();
    world.run_for(100);
    assert_eq!(address.inspect(|counter| (counter.chores, counter.idles)), Some((0, 4)));
}

#[test]
fn a_stop_lets_what_waits_finish() {
    let world = World::new(1, POLICY);
    let address = follower(&world);
    let waiting = address.port().ask(Add(5)).unwrap();
    address.port().tell(Burden(3)).unwrap();
    world.stop("counter", 1_000).unwrap();
    assert_eq!(world.answer(waiting, 0), Ok(5));
    let add: Port<Add> = address.port();
    assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(_))));
    assert_eq!(world.stopped(), None, "a stop is no fault");
}

#[test]
fn a_condition_that_never_holds_names_the_seed() {
    let world = World::new(42, POLICY);
    let error = world.run_until(|| false, 3_000).unwrap_err().to_string();
    assert!(error.contains("seed 42"), "{error}");
    assert!(world.now() <= Timestamp(3_000));
}

#[test]
fn a_foreign_thread_is_refused() {
    let world = World::new(1, POLICY);
    let add: Port<Add> = follower(&world).port();
    let foreign = thread::spawn(move || add.tell(Add(1)).is_ok());
    assert!(foreign.join().is_err());
}

/// A counter that says how often it was built.
fn counted(world: &World, name: &str) -> (MachineRef<Counter>, Arc<Mutex<u64>>) {
    let builds = Arc::new(Mutex::new(0));
    let built = Arc::clone(&builds);
    let origin = Origin::rebuilt(move || {
        *built.lock().unwrap() += 1;
        Ok(Counter::default())
    });
    (world.start(name, 64, origin), builds)
}

#[test]
fn a_panic_by_order_is_mended_like_any_and_sources_are_built_again_too() {
    let world = World::new(1, POLICY);
    let (ledger, of_ledger) = counted(&world, "ledger");
    let (watcher, of_watcher) = counted(&world, "watcher");
    world.retold_by("ledger".to_owned(), vec!["watcher".to_owned()]);
    watcher.port().tell(Add(5)).unwrap();
    world.run_for(10);
    world.panic("ledger");
    assert!(ledger.inspect(|_| ()).is_none());
    world.run_for(1_000);
    assert!(ledger.inspect(|_| ()).is_some());
    assert_eq!((*of_ledger.lock().unwrap(), *of_watcher.lock().unwrap()), (2, 2));
    assert_eq!(watcher.inspect(|watcher| watcher.total), Some(0), "it is another one");
    assert_eq!(world.stopped(), None);
}

#[test]
fn a_buried_machine_is_not_built_again() {
    let world = World::new(1, POLICY);
    let (address, builds) = counted(&world, "counter");
    world.panic("counter");
    world.bury("counter");
    world.run_for(5_000);
    assert!(address.inspect(|_| ()).is_none());
    assert_eq!(*builds.lock().unwrap(), 1);
}
