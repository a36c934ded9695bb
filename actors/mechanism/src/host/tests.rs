//! The host and the shell under the real actix: bounds, panics, rebuilds, stops.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::machine::{Handle, Load};
use crate::port::{Message, Pending, Refused};
use crate::probe::{Add, Burden, Counter, Explode, GiveUp, Hold};
use crate::shell::run;
use crate::supervisor::Config;
use crate::turn::Turn;

const SOON: Duration = Duration::from_secs(5);
const POLICY: Config =
    Config { backoff_first_ms: 10, backoff_max_ms: 50, failures_max: 2, window_ms: 60_000 };

async fn host() -> (Host, MachineRef<Supervisor>) {
    Host::supervised_by(Arc::new(SystemClock::default()), Supervisor::new(POLICY)).await.unwrap()
}

async fn counter(host: &mut Host, capacity: usize, origin: Origin<Counter>) -> MachineRef<Counter> {
    host.start(&Thread::start(), "counter", capacity, origin).await.unwrap()
}

/// Waits until the mailbox is empty; the last message may still be in work.
async fn drained<A: Machine>(address: &MachineRef<A>) {
    while address.mailbox.queued() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn sum<M: Message>(asked: Result<Pending<M::Reply>, Refused<M>>) -> M::Reply {
    asked.unwrap().wait(SOON).await.unwrap()
}

#[test]
fn a_machine_answers_in_order() {
    run(async {
        let (mut host, _) = host().await;
        let add: Port<Add> = counter(&mut host, 8, Origin::Once(Counter::default())).await.port();
        add.tell(Add(1)).unwrap();
        add.tell(Add(2)).unwrap();
        assert_eq!(sum(add.ask(Add(3))).await, 6);
    });
}

#[test]
fn a_full_mailbox_gives_the_message_back() {
    run(async {
        let (mut host, _) = host().await;
        let address = counter(&mut host, 2, Origin::Once(Counter::default())).await;
        let (release, held) = mpsc::channel();
        let holding = address.port().ask(Hold(held)).unwrap();
        let add: Port<Add> = address.port();
        // The held message may or may not have left the mailbox yet; wait until it has.
        drained(&address).await;
        add.tell(Add(1)).unwrap();
        add.tell(Add(2)).unwrap();
        match add.tell(Add(3)) {
            Err(Refused::Full(Add(3))) => {}
            other => panic!("the third message must come back as full, not {other:?}"),
        }
        release.send(()).unwrap();
        holding.wait(SOON).await.unwrap();
        drained(&address).await;
        assert_eq!(sum(add.ask(Add(0))).await, 3, "the refused message was not handled");
    });
}

#[test]
fn a_follower_that_panics_is_rebuilt_and_no_port_goes_deaf() {
    run(async {
        let (mut host, supervisor) = host().await;
        let builds = Arc::new(AtomicU64::new(0));
        let built = Arc::clone(&builds);
        let origin = Origin::rebuilt(move || {
            let total = 100 * built.fetch_add(1, SeqCst);
            Ok(Counter { total, ..Counter::default() })
        });
        let address = counter(&mut host, 8, origin).await;
        let (add, explode): (Port<Add>, Port<Explode>) = (address.port(), address.port());
        assert_eq!(sum(add.ask(Add(1))).await, 1);

        let blast = explode.ask(Explode).unwrap();
        let behind = add.ask(Add(1));
        assert_eq!(blast.wait(SOON).await, Err(Unanswered::Dropped), "no hang");
        match behind {
            // Told before the panic: dropped. Told after it: refused.
            Ok(pending) => assert_eq!(pending.wait(SOON).await, Err(Unanswered::Dropped)),
            Err(refused) => assert!(matches!(refused, Refused::Closed(Add(1)))),
        }
        assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(Add(1)))), "down until rebuilt");

        let supervised = host.supervise(supervisor.port(), Duration::from_millis(5));
        let rebuilt = async {
            loop {
                match add.ask(Add(7)) {
                    Ok(pending) => return pending.wait(SOON).await.unwrap(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        tokio::select! {
            reason = supervised => panic!("stopped: {reason}"),
            total = rebuilt => assert_eq!(total, 107, "the same port reaches the second machine"),
        }
        assert_eq!(builds.load(SeqCst), 2);
    });
}

#[test]
fn a_follower_that_keeps_panicking_stops_the_node() {
    run(async {
        let (mut host, supervisor) = host().await;
        let address = counter(&mut host, 8, Origin::rebuilt(|| Ok(Counter::default()))).await;
        let explode: Port<Explode> = address.port();
        let supervised = host.supervise(supervisor.port(), Duration::from_millis(2));
        let blasts = async {
            loop {
                drop(explode.tell(Explode));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let limit = tokio::time::sleep(SOON);
        tokio::select! {
            reason = supervised => assert_eq!(
                reason,
                "counter failed 3 times in 60000 ms, lastly: panicked: boom at 0"
            ),
            () = async { tokio::join!(blasts, limit); } => panic!("no stop"),
        }
    });
}

#[test]
fn the_panic_of_a_machine_that_owns_truth_stops_the_node_with_the_reason() {
    run(async {
        let (mut host, supervisor) = host().await;
        let address =
            counter(&mut host, 8, Origin::Once(Counter { total: 4, ..Counter::default() }));
        let address = address.await;
        address.port().tell(Explode).unwrap();
        let reason = host.supervise(supervisor.port(), Duration::from_millis(2)).await;
        assert_eq!(reason, "counter panicked: boom at 4");
        let add: Port<Add> = address.port();
        assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(_))));
    });
}

#[test]
fn a_follower_that_gives_up_stops_the_node_too() {
    run(async {
        let (mut host, supervisor) = host().await;
        let address = counter(&mut host, 8, Origin::rebuilt(|| Ok(Counter::default()))).await;
        let given_up = address.port().ask(GiveUp).unwrap();
        assert_eq!(
            given_up.wait(SOON).await,
            Err(Unanswered::Dropped),
            "it does not count as done"
        );
        let reason = host.supervise(supervisor.port(), Duration::from_millis(2)).await;
        assert_eq!(reason, "counter cannot go on");
    });
}

#[test]
fn a_follower_whose_first_build_fails_is_tried_again() {
    run(async {
        let (mut host, supervisor) = host().await;
        let mut tries = 0;
        let origin = Origin::rebuilt(move || {
            tries += 1;
            if tries == 1 { Err("not yet".to_owned()) } else { Ok(Counter::default()) }
        });
        let add: Port<Add> = counter(&mut host, 8, origin).await.port();
        assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(_))));
        let supervised = host.supervise(supervisor.port(), Duration::from_millis(2));
        let listens = async {
            while add.tell(Add(1)).is_err() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            reason = supervised => panic!("stopped: {reason}"),
            () = listens => {}
        }
    });
}

