//! The contracts as this program speaks to them. A test holds every selector and topic here against
//! the compiled artifacts in `contracts/artifacts`.

mod event;
mod refusal;

pub use event::{
    BadEvent, MAX_PAYLOAD, RollupEvent, SentMessage, WatchedContracts, rollup_events, sent_event,
};
pub use refusal::revert_text;

use alloy_primitives::{Address as AlloyAddress, FixedBytes, U256};
use alloy_sol_types::{SolCall, sol};
use zklink::token::Address;

use super::client::{At, Call, ChainClient, ClientError};

sol! {
    #![sol(all_derives)]

    struct EndpointParams {
        uint8 chain;
        uint8 hub;
        bytes32 deploymentId;
        address governor;
        address validator;
    }

    /// What the hub is given of a block.
    struct BlockCommit {
        uint256 d;
        bytes32[] onchain;
        bytes32[] data;
    }

    /// The proof of a committed block.
    struct BlockProof {
        uint256[4] inputs;
        bytes proof;
    }

    /// A chain's own operations of a block.
    struct OperationsCommit {
        uint32 number;
        bytes32[] words;
        bytes[] keyWitnesses;
        address[] payers;
    }

    /// Some of the payouts of a block: the hashes of the other parts of its content, and the words.
    struct Portion {
        uint32 number;
        bytes32 rest;
        bytes32[] before;
        bytes32[] words;
        bytes32[] behind;
    }

    /// What hub and rollup have in common.
    interface Endpoint {
        function addChain(uint8 chain, address route, bytes32 identity) external;
        function finishSetup() external;

        function chain() external view returns (uint8);
        function hub() external view returns (uint8);
        function deploymentId() external view returns (bytes32);
        function governor() external view returns (address);
        function validator() external view returns (address);
        function setupFinished() external view returns (bool);
        function routeOf(uint8 chain) external view returns (address);
    }

    /// The rollup's contract on every chain: vault and queue.
    interface Rollup {
        event DepositQueued(
            uint64 indexed serial,
            uint16 indexed token,
            bytes32 indexed owner,
            uint8 home,
            uint8 subAccount,
            uint128 amount,
            address payer
        );
        event OperationsCommitted(uint32 indexed number, bytes32 rolling, uint64 cursor);

        function addToken(uint16 id, address token, uint8 decimals, uint80 least) external;
        function setKeyRecorder(address recorder) external;
        function depositNative(bytes32 owner, uint8 home, uint8 subAccount) external payable;
        function depositERC20(
            uint16 token,
            uint256 amount,
            bytes32 owner,
            uint8 home,
            uint8 subAccount
        ) external;
        function refund(
            uint32 number,
            bytes32[] calldata words,
            bytes32[] calldata chunks,
            uint256 first,
            address[] calldata payers
        ) external;
        function commit(bytes32 previousRolling, OperationsCommit[] calldata blocks) external;
        function ack(uint32 number, bytes32 rolling) external payable;
        function revertCommits(uint32 downTo, bytes32[][] calldata words) external;
        function pay(Portion[] calldata portions) external;
        function claim(address owner, uint16 token) external;
        function claimTo(uint16 token, address to) external;

        function payGas(uint256 portions, uint256 withdrawals) external pure returns (uint256);
        function token(uint16 id)
            external
            view
            returns (address addr, uint8 decimals, bool listed, uint80 least);
        function tokenIdOf(address addr) external view returns (uint16);
        function recordOf(uint32 number)
            external
            view
            returns (uint32 index, bytes32 rolling, uint64 cursor);
        function lastCommitted() external view returns (uint32);
        function lastAcked() external view returns (uint32);
        function lastReleased() external view returns (uint32);
        function lastPaid() external view returns (uint32);
        function chunksPaid() external view returns (uint32);
        function rolling() external view returns (bytes32);
        function queueHead() external view returns (uint64);
        function queueTail() external view returns (uint64);
        function cursor() external view returns (uint64);
        function queued(uint64 serial)
            external
            view
            returns (bytes26 hash, uint64 timestamp, uint8 state);
        function locked(uint16 token) external view returns (uint256);
        function pendingTotal(uint16 token) external view returns (uint256);
        function unconsumed(uint16 token) external view returns (uint256);
        function pending(address owner, uint16 token) external view returns (uint256);
        function keyRecorder() external view returns (address);
    }

    /// Keys that owners authorised by a call, on every chain.
    interface KeyRecorder {
        event AuthPubKeySet(
            address indexed owner,
            uint32 indexed nonce,
            uint8 home,
            uint256 keyX,
            uint256 keyY
        );

        function setAuthPubKey(uint8 home, uint256 keyX, uint256 keyY, uint32 nonce) external;
        function rollup() external view returns (address);
        function chain() external view returns (uint8);
        function domainSeparator() external view returns (bytes32);
    }

    /// The contract that checks proofs and releases payouts. It holds nothing.
    interface Hub {
        function registerShape(
            uint16 shape,
            uint32 onchainWords,
            uint32 dataWords,
            address verifier,
            bytes32 keyHash
        ) external;
        function commitBlocks(BlockCommit[] calldata blocks) external;
        function proveBlocks(uint32 first, BlockProof[] calldata proofs) external;
        function releaseBlocks(uint32 number) external;
        function sendRelease(uint8 chain) external payable;
        function revertBlocks(uint32 downTo) external;

        function root() external view returns (bytes32);
        function rootOf(uint32 number) external view returns (bytes32);
        function rollingOf(uint32 number, uint8 chain) external view returns (bytes32);
        function chainInfo(uint8 chain)
            external
            view
            returns (
                uint32 last,
                bytes32 lastRolling,
                uint32 ackedThrough,
                uint32 released,
                uint32 sent
            );
        function blocksCommitted() external view returns (uint32);
        function blocksProven() external view returns (uint32);
        function blocksReleased() external view returns (uint32);
        function shapeInfo(uint16 shape)
            external
            view
            returns (uint32 onchainWords, uint32 dataWords, address verifier, uint64 usableFrom);
    }

    /// What every way between chains says of itself.
    interface Route {
        function identity() external view returns (bytes32);
        function chain() external view returns (uint8);
        function deploymentId() external view returns (bytes32);
    }

    /// The route between chains.
    interface LightOracle {
        event MessageSent(uint8 indexed destination, uint64 indexed sequence, bytes payload);

        function deliver(
            uint8 source,
            uint64 first,
            bytes[] calldata payloads,
            bytes[][] calldata signatures
        ) external;
        function digest(uint8 source, uint64 sequence, bytes calldata payload)
            external
            view
            returns (bytes32);
        function sentCount(uint8 destination) external view returns (uint64);
        function sentHash(uint8 destination, uint64 sequence) external view returns (bytes32);
        function deliveredCount(uint8 source) external view returns (uint64);
        function threshold() external view returns (uint256);
        function isAttester(address account) external view returns (bool);
        function endpoint() external view returns (address);
        function deploymentId() external view returns (bytes32);
    }

    /// The proof check of one shape.
    interface Groth16Verifier {
        function keyStore() external view returns (address);
        function keyHash() external view returns (bytes32);
        function verify(uint256[4] calldata inputs, bytes calldata proof)
            external
            view
            returns (bool);
    }

    /// A token: what every ERC-20 has, and the mint of the development token.
    interface Erc20 {
        function decimals() external view returns (uint8);
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function mint(address to, uint256 amount) external;
    }
}

