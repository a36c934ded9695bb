//! The jobs that the feed was given and the archive has no proof of.
//!
//! The feed keeps nothing on disk: one that was built anew knows no job, and a proof may be lost on
//! its way to the archive. So the jobs stay here, and are given to the feed again from time to time,
//! which takes each once. They share their witnesses with the feed.

use std::collections::BTreeMap;

use zklink::id::BlockNumber;
use zklink_prover::feed::Job;
use zklink_store::archive::{ArchiveError, ArchiveReader};

/// See the module.
#[derive(Debug)]
pub struct Unproven {
    archive: ArchiveReader,
    jobs: BTreeMap<BlockNumber, Job>,
}

impl Unproven {
    /// No jobs yet.
    pub fn new(archive: ArchiveReader) -> Unproven {
        Unproven { archive, jobs: BTreeMap::new() }
    }

    /// Notes a job that the feed has taken.
    pub fn note(&mut self, job: Job) {
        self.jobs.insert(job.block, job);
    }

    /// Forgets what is proven; what is left is to be given to the feed again, the oldest first.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn remaining(&mut self) -> Result<Vec<Job>, ArchiveError> {
        let mut remaining = BTreeMap::new();
        for (number, job) in &self.jobs {
            if self.archive.proof(*number)?.is_none() {
                remaining.insert(*number, job.clone());
            }
        }
        self.jobs = remaining;
        Ok(self.jobs.values().cloned().collect())
    }
}
