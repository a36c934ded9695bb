//! What the feed holds at most, and how patient it is with provers.

/// Bounds and times of the feed.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Most jobs that wait or are leased.
    pub jobs_max: usize,
    /// Most bytes of witnesses of all these jobs together.
    pub witness_bytes_max: usize,
    /// Largest proof, in bytes.
    pub proof_bytes_max: usize,
    /// Most provers that are known at a time.
    pub provers_max: usize,
    /// How long a prover may work on a job, in milliseconds.
    pub lease_ms: u64,
    /// How long after its last word a prover counts as alive, in milliseconds.
    pub alive_ms: u64,
    /// After so many wrong proofs a prover is barred.
    pub strikes_max: u32,
    /// For how long, in milliseconds.
    pub bar_ms: u64,
}
