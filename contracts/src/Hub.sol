// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "./interfaces/IHub.sol";
import {RollupParams} from "./interfaces/IRollup.sol";
import {IRoute} from "./interfaces/IRoute.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Blocks, ChainView, HubBlock, Shape} from "./Layout.sol";
import {Contents} from "./libraries/Contents.sol";
import {Field} from "./libraries/Field.sol";
import {HubBlocks} from "./libraries/HubBlocks.sol";
import {Messages} from "./libraries/Messages.sol";
import {Rollup} from "./Rollup.sol";
import {BlockNumber, ChainId, ShapeId} from "./types/Ids.sol";

/// @title The rollup's contract on the hub: a spoke that also proves and releases the blocks of all
/// chains
contract Hub is Rollup, IHub {
    using HubBlocks for Blocks;

    uint32 private constant MAX_ONCHAIN_WORDS = 1 << 16;

    Blocks private _blocks;

    constructor(RollupParams memory params, bytes32 genesisRoot) Rollup(params) {
        if (genesisRoot == 0 || uint256(genesisRoot) >= Field.MODULUS) revert BadRoot(genesisRoot);
        _blocks.blocks[BlockNumber.wrap(0)].root = genesisRoot;
    }

    // ------------------------------------------------------------------ setup

    /// @inheritdoc IHub
    function registerShape(ShapeId id, uint32 onchainWords, uint32 dataWords, IVerifier verifier)
        external
        duringSetup
    {
        Shape storage shape = _blocks.shapes[id];
        bool taken = address(shape.verifier) != address(0);
        bool lengths = onchainWords >= Contents.HEAD && onchainWords <= MAX_ONCHAIN_WORDS
            && dataWords <= Field.DOMAIN;
        if (taken || !lengths || address(verifier).code.length == 0) {
            revert BadShape(ShapeId.unwrap(id));
        }
        (shape.onchainWords, shape.dataWords, shape.verifier) = (onchainWords, dataWords, verifier);
        emit ShapeRegistered(ShapeId.unwrap(id), onchainWords, dataWords, address(verifier));
    }

    // ------------------------------------------------------------- settlement

    /// @inheritdoc IHub
    function commitBlock(BlockCommit calldata info) external onlyValidator guarded {
        _blocks.checkHead(info);
        (uint256 z, uint256 yData, uint256 yOnchain) = HubBlocks.evaluate(info);
        (uint64 chains, bytes32[64] memory hashes) = Contents.split(_registry, chain, info.onchain);
        bytes32 commitment =
            HubBlocks.commitmentOf(info.shape, info.d, z, yData, yOnchain, info.newRoot);
        _blocks.append(info, commitment, chains, hashes);
        emit BlockCommitted(
            BlockNumber.unwrap(info.number),
            ShapeId.unwrap(info.shape),
            info.newRoot,
            info.d,
            z,
            yData,
            yOnchain
        );
    }

    /// @inheritdoc IHub
    function proveBlock(BlockNumber number, uint256[4] calldata inputs, bytes calldata proof)
        external
        guarded
    {
        _blocks.prove(number, inputs, proof);
        emit BlockProven(BlockNumber.unwrap(number));
    }

    /// @inheritdoc IHub
    function releaseBlock(BlockNumber number) external guarded {
        uint64 chains = _blocks.release(number);
        bytes32 newRoot = _blocks.blocks[number].root;
        emit BlockReleased(BlockNumber.unwrap(number), newRoot);
        for (uint8 c = 1; chains >> c != 0; ++c) {
            if ((chains >> c) & 1 == 0) continue;
            ChainId target = ChainId.wrap(c);
            bytes32 content = _blocks.contents[number][target].rolling;
            if (target == chain) {
                _release(number, newRoot, content);
            } else {
                bytes memory payload = Messages.encodeRelease(number, newRoot, content);
                IRoute(_registry.routes[target]).send(target, payload);
            }
        }
    }

    /// @inheritdoc IHub
    function revertBlocks(BlockNumber downTo) external onlyValidator guarded {
        _blocks.removeAbove(downTo);
        emit BlocksReverted(BlockNumber.unwrap(downTo));
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
        returns (BlockNumber last, bytes32 lastRolling, BlockNumber ackedThrough)
    {
        ChainView storage state = _blocks.chains[target];
        return (state.last, _blocks.contents[state.last][target].rolling, state.ackedThrough);
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
        returns (uint32 onchainWords, uint32 dataWords, address verifier)
    {
        Shape storage shape = _blocks.shapes[id];
        return (shape.onchainWords, shape.dataWords, address(shape.verifier));
    }

    // --------------------------------------------------------------- internal

    /// @inheritdoc Rollup
    function _isHub() internal pure override returns (bool) {
        return true;
    }

    /// @inheritdoc Rollup
    function _sendAck(BlockNumber number, bytes32 content) internal override {
        _recordAck(chain, number, content);
    }

    /// @inheritdoc Rollup
    function _receive(ChainId source, bytes calldata payload) internal override {
        (ChainId sender, BlockNumber number, bytes32 content) = Messages.decodeAck(payload);
        if (sender != source) revert BadMessage();
        _recordAck(source, number, content);
    }

    function _recordAck(ChainId source, BlockNumber number, bytes32 content) private {
        bool agrees = _blocks.acknowledge(source, number, content);
        emit AckReceived(ChainId.unwrap(source), BlockNumber.unwrap(number), content, agrees);
    }
}
