// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockNumber, ChainId, ShapeId} from "../types/Ids.sol";
import {IEndpoint} from "./IEndpoint.sol";
import {IVerifier} from "./IVerifier.sol";

/// @notice What the validator publishes of a block.
struct BlockCommit {
    /// The circuit's Poseidon2 digest of all slots.
    uint256 d;
    /// Head (old root, new root, number with timestamp and shape), then the on-chain operations of
    /// all chains.
    bytes32[] onchain;
    /// The words of the other operations.
    bytes32[] data;
}

/// @notice A proof and the public inputs that it shows.
struct BlockProof {
    /// d, z, yData, yOnchain.
    uint256[4] inputs;
    /// A (128 bytes), B (256), C (128) in the encoding of EIP-2537.
    bytes proof;
}

/// @title The hub: checks the proofs of all blocks and says which blocks may be paid. Holds no
/// funds
interface IHub is IEndpoint {
    /// @notice A shape and its verifier were registered; blocks may have it from `usableFrom` on
    ///         (seconds; 0: at once).
    event ShapeRegistered(
        uint16 indexed shape,
        uint32 onchainWords,
        uint32 dataWords,
        address verifier,
        uint64 usableFrom
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
    /// @notice The proofs of all blocks up to `number` were accepted.
    event BlocksProven(uint32 indexed number);
    /// @notice A chain told what it holds; `agrees` when the hub has that block with the same
    ///         content.
    event AckReceived(uint8 indexed chain, uint32 indexed number, bytes32 rolling, bool agrees);
    /// @notice All blocks up to `number` are proven and acknowledged by every chain in them; their
    ///         payouts are released.
    event BlocksReleased(uint32 indexed number, bytes32 root);
    /// @notice A chain is told that its blocks up to `number` are released.
    event ReleaseSent(uint8 indexed chain, uint32 indexed number, bytes32 rolling);
    /// @notice All blocks above `number` were taken back.
    event BlocksReverted(uint32 indexed number);

    /// @notice The root is zero or (the genesis root) not a field element.
    error BadRoot(bytes32 root);
    /// @notice The shape's number is taken, its lengths cannot be, or its verifier is none with the
    ///         key that was named.
    error BadShape(uint16 shape);
    /// @notice No such shape is registered.
    error UnknownShape(uint16 shape);
    /// @notice The shape was registered after the setup, and its delay has not passed.
    error ShapeNotUsableYet(uint16 shape, uint64 usableFrom);
    /// @notice Blocks are committed and proven one after the other.
    error NotTheNextBlock(uint32 expected, uint32 given);
    /// @notice The call names no block, or not as many proofs as blocks.
    error BlockCount(uint256 expected, uint256 given);
    /// @notice A vector is longer than the shape allows, or shorter than the head.
    error VectorLength(uint256 limit, uint256 given);
    /// @notice The data vector ends with a zero word.
    error TrailingZero();
    /// @notice The first head word is not the root after the block before.
    error HeadMismatch(bytes32 expected, bytes32 given);
    /// @notice The timestamp is before the last block's, or too far from the chain's clock.
    error BadTimestamp(uint64 given, uint64 earliest, uint64 latest);
    /// @notice The digest is not below the field's modulus.
    error DigestOutOfRange(uint256 d);
    /// @notice A word is not below the field's modulus.
    error WordOutOfRange(uint256 index);
    /// @notice The word at `index` of the on-chain vector begins no operation of this protocol, or
    ///         its padding is not zero (index 2: the third word of the head).
    error BadWord(uint256 index);
    /// @notice The operation at `index` needs more words than there are.
    error TruncatedOperation(uint256 index);
    /// @notice The operation at `index` of the on-chain vector is for a chain that is not
    ///         registered.
    error UnknownChain(uint256 index, uint8 chain);
    /// @notice The evaluation point is a root of unity; commit again with another timestamp.
    error EvaluationPointInDomain();
    /// @notice The block is not proven yet.
    error NotProven(uint32 number);
    /// @notice The public inputs are not those of the committed block.
    error CommitmentMismatch(uint32 number, bytes32 expected, bytes32 given);
    /// @notice The verifier refused the proofs of the blocks from `first` on, or one of them.
    error ProofRefused(uint32 first);
    /// @notice A chain with operations in the block has not acknowledged the same content yet.
    error NotAcked(uint32 number, uint8 chain);
    /// @notice The blocks up to `number` are already released, or there is nothing new to tell.
    error NothingToRelease(uint32 number);
    /// @notice Proven or acknowledged blocks cannot be reverted.
    error BlocksAreFinal(uint32 lowest, uint32 downTo);

    /// @notice Registers a shape, by the governor: the greatest lengths of its vectors and the
    ///         contract that verifies its proofs. A shape that is registered after the setup can be
    ///         used 37 days later. Shapes never change.
    /// @param keyHash keccak256 of the verifying key that the verifier must have.
    function registerShape(
        ShapeId shape,
        uint32 onchainWords,
        uint32 dataWords,
        IVerifier verifier,
        bytes32 keyHash
    ) external;

    /// @notice Commits the next blocks, by the validator. Each names what it follows: its number is
    ///         the next one, and the first word of `onchain` is the root after the block before it.
    function commitBlocks(BlockCommit[] calldata blocks) external;

    /// @notice Proves the next blocks from `first` on. Anyone.
    function proveBlocks(BlockNumber first, BlockProof[] calldata proofs) external;

    /// @notice Commits the next blocks and proves them at once, by the validator, when all blocks
    ///         before them are proven. Costs less than the two calls. A block cannot be reverted
    ///         afterwards, so every chain in it should hold its operations already.
    /// @param proofs One for each block, of the public inputs that follow from it.
    function commitAndProve(BlockCommit[] calldata blocks, bytes[] calldata proofs) external;

    /// @notice Releases the payouts of all blocks up to `number`. Anyone. Nothing is sent.
    function releaseBlocks(BlockNumber number) external;

    /// @notice Tells a chain which of its blocks are released: one message for all of them. Anyone;
    ///         the coins sent along are what the route asks for the message.
    function sendRelease(ChainId chain) external payable;

    /// @notice Takes back all blocks above `downTo`, by the validator: none may be proven or
    ///         acknowledged.
    function revertBlocks(BlockNumber downTo) external;

    /// @notice The state root after the last committed block.
    function root() external view returns (bytes32);
    /// @notice The state root after a block; the genesis root for 0, zero if there is no such block,
    ///         and for blocks that `commitAndProve` took together with later ones and that have no
    ///         on-chain operations: of these nothing is stored but events.
    function rootOf(BlockNumber number) external view returns (bytes32);
    /// @notice What the hub holds of a block. Bit c of `chains` is set if chain c has operations in
    ///         it. `commitment` is the shape (2 bytes) and the first 30 bytes of
    ///         keccak256(abi.encode(d, z, yData, yOnchain)); zero if the block was committed and
    ///         proven at once.
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
    ///         agreed ack, last of its blocks that is released, last release that was sent.
    function chainInfo(ChainId chain)
        external
        view
        returns (
            BlockNumber last,
            bytes32 lastRolling,
            BlockNumber ackedThrough,
            BlockNumber released,
            BlockNumber sent
        );
    /// @notice What a chain acknowledged for a block, or zero.
    function ackOf(ChainId chain, BlockNumber number) external view returns (bytes32);
    /// @notice The last committed block.
    function blocksCommitted() external view returns (BlockNumber);
    /// @notice The last proven block.
    function blocksProven() external view returns (BlockNumber);
    /// @notice The last released block.
    function blocksReleased() external view returns (BlockNumber);
    /// @notice A shape's greatest vector lengths, its verifier, and since when it can be used.
    function shapeInfo(ShapeId shape)
        external
        view
        returns (uint32 onchainWords, uint32 dataWords, address verifier, uint64 usableFrom);
}
