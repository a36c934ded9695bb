// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockNumber, ChainId, SerialId, ShapeId, TokenId} from "./types/Ids.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";

// Every word of storage that the rollup has is declared here. The contracts hold one struct of each
// kind, in the order Registry, Queue, Ledger, Keys, Settlement (all chains), then Blocks (the hub).

/// @notice One registered token and what the vault owes in it.
/// @dev 1: addr 20, decimals 1, listed 1. 2: deposited 16, unconsumed 16. 3: locked 16,
///      pendingTotal 16. Raw amounts fit 128 bits because all deposits together fit 2^120 at 18
///      decimals.
struct TokenEntry {
    address addr;
    uint8 decimals;
    bool listed;
    /// The sum of all deposits ever, 18 decimals.
    uint128 deposited;
    /// The sum of deposits that no commit has taken yet, raw.
    uint128 unconsumed;
    /// Everything owed, raw: L2 balances, open deposits, claims.
    uint128 locked;
    /// The sum of all claims, raw.
    uint128 pendingTotal;
}

/// @notice What the governor registers before the setup is finished.
struct Registry {
    bool finished;
    mapping(address addr => TokenId) tokenIds;
    mapping(ChainId chain => address) routes;
}

/// @notice A queued deposit.
/// @dev 1: hash. 2: timestamp 8, token 2, amount 16. The token and the amount serve to undo a
///      commit.
struct QueueEntry {
    bytes32 hash;
    uint64 timestamp;
    TokenId token;
    uint128 amount;
}

/// @notice The deposit queue. Its head is the cursor of the last record.
struct Queue {
    SerialId tail;
    mapping(SerialId serial => QueueEntry) entries;
}

/// @notice Tokens, and payouts that could not be delivered.
struct Ledger {
    mapping(TokenId id => TokenEntry) tokens;
    mapping(address owner => mapping(TokenId id => uint256)) pending;
}

/// @notice keccak256(abi.encode(keyX, keyY)) that an owner authorised on chain for a nonce.
struct Keys {
    mapping(address owner => mapping(uint32 nonce => bytes32)) hashes;
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
/// @dev 1: the four counters (4 each), each the index of the last record in that stage:
///      paid <= released <= acked <= committed.
struct Settlement {
    uint32 committed;
    uint32 acked;
    uint32 released;
    uint32 paid;
    mapping(uint32 index => Record) records;
}

/// @notice A shape's vector lengths and verifier, in one slot.
struct Shape {
    uint32 onchainWords;
    uint32 dataWords;
    IVerifier verifier;
}

/// @notice What the hub holds of a block.
/// @dev 1: commitment. 2: root. 3: timestamp 8, chains 8, shape 2.
struct HubBlock {
    bytes32 commitment;
    bytes32 root;
    uint64 timestamp;
    /// Bit c is set if chain c has operations in the block.
    uint64 chains;
    ShapeId shape;
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