#[test]
fn a_dead_supervisor_stops_the_node() {
    run(async {
        let (host, supervisor) = host().await;
        host.stop("supervisor", SOON).await.unwrap();
        let reason = host.supervise(supervisor.port(), Duration::from_millis(2)).await;
        assert!(reason.starts_with("the supervisor is out of reach"), "{reason}");
    });
}

#[test]
fn a_stop_lets_what_waits_finish_and_then_closes() {
    run(async {
        let (mut host, _) = host().await;
        let address = counter(&mut host, 8, Origin::Once(Counter::default())).await;
        let add: Port<Add> = address.port();
        let (release, held) = mpsc::channel();
        address.port().tell(Hold(held)).unwrap();
        let waiting = add.ask(Add(5)).unwrap();
        address.port().tell(Burden(3)).unwrap();
        release.send(()).unwrap();
        host.stop("counter", SOON).await.unwrap();
        assert_eq!(waiting.wait(SOON).await, Ok(5), "what was in the mailbox was handled");
        assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(_))));
    });
}

#[test]
fn a_stop_that_takes_too_long_is_reported() {
    run(async {
        let (mut host, _) = host().await;
        let address = counter(&mut host, 8, Origin::Once(Counter::default())).await;
        address.port().tell(Burden(u64::MAX)).unwrap();
        let stopped = host.stop("counter", Duration::from_millis(30)).await;
        assert_eq!(stopped, Err(Unanswered::TimedOut));
    });
}

