// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockNumber, ChainId, ShapeId} from "../types/Ids.sol";
import {IRollup} from "./IRollup.sol";
import {IVerifier} from "./IVerifier.sol";

/// @notice What the validator publishes of a block.
struct BlockCommit {
    /// One above the last committed block.
    BlockNumber number;
    ShapeId shape;
    /// Seconds.
    uint64 timestamp;
    bytes32 newRoot;
    /// The circuit's Poseidon2 digest of both vectors.
    uint256 d;
    /// Head (old root, new root, number, timestamp and shape), then the on-chain operations of all
    /// chains.
    bytes32[] onchain;
    /// The words of the other slots.
    bytes32[] data;
}

/// @title The hub: the rollup's contract on the chain that checks proofs and releases payouts
/// everywhere
interface IHub is IRollup {
    /// @notice A shape and its verifier were registered.
    event ShapeRegistered(
        uint16 indexed shape, uint32 onchainWords, uint32 dataWords, address verifier
    );
    /// @notice A block was committed; its proof must show the public inputs d, z, yData, yOnchain.
    event BlockCommitted(
        uint32 indexed number,
        uint16 indexed shape,
        bytes32 root,
        uint256 d,
        uint256 z,
        uint256 yData,
        uint256 yOnchain
    );
    /// @notice The block's proof was accepted.
    event BlockProven(uint32 indexed number);
    /// @notice A chain told what it holds; `agrees` when the hub has that block with the same
    ///         content.
    event AckReceived(uint8 indexed chain, uint32 indexed number, bytes32 rolling, bool agrees);
    /// @notice The block is proven and acknowledged by every chain in it; payouts are released.
    event BlockReleased(uint32 indexed number, bytes32 root);
    /// @notice All blocks above `number` were taken back.
    event BlocksReverted(uint32 indexed number);

    /// @notice The genesis root is zero or not a field element.
    error BadRoot(bytes32 root);
    /// @notice The shape's number is taken, or its lengths or its verifier cannot be.
    error BadShape(uint16 shape);
    /// @notice No such shape is registered.
    error UnknownShape(uint16 shape);
    /// @notice Blocks are committed, proven and released one after the other.
    error NotTheNextBlock(uint32 expected, uint32 given);
    /// @notice A vector has not the length of the shape.
    error VectorLength(uint256 expected, uint256 given);
    /// @notice A head word differs from what the hub holds or was told.
    error HeadMismatch(uint256 index, bytes32 expected, bytes32 given);
    /// @notice The timestamp is before the last block's, or too far ahead of the chain's clock.
    error BadTimestamp(uint64 given, uint64 earliest, uint64 latest);
    /// @notice The digest is not below the field's modulus.
    error DigestOutOfRange(uint256 d);
    /// @notice The operation at `index` of the on-chain vector is for a chain that is not
    ///         registered.
    error UnknownChain(uint256 index, uint8 chain);
    /// @notice The evaluation point is a root of unity; commit again with another timestamp.
    error EvaluationPointInDomain();
    /// @notice The block is not proven yet.
    error NotProven(uint32 number);
    /// @notice The public inputs are not those of the committed block.
    error CommitmentMismatch(uint32 number, bytes32 expected, bytes32 given);
    /// @notice The verifier refused the proof.
    error ProofRefused(uint32 number);
    /// @notice A chain with operations in the block has not acknowledged the same content yet.
    error NotAcked(uint32 number, uint8 chain);
    /// @notice Proven or acknowledged blocks cannot be reverted.
    error BlocksAreFinal(uint32 lowest, uint32 downTo);

    /// @notice Registers a shape: lengths of its vectors and the contract that verifies its proofs.
    function registerShape(ShapeId shape, uint32 onchainWords, uint32 dataWords, IVerifier verifier)
        external;

    /// @notice Commits the next block, by the validator. It names what it follows: its number is the
    ///         next one, and the first word of `onchain` is the root after the block before it.
    function commitBlock(BlockCommit calldata info) external;

    /// @notice Proves the next block. Anyone.
    /// @param inputs d, z, yData, yOnchain.
    function proveBlock(BlockNumber number, uint256[4] calldata inputs, bytes calldata proof)
        external;

    /// @notice Releases the next block's payouts on every chain in it. Anyone.
    function releaseBlock(BlockNumber number) external;

    /// @notice Takes back all blocks above `downTo`, by the validator: none may be proven or
    ///         acknowledged.
    function revertBlocks(BlockNumber downTo) external;

    /// @notice The state root after the last committed block.
    function root() external view returns (bytes32);
    /// @notice The state root after a block; the genesis root for 0, zero if there is no such
    ///         block.
    function rootOf(BlockNumber number) external view returns (bytes32);
    /// @notice What the hub holds of a block. Bit c of `chains` is set if chain c has operations in
    ///         it.
    function blockInfo(BlockNumber number)
        external
        view
        returns (
            bytes32 commitment,
            bytes32 newRoot,
            uint64 timestamp,
            ShapeId shape,
            uint64 chains
        );
    /// @notice The rolling content of a chain after a block in which it has operations, else zero.
    function rollingOf(BlockNumber number, ChainId chain) external view returns (bytes32);
    /// @notice The hub's view of a chain: last block with operations, its rolling content, last
    ///         agreed ack.
    function chainInfo(ChainId chain)
        external
        view
        returns (BlockNumber last, bytes32 lastRolling, BlockNumber ackedThrough);
    /// @notice What a chain acknowledged for a block, or zero.
    function ackOf(ChainId chain, BlockNumber number) external view returns (bytes32);
    /// @notice The last committed block.
    function blocksCommitted() external view returns (BlockNumber);
    /// @notice The last proven block.
    function blocksProven() external view returns (BlockNumber);
    /// @notice The last released block.
    function blocksReleased() external view returns (BlockNumber);
    /// @notice A shape's vector lengths and verifier.
    function shapeInfo(ShapeId shape)
        external
        view
        returns (uint32 onchainWords, uint32 dataWords, address verifier);
}
