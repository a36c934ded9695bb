//! What workers say to a node.

use jsonrpsee::ResponsePayload;
use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;
use serde::{Deserialize, Serialize};
use zklink_prover::feed::{JobId, LeaseRefusal, Leased, SubmitRefusal, Submitted};
use zklink_settlement::book::{Attestation, BadAttestation};
use zklink_store::journal::{Record, Stretch};

use crate::workers::Role;

/// Bytes as hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(#[serde(with = "hex")] pub(crate) Vec<u8>);

/// Records of the journal, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Records {
    /// The records.
    pub(crate) records: Vec<JournalRecord>,
    /// How many the journal has.
    pub(crate) end: u64,
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalRecord {
    pub(crate) position: u64,
    #[serde(with = "hex::serde")]
    pub(crate) chain: [u8; 32],
    #[serde(with = "hex")]
    pub(crate) payload: Vec<u8>,
}

impl From<Stretch> for Records {
    fn from(Stretch { records, end }: Stretch) -> Records {
        let records = records.into_iter().map(|record| {
            let Record { position, chain, payload } = record;
            JournalRecord { position, chain, payload }
        });
        Records { records: records.collect(), end }
    }
}

impl From<Records> for Stretch {
    fn from(Records { records, end }: Records) -> Stretch {
        let records = records.into_iter().map(|record| {
            let JournalRecord { position, chain, payload } = record;
            Record { position, chain, payload }
        });
        Stretch { records: records.collect(), end }
    }
}

/// The methods. Nobody says who they are: the token says it. A refusal of the machine behind is an answer; an error
/// means that there was none, and the call may be made again.
#[rpc(server, client)]
pub(crate) trait Work {
    /// For all roles: the worker is there. Said every [`HELLO`](crate::HELLO).
    #[method(name = "hello", with_extensions)]
    async fn hello(&self, role: Role) -> RpcResult<()>;

    /// For provers: something to prove. Of several provers under one token each has its place.
    #[method(name = "lease", with_extensions)]
    async fn lease(
        &self,
        place: u8,
    ) -> ResponsePayload<'static, Result<Option<Leased>, LeaseRefusal>>;

    /// For provers: a proof.
    #[method(name = "submit", with_extensions)]
    async fn submit(
        &self,
        place: u8,
        job: JobId,
        proof: Bytes,
    ) -> RpcResult<Result<Submitted, SubmitRefusal>>;

    /// For replicas: the records of the journal from a position on.
    #[method(name = "records", with_extensions)]
    async fn records(&self, from: u64) -> ResponsePayload<'static, Result<Records, String>>;

    /// For attesters: a signature.
    #[method(name = "attest", with_extensions)]
    async fn attest(&self, attestation: Attestation) -> RpcResult<Result<(), BadAttestation>>;
}