/// Why a contract could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The chain did not answer, or the contract refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer is none of this function. Often there is no contract at the address.
    #[error(
        "0x{} does not answer {function} as our contract: check the address",
        hex::encode(contract)
    )]
    NotOurs {
        /// The address.
        contract: Address,
        /// The signature of the function.
        function: &'static str,
    },
}

/// A transaction that makes a call.
pub fn transaction<C: SolCall>(to: Address, call: &C) -> Call {
    Call { to: Some(to), data: call.abi_encode(), ..Call::default() }
}

/// Asks a contract and reads its answer.
///
/// # Errors
/// [`ReadError`].
pub async fn read<C: SolCall>(
    client: &dyn ChainClient,
    contract: Address,
    call: &C,
    at: At,
) -> Result<C::Return, ReadError> {
    let answer = client.call(transaction(contract, call), at).await?;
    C::abi_decode_returns(&answer)
        .map_err(|_| ReadError::NotOurs { contract, function: C::SIGNATURE })
}

/// An address as the ABI has it.
pub fn to_abi(address: Address) -> AlloyAddress {
    AlloyAddress::from(address)
}

/// A word as the ABI has it.
pub fn to_abi_word(word: [u8; 32]) -> FixedBytes<32> {
    FixedBytes(word)
}

/// Words as the ABI has them.
pub fn words_to_abi(words: &[[u8; 32]]) -> Vec<FixedBytes<32>> {
    words.iter().copied().map(FixedBytes).collect()
}

/// A number that must fit 128 bits; more than that is more than any token has here.
pub fn narrow(value: U256) -> u128 {
    u128::try_from(value).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests;
