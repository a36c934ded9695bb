//! What workers say to a node.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;
use serde::{Deserialize, Serialize};
use zklink_prover::feed::{JobId, LeaseRefusal, Leased, SubmitRefusal, Submitted};
use zklink_settlement::book::{Attestation, BadAttestation};

/// Bytes as hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(#[serde(with = "hex")] pub(crate) Vec<u8>);

/// The methods. Nobody says who they are: the token says it. A refusal of the machine behind is an answer; an error
/// means that there was none, and the call may be made again.
#[rpc(server, client)]
pub(crate) trait Work {
    /// For provers: something to prove. Of several provers under one token each has its place.
    #[method(name = "lease", with_extensions)]
    async fn lease(&self, place: u8) -> RpcResult<Result<Option<Leased>, LeaseRefusal>>;

    /// For provers: a proof.
    #[method(name = "submit", with_extensions)]
    async fn submit(
        &self,
        place: u8,
        job: JobId,
        proof: Bytes,
    ) -> RpcResult<Result<Submitted, SubmitRefusal>>;

    /// For attesters: a signature.
    #[method(name = "attest", with_extensions)]
    async fn attest(&self, attestation: Attestation) -> RpcResult<Result<(), BadAttestation>>;
}