#[test]
fn a_saturated_machine_answers_full_and_recovers_by_itself() {
    run(async {
        let (mut host, _) = host().await;
        let machine = Counter { saturates: true, ..Counter::default() };
        let address = counter(&mut host, 8, Origin::Once(machine)).await;
        let add: Port<Add> = address.port();
        sum(address.port().ask(Burden(5))).await;
        assert!(matches!(add.tell(Add(1)), Err(Refused::Full(Add(1)))));
        // Nothing but idle calls can end the saturation; without them this would never end.
        let pending = loop {
            match add.ask(Add(1)) {
                Ok(pending) => break pending,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        assert_eq!(pending.wait(SOON).await, Ok(1));
    });
}

#[test]
fn a_question_times_out_instead_of_hanging() {
    run(async {
        let (mut host, _) = host().await;
        let address = counter(&mut host, 8, Origin::Once(Counter::default())).await;
        let (release, held) = mpsc::channel();
        let holding = address.port().ask(Hold(held)).unwrap();
        assert_eq!(holding.wait(Duration::from_millis(20)).await, Err(Unanswered::TimedOut));
        release.send(()).unwrap();
    });
}

/// Tells a counter what it was told, when it gets around to it.
struct Relay {
    to: Port<Add>,
    held: Vec<Add>,
}

impl Machine for Relay {
    fn idle(&mut self, _: &mut Turn) {
        while let Some(add) = self.held.pop() {
            if let Err(refused) = self.to.tell(add) {
                self.held.push(refused.into_message());
                return;
            }
        }
    }

    fn load(&self) -> Load {
        if self.held.is_empty() { Load::Clear } else { Load::Waiting }
    }
}

impl Handle<Add> for Relay {
    fn handle(&mut self, add: Add, _: &mut Turn) -> u64 {
        self.held.push(add);
        0
    }
}

#[test]
fn machines_stop_in_order_and_hand_over_what_they_hold() {
    run(async {
        let (mut host, _) = host().await;
        // The sink is narrow, so that the relay cannot hand over everything at once.
        let counter = counter(&mut host, 1, Origin::Once(Counter::default())).await;
        let relay = Relay { to: counter.port(), held: Vec::new() };
        let relay = host.start(&Thread::start(), "relay", 64, Origin::Once(relay)).await.unwrap();
        let (release, held) = mpsc::channel();
        counter.port().tell(Hold(held)).unwrap();
        let add: Port<Add> = relay.port();
        for _ in 0..10 {
            add.tell(Add(1)).unwrap();
        }
        release.send(()).unwrap();
        host.stop("relay", SOON).await.unwrap();
        let total: Port<Add> = counter.port();
        while total.tell(Add(0)).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drained(&counter).await;
        assert_eq!(sum(total.ask(Add(0))).await, 10);
        assert_eq!(host.stop("nobody", SOON).await, Err(Unanswered::Dropped));
    });
}

#[test]
fn after_a_stop_of_all_nothing_is_held_and_sources_stopped_first() {
    run(async {
        let (mut host, _) = host().await;
        // As a follower's factory holds the archive, which a restart opens again.
        let held = Arc::new(());
        let kept = Arc::clone(&held);
        let origin = Origin::rebuilt(move || {
            let _kept = Arc::clone(&kept);
            Ok(Counter::default())
        });
        let counter = counter(&mut host, 8, origin).await;
        let relay = Relay { to: counter.port(), held: Vec::new() };
        let relay = host.start(&Thread::start(), "relay", 64, Origin::Once(relay)).await.unwrap();
        let add: Port<Add> = relay.port();
        add.tell(Add(1)).unwrap();
        assert_eq!(host.stop_all(SOON).await, Vec::<String>::new());
        assert_eq!(Arc::strong_count(&held), 1, "the factory is gone");
        assert!(matches!(add.tell(Add(1)), Err(Refused::Closed(_))));
    });
}

/// Says that it was dropped.
struct Told(std::sync::mpsc::Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send("dropped").unwrap_or_default();
    }
}

#[test]
fn a_driver_that_panics_or_gives_up_stops_the_node_and_says_why() {
    for panics in [true, false] {
        let reason = crate::shell::run(async move {
            let (mut host, supervisor) = host().await;
            host.drive("driver", async move {
                assert!(!panics, "by order of the test");
                Err::<(), _>("no more".to_owned())
            });
            let mut running = host.run(supervisor.port());
            let reason = tokio::time::timeout(SOON, running.finished()).await.unwrap();
            running.stop(SOON).await;
            reason
        });
        let expected = if panics { "panicked" } else { "no more" };
        assert!(reason.contains("driver") && reason.contains(expected), "{reason}");
    }
}

#[test]
fn drivers_end_before_machines_and_one_that_hangs_is_given_up() {
    crate::shell::run(async {
        let (mut host, supervisor) = host().await;
        let counter = counter(&mut host, 8, Origin::Once(Counter::default())).await;
        let (told, heard) = std::sync::mpsc::channel();
        let (last, mut stop) = (counter.port(), host.stopping());
        host.drive("orderly", async move {
            drop(stop.wait_for(|stop| *stop).await);
            let add: Port<Add> = last;
            assert_eq!(add.ask(Add(3)).unwrap().wait(SOON).await, Ok(3), "the machine is there");
        });
        let hanging = Told(told);
        host.drive("hanging", async move {
            std::future::pending::<()>().await;
            drop(hanging);
        });
        let running = host.run(supervisor.port());
        running.stop(Duration::from_millis(200)).await;
        assert_eq!(heard.recv_timeout(SOON), Ok("dropped"));
        assert!(counter.port().tell(Add(1)).is_err(), "the machine is gone");
    });
}

#[test]
fn a_host_that_is_dropped_ends_its_drivers() {
    crate::shell::run(async {
        let (mut host, _supervisor) = host().await;
        let (told, heard) = std::sync::mpsc::channel();
        let (ends, stop) = (Told(told), host.stopping());
        host.drive("looks", async move {
            while !*stop.borrow() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(ends);
        });
        drop(host);
        let heard = tokio::task::spawn_blocking(move || heard.recv_timeout(SOON)).await.unwrap();
        assert_eq!(heard, Ok("dropped"));
    });
}
