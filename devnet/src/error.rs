//! What can go wrong, in the words of geth where a client may look for them.

use alloy_primitives::{Bytes, U256};

/// Why a chain did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error("bad configuration of a development chain: {0}")]
    Config(String),
    /// The address cannot be served on.
    #[error("cannot serve on {address}: {source}. Choose another port, or 0 for a free one")]
    Bind {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why the chain refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The bytes are no signed transaction.
    #[error("rlp: cannot decode the transaction: {0}")]
    Decode(String),
    /// The signature is not one of a sender, or not canonical (EIP-2).
    #[error("invalid sender: {0}")]
    Signature(String),
    /// Blob and set-code transactions.
    #[error("transaction type not supported: {0}. This chain takes types 0, 1 and 2")]
    Type(u8),
    /// The encoded transaction is too large.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Its size, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// The id that was signed.
        have: u64,
        /// The id of this chain.
        want: u64,
    },
    /// A legacy signature without a chain id.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// Its place is taken by an included transaction.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The nonce of the sender's account.
        next: u64,
        /// The nonce that was signed.
        nonce: u64,
    },
    /// EIP-2681: a nonce must be less than 2^64 - 1.
    #[error("nonce has max value: {0}")]
    NonceMax(u64),
    /// The sender cannot pay for this and what already waits.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, \
         tx cost {cost}"
    )]
    Funds {
        /// Balance of the sender, wei.
        balance: U256,
        /// Most that the sender's waiting transactions can cost, wei.
        queued: U256,
        /// Most that this transaction can cost, wei.
        cost: U256,
    },
    /// Less gas than the transaction costs before any code runs.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// The gas limit that was signed.
        gas: u64,
        /// The least that it must be.
        needed: u64,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit: gas {gas}, limit {limit}")]
    BlockGas {
        /// The gas limit that was signed.
        gas: u64,
        /// The gas limit of a block.
        limit: u64,
    },
    /// EIP-1559.
    #[error("max priority fee per gas higher than max fee per gas: {tip} > {cap}")]
    TipAboveCap {
        /// Priority fee per gas, wei.
        tip: u128,
        /// Largest fee per gas, wei.
        cap: u128,
    },
    /// EIP-3860.
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    Initcode {
        /// Size of the init code, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The same transaction waits or is included already.
    #[error("already known")]
    AlreadyKnown,
    /// A replacement must offer a tenth more in both fees.
    #[error("replacement transaction underpriced: offer at least {fee} as fee and {tip} as tip")]
    Underpriced {
        /// Least fee per gas, wei.
        fee: u128,
        /// Least priority fee per gas, wei.
        tip: u128,
    },
    /// Too much waits.
    #[error("txpool is full: {waiting} transactions of {whose} wait. Mine blocks or wait for one")]
    PoolFull {
        /// How many wait.
        waiting: usize,
        /// Of whom.
        whose: &'static str,
    },
    /// `finalized` and `safe` before there is such a block.
    #[error("{0} block not found")]
    TagNotFound(&'static str),
    /// A number or a hash that the chain does not have.
    #[error("header not found: {0}")]
    BlockNotFound(String),
    /// The state of an old block is no longer kept.
    #[error("missing trie node: the state of block {number} is not kept, the oldest is {oldest}")]
    StatePruned {
        /// The block wanted.
        number: u64,
        /// The oldest block whose state can be read.
        oldest: u64,
    },
    /// The call ran and reverted.
    #[error("{}", revert_text(.0))]
    Reverted(Bytes),
    /// The call used up its gas.
    #[error("out of gas")]
    OutOfGas,
    /// The call ran into an error of the machine, such as an invalid jump.
    #[error("execution halted: {0}")]
    Halted(String),
    /// The call cannot even start.
    #[error("{0}")]
    Call(String),
    /// A call needs more gas than it may have.
    #[error("gas required exceeds allowance ({0})")]
    GasAllowance(u64),
    /// A log query is too wide.
    #[error("query covers {asked} blocks, more than the limit of {limit}. Ask in parts")]
    LogRange {
        /// Blocks asked for.
        asked: u64,
        /// Blocks allowed.
        limit: u64,
    },
    /// A log query finds too much.
    #[error("query returns more than {0} results. Ask in parts")]
    LogResults(usize),
    /// A log query whose range ends before it begins.
    #[error("invalid block range: from {from} to {to}")]
    LogOrder {
        /// First block.
        from: u64,
        /// Last block.
        to: u64,
    },
    /// A reorganisation would go below the final block or the genesis block.
    #[error("a reorganisation of {depth} blocks crosses finality: {most} blocks are not final")]
    Finality {
        /// Blocks that would be taken back.
        depth: u64,
        /// Most that can be.
        most: u64,
    },
    /// A reorganisation with a transaction beyond its last block.
    #[error("block {block} is not in a reorganisation of {depth} blocks (counted from 0)")]
    ReorgBlock {
        /// The block named.
        block: u64,
        /// Blocks that the reorganisation makes.
        depth: u64,
    },
    /// More blocks at once than one call may mine.
    #[error("cannot mine {asked} blocks at once, the limit is {limit}")]
    MineBlocks {
        /// Blocks asked for.
        asked: u64,
        /// Blocks allowed.
        limit: u64,
    },
    /// A timestamp that the chain cannot take.
    #[error("cannot use the time {asked}: {reason}")]
    Time {
        /// What was asked for, seconds.
        asked: u64,
        /// Why not.
        reason: &'static str,
    },
    /// A parameter has no meaning here.
    #[error("invalid params: {0}")]
    Params(String),
    /// A panic while the chain was being changed: its state cannot be trusted any more.
    #[error("the chain stopped after an internal error; start it again")]
    Broken,
}

/// geth's text for a revert: the reason of `Error(string)` where there is one.
fn revert_text(output: &Bytes) -> String {
    match revert_reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_string(),
    }
}

/// Decodes the ABI encoding of `Error(string)`; None for anything else, however malformed.
fn revert_reason(output: &[u8]) -> Option<String> {
    const SELECTOR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    let body = output.strip_prefix(&SELECTOR)?;
    let word = |at: usize| -> Option<usize> {
        let bytes = body.get(at..at.checked_add(32)?)?;
        usize::try_from(U256::from_be_slice(bytes)).ok()
    };
    let offset = word(0)?;
    let length = word(offset)?;
    let start = offset.checked_add(32)?;
    let text = body.get(start..start.checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revert_reason_is_decoded_and_garbage_is_not() {
        let mut output = vec![0x08, 0xc3, 0x79, 0xa0];
        output.extend(U256::from(32).to_be_bytes::<32>());
        output.extend(U256::from(4).to_be_bytes::<32>());
        output.extend(b"oops");
        assert_eq!(revert_text(&output.clone().into()), "execution reverted: oops");
        // A length far beyond the data, and an offset that would overflow.
        output[36..68].fill(0xff);
        assert_eq!(revert_text(&output.clone().into()), "execution reverted");
        output[4..36].fill(0xff);
        assert_eq!(revert_text(&output.into()), "execution reverted");
        assert_eq!(revert_text(&Bytes::new()), "execution reverted");
    }
}
