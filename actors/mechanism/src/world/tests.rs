//! The World itself: determinism, order, filters, kills, supervision.

use std::time::Duration;

use super::*;
use crate::platform::Platform;
use crate::port::Refused;
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
fn counted(
    world: &World,
    host: &mut WorldHost,
    name: &str,
) -> (MachineRef<Counter>, Arc<Mutex<u64>>) {
    let builds = Arc::new(Mutex::new(0));
    let built = Arc::clone(&builds);
    let origin = Origin::rebuilt(move || {
        *built.lock().unwrap() += 1;
        Ok(Counter::default())
    });
    (world.at_once(host.start(&(), name, 64, origin)).unwrap(), builds)
}

#[test]
fn a_panic_by_order_is_mended_like_any_and_sources_are_built_again_too() {
    let world = World::new(1, POLICY);
    let mut host = WorldHost::new(&world, POLICY);
    let (ledger, of_ledger) = counted(&world, &mut host, "ledger");
    let (watcher, of_watcher) = counted(&world, &mut host, "watcher");
    host.retold_by("ledger", &["watcher".to_owned()]);
    watcher.port().tell(Add(5)).unwrap();
    world.run_for(10);
    world.panic("ledger@1");
    assert!(ledger.inspect(|_| ()).is_none());
    world.run_for(1_000);
    assert!(ledger.inspect(|_| ()).is_some());
    assert_eq!((*of_ledger.lock().unwrap(), *of_watcher.lock().unwrap()), (2, 2));
    assert_eq!(watcher.inspect(|watcher| watcher.total), Some(0), "it is another one");
    assert_eq!((host.stopped(), host.faults()), (None, Vec::new()), "it was ordered");
}

#[test]
fn a_buried_machine_is_not_built_again() {
    let world = World::new(1, POLICY);
    let mut host = WorldHost::new(&world, POLICY);
    let (address, builds) = counted(&world, &mut host, "counter");
    world.panic("counter@1");
    world.bury("counter@1");
    world.run_for(5_000);
    assert!(address.inspect(|_| ()).is_none());
    assert_eq!(*builds.lock().unwrap(), 1);
}

/// Three drivers that sleep for the same time and then add their number to a list, round after round.
fn rounds(seed: u64) -> (Vec<u64>, String) {
    let world = World::new(seed, POLICY);
    let mut host = WorldHost::new(&world, POLICY);
    let list = Arc::new(Mutex::new(Vec::new()));
    for number in 0..3 {
        let list = Arc::clone(&list);
        host.drive(&format!("driver {number}"), async move {
            for _ in 0..1_000 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                list.lock().unwrap().push(number);
            }
        });
    }
    world.run_for(1_000);
    let list = list.lock().unwrap().clone();
    (list, world.log())
}

#[test]
fn drivers_sleep_in_virtual_time_and_the_seed_chooses_among_those_that_are_woken() {
    let (list, log) = rounds(1);
    assert_eq!(list.len(), 30, "ten rounds of three in a second");
    for round in list.chunks(3) {
        assert_eq!(round.iter().sum::<u64>(), 3, "each has its turn in every round: {list:?}");
    }
    assert!(list.chunks(3).any(|round| round != [0, 1, 2]), "in another order sometimes");
    assert_eq!((list.clone(), log), rounds(1));
    assert_ne!(list, rounds(2).0);
}

#[test]
fn a_driver_and_a_machine_talk_and_a_question_times_out() {
    let world = World::new(1, POLICY);
    let mut host = WorldHost::new(&world, POLICY);
    let started = host.start(&(), "counter", 8, Origin::Once(Counter::default()));
    let counter = world.at_once(started).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (add, heard): (Port<Add>, _) = (counter.port(), Arc::clone(&told));
    host.drive("asker", async move {
        for _ in 0..2 {
            let answer = add.ask(Add(7)).unwrap().wait(Duration::from_secs(5)).await;
            heard.lock().unwrap().push(answer);
        }
        let (_never, pending) = crate::port::ReplyTo::<u64>::new();
        let unanswered = pending.wait(Duration::from_secs(5)).await;
        heard.lock().unwrap().push(unanswered);
    });
    world.run_for(4_999);
    assert_eq!(*told.lock().unwrap(), [Ok(7), Ok(14)]);
    world.run_for(20);
    assert_eq!(told.lock().unwrap().last(), Some(&Err(Unanswered::TimedOut)));
}

#[test]
fn a_driver_that_panics_or_gives_up_stops_the_node() {
    for panics in [true, false] {
        let world = World::new(1, POLICY);
        let mut host = WorldHost::new(&world, POLICY);
        host.drive("driver", async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(!panics, "by order of the test");
            Err("no more".to_owned())
        });
        world.run_for(9);
        assert_eq!(host.stopped(), None);
        world.run_for(1_000);
        let expected = if panics { "panicked" } else { "no more" };
        let stopped = host.stopped().expect("the supervisor ordered it");
        assert!(stopped.contains("driver@1") && stopped.contains(expected), "{stopped}");
        assert_eq!(host.faults(), [format!("driver@1 fell: {expected}")]);
        // The next life has a supervisor that knows nothing of it.
        host.kill();
        let next = WorldHost::new(&world, POLICY);
        world.run_for(1_000);
        assert_eq!((next.stopped(), next.faults()), (None, Vec::new()));
    }
}

#[test]
fn a_life_that_is_killed_runs_no_more_and_another_one_goes_on() {
    let world = World::new(1, POLICY);
    let counts = [0, 1].map(|_| Arc::new(Mutex::new(0)));
    let lives = [0, 1].map(|number: usize| {
        let (mut host, count) = (WorldHost::new(&world, POLICY), Arc::clone(&counts[number]));
        host.drive("driver", async move {
            for _ in 0..1_000 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                *count.lock().unwrap() += 1;
            }
        });
        host
    });
    world.run_for(100);
    lives[0].kill();
    world.run_for(100);
    assert_eq!([0, 1].map(|number: usize| *counts[number].lock().unwrap()), [10, 20]);
}

#[test]
fn a_world_that_has_ended_holds_nothing() {
    let world = World::new(1, POLICY);
    let held = Arc::new(());
    let mut host = WorldHost::new(&world, POLICY);
    let (of_driver, of_machine) = (Arc::clone(&held), Arc::clone(&held));
    host.drive("driver", async move {
        std::future::pending::<()>().await;
        drop(of_driver);
    });
    let origin = Origin::rebuilt(move || {
        let _held = &of_machine;
        Ok(Counter::default())
    });
    let counter = world.at_once(host.start(&(), "counter", 8, origin)).unwrap();
    counter.port().tell(Add(1)).unwrap();
    assert_eq!(Arc::strong_count(&held), 3);
    drop(counter);
    world.end();
    assert_eq!(Arc::strong_count(&held), 1);
}
