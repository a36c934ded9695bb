// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IVerifier} from "./interfaces/IVerifier.sol";
import {BlockNumber, ChainId, SerialId, ShapeId, TokenId} from "./types/Ids.sol";

// Every word of storage is declared here, but for the routes' and the key recorder's. Hub and
// Rollup begin with a Registry; then the Hub has Blocks, a Rollup has Queue, Ledger, Settlement.

/// @notice What the governor registers of chains.
/// @dev 1: finished 1, chains 8.
struct Registry {
    bool finished;
    /// Bit c is set if chain c has a route.
    uint64 chains;
    mapping(ChainId chain => address) routes;
}

/// @notice One registered token and what the vault owes in it.
/// @dev 1: addr 20, decimals 1, listed 1, least 10. 2: locked 16, unconsumed 16. 3: pendingTotal
///      16. Raw amounts fit 128 bits because all that is owed fits 2^120 at 18 decimals.
struct TokenEntry {
    address addr;
    uint8 decimals;
    bool listed;
    /// The least deposit, raw.
    uint80 least;
    /// Everything owed, raw: L2 balances, open deposits, claims.
    uint128 locked;
    /// The sum of deposits that are in no account, raw: open, or refused and not refunded yet.
    uint128 unconsumed;
    /// The sum of all claims, raw.
    uint128 pendingTotal;
}

/// @notice What an address is to the vault.
struct Mark {
    /// The token at this address, or 0.
    TokenId token;
    /// It is a contract of the system, which can never use an account.
    bool own;
}

/// @notice The queue of this chain. Its head is the cursor of the last record.
/// @dev An entry: 26 bytes of the hash of what was queued, 5 bytes time (seconds), 1 byte state.
struct Queue {
    SerialId tail;
    mapping(SerialId serial => uint256) entries;
}

/// @notice Tokens, and payouts that wait for their owners.
struct Ledger {
    mapping(TokenId id => TokenEntry) tokens;
    mapping(address owner => mapping(TokenId id => uint256)) pending;
    mapping(address addr => Mark) marks;
}

/// @notice What this chain holds of a block.
/// @dev 1: rolling. 2: number 4, cursor 8.
struct Record {
    bytes32 rolling;
    BlockNumber number;
    /// The next open deposit after this block.
    SerialId cursor;
}

/// @notice The records in order; index 0 is the empty record of genesis.
/// @dev 1: the four counters (4 each), each the index of the last record in that stage: paid <=
///      released <= acked <= committed; then chunks 4.
struct Settlement {
    uint32 committed;
    uint32 acked;
    uint32 released;
    uint32 paid;
    /// How many chunks of the record after `paid` are paid.
    uint32 chunks;
    mapping(uint32 index => Record) records;
}

/// @notice A shape. 1: onchainWords 4, dataWords 2, usableFrom 6, verifier 20. 2: key store.
struct Shape {
    /// The greatest length of the on-chain vector, head included.
    uint32 onchainWords;
    /// The greatest length of the data vector.
    uint16 dataWords;
    /// Seconds; 0 if it was registered during the setup.
    uint48 usableFrom;
    IVerifier verifier;
    /// The contract with the verifier's key.
    address keyStore;
}

/// @notice What the hub holds of a block.
/// @dev 1: root. 2: timestamp 8, chains 8, shape 2. 3: commitment, not written if the block is
///      committed and proven at once.
struct HubBlock {
    bytes32 root;
    uint64 timestamp;
    /// Bit c is set if chain c has operations in the block.
    uint64 chains;
    ShapeId shape;
    bytes32 commitment;
}

/// @notice A chain's content after a block, and the block before with operations of that chain.
struct ContentLink {
    bytes32 rolling;
    BlockNumber previous;
}

/// @notice The hub's view of a chain, in one slot.
struct ChainView {
    /// The last committed block with operations of this chain.
    BlockNumber last;
    /// The last block up to which the chain acknowledged the hub's own content.
    BlockNumber ackedThrough;
    /// The last released block with operations of this chain.
    BlockNumber released;
    /// The last release that was sent.
    BlockNumber sent;
}

/// @notice The hub's blocks.
/// @dev 1: committed, proven, released, agreed (4 each): released <= proven <= committed.
struct Blocks {
    BlockNumber committed;
    BlockNumber proven;
    BlockNumber released;
    /// The highest `ackedThrough` of all chains.
    BlockNumber agreed;
    mapping(ShapeId shape => Shape) shapes;
    mapping(BlockNumber number => HubBlock) blocks;
    mapping(BlockNumber number => mapping(ChainId chain => ContentLink)) contents;
    mapping(ChainId chain => ChainView) chains;
    mapping(ChainId chain => mapping(BlockNumber number => bytes32)) acks;
}
