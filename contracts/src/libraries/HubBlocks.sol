// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "../interfaces/IHub.sol";
import {Blocks, ChainView, ContentLink, HubBlock, Shape} from "../Layout.sol";
import {BlockNumber, ChainId, ShapeId} from "../types/Ids.sol";
import {Contents} from "./Contents.sol";
import {Field} from "./Field.sol";
import {Records} from "./Records.sol";

/// @title The hub's blocks and their stages: committed, proven, released
library HubBlocks {
    /// How far a block's timestamp may run ahead of the chain's clock, in seconds.
    uint256 internal constant MAX_AHEAD = 15 minutes;

    /// @notice Checks everything of a block's header against the last block, the clock and the
    ///         shape.
    function checkHead(Blocks storage self, BlockCommit calldata info) internal view {
        _checkNext(self.committed, info.number);
        HubBlock storage last = self.blocks[self.committed];
        Shape storage shape = self.shapes[info.shape];
        if (address(shape.verifier) == address(0)) {
            revert IHub.UnknownShape(ShapeId.unwrap(info.shape));
        }
        if (info.onchain.length != shape.onchainWords) {
            revert IHub.VectorLength(shape.onchainWords, info.onchain.length);
        }
        if (info.data.length != shape.dataWords) {
            revert IHub.VectorLength(shape.dataWords, info.data.length);
        }
        _checkTime(last.timestamp, info.timestamp);
        if (info.d >= Field.MODULUS) revert IHub.DigestOutOfRange(info.d);
        // Being below the modulus is checked with all other words.
        if (info.newRoot == 0) revert IHub.BadRoot(info.newRoot);
        _checkWord(info.onchain, 0, last.root);
        _checkWord(info.onchain, 1, info.newRoot);
        _checkWord(info.onchain, 2, headWord(info.number, info.timestamp, info.shape));
    }

    /// @notice The public inputs z, yData and yOnchain of a block.
    /// @dev z depends on the digest and on both vectors, so it is fixed after all of them.
    function evaluate(BlockCommit calldata info)
        internal
        view
        returns (uint256 z, uint256 yData, uint256 yOnchain)
    {
        bytes32 onchain = keccak256(abi.encodePacked(info.onchain));
        bytes32 data = keccak256(abi.encodePacked(info.data));
        z = uint256(keccak256(abi.encode(info.d, onchain, data))) % Field.MODULUS;
        yOnchain = Field.powerSum(z, info.onchain);
        yData = Field.blobValue(z, info.data);
    }

    /// @notice Appends the block; `hashes` are the contents of the chains in the set `chains`.
    function append(
        Blocks storage self,
        BlockCommit calldata info,
        bytes32 commitment,
        uint64 chains,
        bytes32[64] memory hashes
    ) internal {
        BlockNumber number = info.number;
        self.committed = number;
        self.blocks[number] = HubBlock(commitment, info.newRoot, info.timestamp, chains, info.shape);
        for (uint8 c = 1; chains >> c != 0; ++c) {
            if ((chains >> c) & 1 == 0) continue;
            ChainId chain = ChainId.wrap(c);
            ChainView storage state = self.chains[chain];
            BlockNumber previous = state.last;
            bytes32 rolling =
                Records.roll(self.contents[previous][chain].rolling, number, hashes[c]);
            self.contents[number][chain] = ContentLink(rolling, previous);
            state.last = number;
            // The chain may have been faster than the hub.
            if (self.acks[chain][number] == rolling) _agree(self, state, number);
        }
    }

    /// @notice Marks the next block proven, if `inputs` are its public inputs and the verifier
    ///         accepts.
    function prove(
        Blocks storage self,
        BlockNumber number,
        uint256[4] calldata inputs,
        bytes calldata proof
    ) internal {
        _checkNext(self.proven, number);
        // A block that is not committed has the commitment zero, which nothing hashes to.
        HubBlock storage info = self.blocks[number];
        bytes32 given =
            commitmentOf(info.shape, inputs[0], inputs[1], inputs[2], inputs[3], info.root);
        if (given != info.commitment) {
            revert IHub.CommitmentMismatch(BlockNumber.unwrap(number), info.commitment, given);
        }
        if (!self.shapes[info.shape].verifier.verify(inputs, proof)) {
            revert IHub.ProofRefused(BlockNumber.unwrap(number));
        }
        self.proven = number;
    }

    /// @notice Marks the next block released, if it is proven and every chain in it agrees.
    function release(Blocks storage self, BlockNumber number) internal returns (uint64 chains) {
        _checkNext(self.released, number);
        if (number > self.proven) revert IHub.NotProven(BlockNumber.unwrap(number));
        chains = self.blocks[number].chains;
        for (uint8 c = 1; chains >> c != 0; ++c) {
            if ((chains >> c) & 1 == 0) continue;
            if (self.chains[ChainId.wrap(c)].ackedThrough < number) {
                revert IHub.NotAcked(BlockNumber.unwrap(number), c);
            }
        }
        self.released = number;
    }

    /// @notice Notes what a chain holds; says whether it is what the hub has.
    /// @dev A message that disagrees is kept, not refused: it must not block the channel, and the
    ///      hub may still commit, or commit anew, a block with that content.
    function acknowledge(Blocks storage self, ChainId chain, BlockNumber number, bytes32 rolling)
        internal
        returns (bool agrees)
    {
        self.acks[chain][number] = rolling;
        // Zero is the content of no block, so a zero message agrees with nothing.
        agrees = rolling != 0 && self.contents[number][chain].rolling == rolling;
        if (agrees) _agree(self, self.chains[chain], number);
    }

    /// @notice Removes all blocks above `downTo`, of which none is proven or acknowledged.
    function removeAbove(Blocks storage self, BlockNumber downTo) internal {
        BlockNumber lowest = self.agreed > self.proven ? self.agreed : self.proven;
        if (downTo < lowest) {
            revert IHub.BlocksAreFinal(BlockNumber.unwrap(lowest), BlockNumber.unwrap(downTo));
        }
        uint32 number = BlockNumber.unwrap(self.committed);
        for (; number > BlockNumber.unwrap(downTo); --number) {
            BlockNumber top = BlockNumber.wrap(number);
            uint64 chains = self.blocks[top].chains;
            for (uint8 c = 1; chains >> c != 0; ++c) {
                if ((chains >> c) & 1 == 0) continue;
                ChainId chain = ChainId.wrap(c);
                self.chains[chain].last = self.contents[top][chain].previous;
                delete self.contents[top][chain];
            }
            delete self.blocks[top];
        }
        self.committed = BlockNumber.wrap(number);
    }

    /// @notice The third head word: a zero byte, number 4, timestamp 8, shape 2, and zeros.
    function headWord(BlockNumber number, uint64 timestamp, ShapeId shape)
        internal
        pure
        returns (bytes32)
    {
        return bytes32(
            (uint256(BlockNumber.unwrap(number)) << 216) | (uint256(timestamp) << 152)
                | (uint256(ShapeId.unwrap(shape)) << 136)
        );
    }

    /// @notice What the hub keeps of a block until it is proven.
    function commitmentOf(
        ShapeId shape,
        uint256 d,
        uint256 z,
        uint256 yData,
        uint256 yOnchain,
        bytes32 newRoot
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(shape, d, z, yData, yOnchain, newRoot));
    }

    function _agree(Blocks storage self, ChainView storage state, BlockNumber number) private {
        if (number > state.ackedThrough) state.ackedThrough = number;
        if (number > self.agreed) self.agreed = number;
    }

    function _checkNext(BlockNumber last, BlockNumber given) private pure {
        uint32 expected = BlockNumber.unwrap(last) + 1;
        if (BlockNumber.unwrap(given) != expected) {
            revert IHub.NotTheNextBlock(expected, BlockNumber.unwrap(given));
        }
    }

    /// There is no bound on how far it may lag behind: a sealed block cannot be made younger, so
    /// that after a long outage of this chain nothing could be committed any more.
    function _checkTime(uint64 last, uint64 given) private view {
        uint256 latest = block.timestamp + MAX_AHEAD;
        if (given < last || given > latest) {
            revert IHub.BadTimestamp(given, last, uint64(latest));
        }
    }

    function _checkWord(bytes32[] calldata words, uint256 i, bytes32 expected) private pure {
        if (words[i] != expected) revert IHub.HeadMismatch(i, expected, words[i]);
    }
}
