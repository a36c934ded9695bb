//! Jobs, and what provers and the witness maker say to the feed.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zklink::id::{BlockNumber, ShapeId};
use zklink_mechanism::port::Message;
use zklink_mechanism::timestamp::Timestamp;

use super::provers::{LeaseRefusal, ProverId, ProverProgress};

/// A job is known by the hash of its statement: the same statement is the same job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(#[serde(with = "hex")] pub [u8; 32]);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", hex::encode(&self.0[..4]))
    }
}

/// Something to prove.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Hash of the statement.
    pub id: JobId,
    /// The block.
    pub block: BlockNumber,
    /// Its shape, and so the proving key.
    pub shape: ShapeId,
    /// The witness as its maker encodes it.
    #[serde(with = "shared_hex")]
    pub witness: Arc<Vec<u8>>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({:?}, block {}, {} bytes)", self.id, self.block, self.witness.len())
    }
}

/// Have this proven. Says yes also when the job is known or was proven.
#[derive(Debug)]
pub struct Enqueue {
    /// The job.
    pub job: Job,
}

impl Message for Enqueue {
    type Reply = Result<(), EnqueueRefusal>;
}

/// Why a job was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnqueueRefusal {
    /// The queue is at its bound of jobs or bytes.
    #[error("the prover feed is full: enqueue again when proofs have come in")]
    Full,
    /// The witness alone is above the bound.
    #[error("a witness of {0} bytes is above the limit of the feed: raise it in the configuration")]
    TooLarge(usize),
}

/// A prover asks for work.
#[derive(Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Who asks.
    pub prover: ProverId,
}

impl Message for Lease {
    type Reply = Result<Option<Leased>, LeaseRefusal>;
}

/// Work for a prover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// What to prove.
    pub job: Job,
    /// From then on others may get it, too. A proof that comes later is still taken if it is first.
    pub deadline: Timestamp,
}

/// A prover hands in a proof.
#[derive(Clone, Serialize, Deserialize)]
pub struct Submit {
    /// Who.
    pub prover: ProverId,
    /// For which job.
    pub job: JobId,
    /// The proof.
    #[serde(with = "hex")]
    pub proof: Vec<u8>,
}

impl fmt::Debug for Submit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Submit({}, {:?}, {} bytes)", self.prover, self.job, self.proof.len())
    }
}

impl Message for Submit {
    type Reply = Result<Submitted, SubmitRefusal>;
}

/// What became of a proof that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Submitted {
    /// It is right, and the first.
    Accepted,
    /// Another one was first; nothing is wrong.
    AlreadyProven,
}

/// Why a proof was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SubmitRefusal {
    /// It does not prove the statement.
    #[error("the proof is wrong: {reason}; this is strike {strikes}")]
    Wrong {
        /// What the check says.
        reason: String,
        /// Strikes of this prover so far.
        strikes: u32,
    },
    /// The feed has no such job.
    #[error("no job {0}: it was proven long ago, or the node was restarted; ask for a new one")]
    UnknownJob(JobId),
    /// The job was never leased to this prover, so its proof is not worth the check.
    #[error("this job was never leased to this prover: ask for work first")]
    NeverLeased,
    /// The proof is above the bound.
    #[error("a proof of {0} bytes is above the limit")]
    TooLarge(usize),
    /// The prover is not served at all.
    #[error(transparent)]
    NotServed(#[from] LeaseRefusal),
}

/// How far is proving?
#[derive(Debug)]
pub struct ReadProgress;

impl Message for ReadProgress {
    type Reply = Progress;
}

/// How far proving is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Jobs that are not proven yet, oldest block first.
    pub jobs: Vec<JobProgress>,
    /// Proofs that were accepted since the feed was started.
    pub proven: u64,
    /// Provers that are known.
    pub provers: Vec<ProverProgress>,
}

/// How far one job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgress {
    /// The job.
    pub job: JobId,
    /// Its block.
    pub block: BlockNumber,
    /// Its shape.
    pub shape: ShapeId,
    /// How often it was leased.
    pub attempts: u32,
    /// Who works on it.
    pub prover: Option<ProverId>,
    /// Until when.
    pub deadline: Option<Timestamp>,
}

/// Shared bytes as hex.
mod shared_hex {
    use std::sync::Arc;

    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Arc<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        hex::serialize(bytes.as_slice(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Vec<u8>>, D::Error> {
        hex::deserialize(deserializer).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_travel_as_json_and_names_are_checked_when_they_are_read() {
        let job = Job {
            id: JobId([1; 32]),
            block: BlockNumber(7),
            shape: ShapeId(2),
            witness: Arc::new(vec![0, 255]),
        };
        let text = serde_json::to_string(&Leased { job: job.clone(), deadline: Timestamp(9) });
        let text = text.unwrap();
        assert!(text.contains(r#""witness":"00ff""#), "{text}");
        let leased: Leased = serde_json::from_str(&text).unwrap();
        assert_eq!(leased, Leased { job, deadline: Timestamp(9) });
        let named = |name: &str| {
            serde_json::from_str::<Lease>(&format!(r#"{{"prover":"{name}"}}"#))
                .map(|lease| lease.prover.to_string())
                .map_err(|error| error.to_string())
        };
        assert_eq!(named("a-1"), Ok("a-1".to_owned()));
        assert!(named("a b").unwrap_err().contains("a prover's name has"));
    }
}
