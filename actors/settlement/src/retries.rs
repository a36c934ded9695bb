//! Steps that failed rest for a while, longer each time, so that the others of the same chain get
//! their turn.

use zklink_mechanism::timestamp::Timestamp;

use super::Step;

/// The longest rest of a step, milliseconds.
const REST_MAX_MS: u64 = 60_000;

/// A step that the chain does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The step.
    pub step: Step,
    /// How often in a row it failed.
    pub failures: u32,
    /// What was said the last time.
    pub error: String,
    /// When it is tried again, on the clock of whoever drives it.
    pub again: Timestamp,
}

/// What failed of the steps that a chain would take. It holds at most one entry for each of them,
/// and nothing that a restart could lose: a step that is tried anew too early fails once more.
#[derive(Clone, Debug)]
pub struct Retries {
    first_ms: u64,
    failing: Vec<Failing>,
}

impl Retries {
    /// Nothing has failed; the first rest lasts `first_ms` milliseconds, each further one twice as
    /// long, up to a minute.
    pub fn new(first_ms: u64) -> Retries {
        Retries { first_ms, failing: Vec::new() }
    }

    /// The first of the steps that does not rest now. What is none of the steps any more is
    /// forgotten.
    pub fn choose(&mut self, steps: &[Step], now: Timestamp) -> Option<Step> {
        self.failing.retain(|failing| steps.contains(&failing.step));
        let rests = |step: &&Step| {
            self.failing.iter().any(|failing| failing.step == **step && now < failing.again)
        };
        steps.iter().find(|step| !rests(step)).cloned()
    }

    /// A step failed.
    pub fn failed(&mut self, step: &Step, error: String, now: Timestamp) {
        let known = self.failing.iter().position(|failing| failing.step == *step);
        let failures = known.map_or(0, |at| self.failing.swap_remove(at).failures);
        let rest = self.first_ms.max(1).saturating_mul(1 << failures.min(16));
        let rest = rest.min(REST_MAX_MS.max(self.first_ms));
        let failures = failures.saturating_add(1);
        self.failing.push(Failing { step: step.clone(), failures, error, again: now.after(rest) });
    }

    /// A step was done: should it become due again, it begins anew.
    pub fn done(&mut self, step: &Step) {
        self.failing.retain(|failing| failing.step != *step);
    }

    /// What fails now.
    pub fn failing(&self) -> &[Failing] {
        &self.failing
    }
}

#[cfg(test)]
mod tests {
    use zklink::id::BlockNumber;

    use super::super::{Part, Range};
    use super::*;

    fn pay(number: u32) -> Step {
        Step::Pay(vec![Part { number: BlockNumber(number), first: 0, chunks: 1 }])
    }

    fn commit(number: u32) -> Step {
        Step::Commit(Range::one(BlockNumber(number)))
    }

    #[test]
    fn a_step_that_failed_rests_and_the_others_go_on() {
        let mut retries = Retries::new(100);
        let steps = [pay(1), commit(2)];
        assert_eq!(retries.choose(&steps, Timestamp(0)), Some(pay(1)));
        retries.failed(&pay(1), "no".into(), Timestamp(0));
        assert_eq!(retries.choose(&steps, Timestamp(0)), Some(commit(2)));
        retries.failed(&commit(2), "no".into(), Timestamp(50));
        assert_eq!(retries.choose(&steps, Timestamp(99)), None);
        assert_eq!(retries.choose(&steps, Timestamp(100)), Some(pay(1)));
        assert_eq!(retries.failing().len(), 2);
    }

    #[test]
    fn each_rest_is_twice_as_long_up_to_a_minute() {
        let mut retries = Retries::new(100);
        let mut rests = Vec::new();
        for _ in 0..20 {
            retries.failed(&pay(1), "no".into(), Timestamp(1_000));
            rests.push(retries.failing()[0].again.0 - 1_000);
        }
        assert_eq!(rests[..4], [100, 200, 400, 800]);
        assert_eq!(rests[10..], [60_000; 10]);
        assert_eq!((retries.failing().len(), retries.failing()[0].failures), (1, 20));
        // A period that is longer than the bound is the bound.
        let mut slow = Retries::new(90_000);
        slow.failed(&pay(1), "no".into(), Timestamp(0));
        assert_eq!(slow.failing()[0].again, Timestamp(90_000));
    }

    #[test]
    fn what_is_done_or_no_step_any_more_is_forgotten() {
        let mut retries = Retries::new(100);
        for step in [pay(1), commit(2), commit(3)] {
            retries.failed(&step, "no".into(), Timestamp(0));
        }
        retries.done(&pay(1));
        assert_eq!(retries.choose(&[pay(1), commit(2)], Timestamp(0)), Some(pay(1)));
        let left: Vec<_> = retries.failing().iter().map(|failing| failing.step.clone()).collect();
        assert_eq!(left, [commit(2)]);
    }
}
