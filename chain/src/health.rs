//! What is wrong with one endpoint: what people are told, and when it ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::client::{ClientError, Complaint};

/// A question that is not asked any more cannot be answered well again: its fault is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// A question that was not answered well when it was asked last.
#[derive(Clone, Debug)]
struct Fault {
    error: ClientError,
    last: Instant,
}

/// The faults of one endpoint, by question: one that answers everything but one question has a fault all the same.
#[derive(Debug, Default)]
pub(crate) struct Health {
    faults: Mutex<BTreeMap<&'static str, Fault>>,
}

impl Health {
    fn faults(&self) -> MutexGuard<'_, BTreeMap<&'static str, Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an answer, and hands it on.
    pub(crate) fn noted<T>(
        &self,
        question: &'static str,
        answer: Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut faults = self.faults();
        match &answer {
            Err(error) if error.is_outage() || matches!(error, ClientError::WrongChain { .. }) => {
                let fault = Fault { error: error.clone(), last: Instant::now() };
                faults.insert(question, fault);
            }
            Err(ClientError::Disagreement { .. }) => {}
            // A refusal is an answer too.
            _ => {
                faults.remove(question);
                // Whatever is answered shows that it can be reached, and serves the right chain.
                faults.retain(|_, fault| fault.error.is_of_question());
            }
        }
        drop(faults);
        answer
    }

    /// What people should know.
    pub(crate) fn complaints(&self) -> Vec<Complaint> {
        let faults = self.faults();
        let recent = faults.iter().filter(|(_, fault)| fault.last.elapsed() < FORGOTTEN_AFTER);
        let told = recent.filter_map(|(question, fault)| {
            let endpoint = fault.error.endpoint()?.to_owned();
            Some(Complaint { endpoint, fault: words(question, &fault.error) })
        });
        let mut told: Vec<Complaint> = told.collect();
        told.sort();
        told.dedup();
        told
    }
}

impl ClientError {
    /// Whether it says something of one question only: others may well be answered.
    fn is_of_question(&self) -> bool {
        matches!(self, ClientError::Unavailable { .. } | ClientError::Malformed { .. })
    }
}

/// A fault without the endpoint's name.
pub(crate) fn words(question: &str, error: &ClientError) -> String {
    match error {
        ClientError::Unavailable { reason, .. } => format!("cannot serve {question}: {reason}"),
        ClientError::Malformed { what, .. } => {
            format!("cannot serve {question}: it sends something that is not {what}")
        }
        ClientError::WrongChain { expected, found, .. } => {
            format!("serves another chain: {found}, wanted {expected}")
        }
        ClientError::Unreachable { reason, .. } => format!("does not answer: {reason}"),
        other => other.to_string(),
    }
}
