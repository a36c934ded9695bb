// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Endpoint} from "./Endpoint.sol";
import {EndpointParams} from "./interfaces/IEndpoint.sol";
import {BlockCommit, BlockProof, IHub} from "./interfaces/IHub.sol";
import {Claim, IVerifier} from "./interfaces/IVerifier.sol";
import {Blocks, ChainView, HubBlock, Shape} from "./Layout.sol";
import {Ask} from "./libraries/Ask.sol";
import {Field} from "./libraries/Field.sol";
import {Head, HubBlocks, Keep} from "./libraries/HubBlocks.sol";
import {Messages} from "./libraries/Messages.sol";
import {BlockNumber, ChainId, ShapeId} from "./types/Ids.sol";

/// @title The hub: checks the proofs of all blocks and says which blocks may be paid
/// @dev It holds no funds. The Rollup of its own chain is a chain like all others to it, behind a
///      LocalRoute. Outgoing calls go to registered verifiers and routes only.
contract Hub is Endpoint, IHub {
    using HubBlocks for Blocks;

    /// The longest vector that a shape may have: what one transaction of 128 KiB can carry.
    uint32 private constant MAX_WORDS = 4096;
    /// The DAO's delay for shapes that come after the setup.
    uint256 private constant SHAPE_DELAY = 37 days;

    Blocks private _blocks;

    constructor(EndpointParams memory params, bytes32 genesisRoot) Endpoint(params) {
        if (params.chain != params.hub) revert BadConfiguration();
        if (genesisRoot == 0 || uint256(genesisRoot) >= Field.MODULUS) revert BadRoot(genesisRoot);
        _blocks.blocks[BlockNumber.wrap(0)].root = genesisRoot;
    }

    // ------------------------------------------------------------------ setup

    /// @inheritdoc IHub
    function registerShape(
        ShapeId id,
        uint32 onchainWords,
        uint32 dataWords,
        IVerifier verifier,
        bytes32 keyHash
    ) external onlyGovernor {
        Shape storage shape = _blocks.shapes[id];
        bool lengths =
            onchainWords >= HubBlocks.HEAD && onchainWords <= MAX_WORDS && dataWords <= MAX_WORDS;
        address store = _keyStoreOf(address(verifier), keyHash);
        bool taken = address(shape.verifier) != address(0);
        if (taken || !lengths || store == address(0)) revert BadShape(ShapeId.unwrap(id));
        uint48 from = _registry.finished ? uint48(block.timestamp + SHAPE_DELAY) : 0;
        _blocks.shapes[id] = Shape(onchainWords, uint16(dataWords), from, verifier, store);
        emit ShapeRegistered(ShapeId.unwrap(id), onchainWords, dataWords, address(verifier), from);
    }

    // ------------------------------------------------------------- settlement

    /// @inheritdoc IHub
    function commitBlocks(BlockCommit[] calldata blocks) external onlyValidator guarded {
        _commit(blocks);
    }

    /// @inheritdoc IHub
    function proveBlocks(BlockNumber first, BlockProof[] calldata proofs) external guarded {
        if (proofs.length == 0) revert BlockCount(1, 0);
        HubBlocks.checkNext(_blocks.proven, first);
        Claim[] memory claims = new Claim[](proofs.length);
        ShapeId shape;
        unchecked {
            for (uint256 i = 0; i < proofs.length; ++i) {
                BlockNumber number = BlockNumber.wrap(uint32(BlockNumber.unwrap(first) + i));
                (claims[i], shape) = _blocks.claimOf(number, proofs[i]);
            }
        }
        _blocks.prove(first, claims, shape);
    }

    /// @inheritdoc IHub
    function commitAndProve(BlockCommit[] calldata blocks, bytes[] calldata proofs)
        external
        onlyValidator
        guarded
    {
        if (blocks.length != proofs.length) {
            revert BlockCount(blocks.length, proofs.length);
        }
        BlockNumber first = BlockNumber.wrap(BlockNumber.unwrap(_blocks.committed) + 1);
        HubBlocks.checkNext(_blocks.proven, first);
        (Claim[] memory claims, ShapeId shape) = _commit(blocks);
        for (uint256 i = 0; i < proofs.length; ++i) {
            claims[i].proof = proofs[i];
        }
        _blocks.prove(first, claims, shape);
    }

    /// @inheritdoc IHub
    function releaseBlocks(BlockNumber number) external guarded {
        _blocks.release(number);
    }

    /// @inheritdoc IHub
    function sendRelease(ChainId target) external payable guarded {
        (BlockNumber number, bytes32 newRoot, bytes32 rolling) = _blocks.take(target);
        _send(target, Messages.encodeRelease(number, newRoot, rolling));
    }

    /// @inheritdoc IHub
    function revertBlocks(BlockNumber downTo) external onlyValidator guarded {
        _blocks.removeAbove(downTo);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IHub
    function root() external view returns (bytes32) {
        return _blocks.blocks[_blocks.committed].root;
    }

    /// @inheritdoc IHub
    function rootOf(BlockNumber number) external view returns (bytes32) {
        return _blocks.blocks[number].root;
    }

    /// @inheritdoc IHub
    function blockInfo(BlockNumber number)
        external
        view
        returns (
            bytes32 commitment,
            bytes32 newRoot,
            uint64 timestamp,
            ShapeId shape,
            uint64 chains
        )
    {
        HubBlock storage info = _blocks.blocks[number];
        return (info.commitment, info.root, info.timestamp, info.shape, info.chains);
    }

    /// @inheritdoc IHub
    function rollingOf(BlockNumber number, ChainId target) external view returns (bytes32) {
        return _blocks.contents[number][target].rolling;
    }

    /// @inheritdoc IHub
    function chainInfo(ChainId target)
        external
        view
        returns (
            BlockNumber last,
            bytes32 lastRolling,
            BlockNumber ackedThrough,
            BlockNumber released,
            BlockNumber sent
        )
    {
        ChainView storage state = _blocks.chains[target];
        last = state.last;
        lastRolling = _blocks.contents[last][target].rolling;
        return (last, lastRolling, state.ackedThrough, state.released, state.sent);
    }

    /// @inheritdoc IHub
    function ackOf(ChainId target, BlockNumber number) external view returns (bytes32) {
        return _blocks.acks[target][number];
    }

    /// @inheritdoc IHub
    function blocksCommitted() external view returns (BlockNumber) {
        return _blocks.committed;
    }

    /// @inheritdoc IHub
    function blocksProven() external view returns (BlockNumber) {
        return _blocks.proven;
    }

    /// @inheritdoc IHub
    function blocksReleased() external view returns (BlockNumber) {
        return _blocks.released;
    }

    /// @inheritdoc IHub
    function shapeInfo(ShapeId id)
        external
        view
        returns (uint32 onchainWords, uint32 dataWords, address verifier, uint64 usableFrom)
    {
        Shape storage shape = _blocks.shapes[id];
        return (shape.onchainWords, shape.dataWords, address(shape.verifier), shape.usableFrom);
    }

    // --------------------------------------------------------------- internal

    /// @inheritdoc Endpoint
    function _serves(ChainId) internal pure override returns (bool) {
        return true;
    }

    /// @inheritdoc Endpoint
    function _receive(ChainId source, bytes calldata payload) internal override {
        (ChainId sender, BlockNumber number, bytes32 rolling) = Messages.decodeAck(payload);
        if (sender != source) revert BadMessage();
        _blocks.acknowledge(source, number, rolling);
    }

    /// Commits all blocks, and gives the claims that their proofs must show, and the last shape.
    /// @dev Asks which of the two calls this is instead of being told: with a constant argument
    ///      the compiler would make two copies of all that a commit does.
    function _commit(BlockCommit[] calldata blocks)
        private
        returns (Claim[] memory claims, ShapeId)
    {
        if (blocks.length == 0) revert BlockCount(1, 0);
        bool proven = msg.sig != IHub.commitBlocks.selector;
        claims = new Claim[](blocks.length);
        Head memory head = _blocks.lastHead();
        for (uint256 i = 0; i < blocks.length;) {
            BlockCommit calldata info = blocks[i];
            Keep keep = proven ? (i + 1 < blocks.length ? Keep.Little : Keep.Proven) : Keep.All;
            claims[i++] = _blocks.commit(info, head, _registry.chains, keep);
        }
        return (claims, head.shape);
    }

    /// The store of the key with this hash, or zero if `verifier` is none that has it.
    function _keyStoreOf(address verifier, bytes32 keyHash) private view returns (address) {
        if (!Ask.says(verifier, abi.encodeCall(IVerifier.keyHash, ()), uint256(keyHash))) {
            return address(0);
        }
        (, uint256 answer) = Ask.word(verifier, abi.encodeCall(IVerifier.keyStore, ()));
        bytes32 held;
        assembly ("memory-safe") {
            // The store's code is a zero byte and then the key.
            let size := extcodesize(answer)
            if size {
                let buffer := mload(0x40)
                size := sub(size, 1)
                extcodecopy(answer, buffer, 1, size)
                held := keccak256(buffer, size)
            }
        }
        return held == keyHash ? address(uint160(answer)) : address(0);
    }
}
