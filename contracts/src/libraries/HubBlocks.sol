// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, BlockProof, IHub} from "../interfaces/IHub.sol";
import {Claim} from "../interfaces/IVerifier.sol";
import {Blocks, ChainView, ContentLink, HubBlock, Shape} from "../Layout.sol";
import {BlockNumber, ChainId, ShapeId} from "../types/Ids.sol";
import {Contents} from "./Contents.sol";
import {Field} from "./Field.sol";
import {Pubdata} from "./Pubdata.sol";
import {Records} from "./Records.sol";

/// @notice What is stored of a committed block.
enum Keep {
    /// Everything.
    All,
    /// Everything but the commitment, since it is proven at once.
    Proven,
    /// Nothing if no chain takes part: it is proven at once, and so is a later one.
    Little
}

/// @notice The head of a block, but for the old root.
struct Head {
    /// The root after the block.
    bytes32 root;
    BlockNumber number;
    uint64 timestamp;
    ShapeId shape;
}

/// @title The hub's blocks and their stages: committed, proven, released
library HubBlocks {
    /// The words before the first operation: old root, new root, number with timestamp and shape.
    uint256 internal constant HEAD = 3;
    /// How far a block's timestamp may run ahead of the chain's clock.
    uint256 internal constant MAX_AHEAD = 15 minutes;
    /// How far it may lag behind: the longest outage of the hub's chain after which the blocks that
    /// were sealed before it can still be committed. Sealing stops at half of it.
    uint256 internal constant MAX_BEHIND = 14 days;

    /// @notice The head of the last committed block.
    function lastHead(Blocks storage self) internal view returns (Head memory head) {
        head.number = self.committed;
        HubBlock storage last = self.blocks[head.number];
        (head.root, head.timestamp) = (last.root, last.timestamp);
    }

    /// @notice Appends the next block, and gives what a proof of it must show, without the proof.
    /// @param head That of the block before; becomes that of this one.
    /// @param registered The chains that may have operations.
    /// @param keep What is stored of the block.
    function commit(
        Blocks storage self,
        BlockCommit calldata info,
        Head memory head,
        uint64 registered,
        Keep keep
    ) internal returns (Claim memory claim) {
        (bytes32[] calldata onchain, bytes32[] calldata data) = (info.onchain, info.data);
        _checkHead(head, onchain);
        claim.keyStore = _checkShape(self.shapes[head.shape], head.shape, onchain, data);
        uint256[4] memory inputs = _evaluate(info.d, onchain, data);
        claim.inputs = inputs;
        (uint256 fault, uint64 chains, bytes32[64] memory contents) =
            Contents.split(onchain, HEAD, registered);
        if (fault != onchain.length) {
            (, ChainId chain,) = Pubdata.header(onchain, fault);
            revert IHub.UnknownChain(fault, ChainId.unwrap(chain));
        }
        if (keep != Keep.Little || chains != 0) {
            HubBlock storage made = self.blocks[head.number];
            made.root = head.root;
            (made.timestamp, made.chains, made.shape) = (head.timestamp, chains, head.shape);
            if (keep == Keep.All) made.commitment = _commitmentOf(head.shape, inputs);
        }
        self.committed = head.number;
        _link(self, head.number, chains, contents);
        emit IHub.BlockCommitted(
            BlockNumber.unwrap(head.number),
            ShapeId.unwrap(head.shape),
            head.root,
            inputs[0],
            inputs[1],
            inputs[2],
            inputs[3]
        );
    }

    /// @notice The claim that a proof of block `number` must show, if `given` are its inputs, and
    ///         the block's shape.
    function claimOf(Blocks storage self, BlockNumber number, BlockProof calldata given)
        internal
        view
        returns (Claim memory claim, ShapeId shape)
    {
        // A block that is not committed has the commitment zero, which nothing hashes to.
        bytes32 held = self.blocks[number].commitment;
        shape = ShapeId.wrap(uint16(uint256(held) >> 240));
        bytes32 commitment = _commitmentOf(shape, given.inputs);
        if (commitment != held) {
            revert IHub.CommitmentMismatch(BlockNumber.unwrap(number), held, commitment);
        }
        return (Claim(self.shapes[shape].keyStore, given.inputs, given.proof), shape);
    }

    /// @notice Marks the blocks from `first` on proven, which are the next ones, if the verifier of
    ///         `shape` accepts the claims, one for each of them.
    /// @dev Every verifier checks proofs under every key. One block's is asked for all: who could
    ///      have a bad one registered could commit blocks of its shape as well.
    function prove(Blocks storage self, BlockNumber first, Claim[] memory claims, ShapeId shape)
        internal
    {
        if (!self.shapes[shape].verifier.verifyBatch(claims)) {
            revert IHub.ProofRefused(BlockNumber.unwrap(first));
        }
        unchecked {
            uint32 last = uint32(BlockNumber.unwrap(first) + claims.length - 1);
            self.proven = BlockNumber.wrap(last);
            emit IHub.BlocksProven(last);
        }
    }

    /// @notice Marks all blocks up to `number` released, if they are proven and every chain in each
    ///         of them agrees.
    function release(Blocks storage self, BlockNumber number) internal {
        uint32 last = BlockNumber.unwrap(number);
        if (number > self.proven) revert IHub.NotProven(last);
        if (!(number > self.released)) revert IHub.NothingToRelease(last);
        uint64 seen = 0;
        unchecked {
            // From the last one down: the first time a chain is met, it is in its last block.
            for (uint32 n = last; n > BlockNumber.unwrap(self.released); --n) {
                uint64 chains = self.blocks[BlockNumber.wrap(n)].chains & ~seen;
                seen |= chains;
                for (uint256 c = 1; chains >> c != 0; ++c) {
                    if ((chains >> c) & 1 == 0) continue;
                    ChainView storage state = self.chains[ChainId.wrap(uint8(c))];
                    if (BlockNumber.unwrap(state.ackedThrough) < n) {
                        revert IHub.NotAcked(n, uint8(c));
                    }
                    state.released = BlockNumber.wrap(n);
                }
            }
        }
        self.released = number;
        emit IHub.BlocksReleased(last, self.blocks[number].root);
    }

    /// @notice Notes that a chain is told of its last released block; refuses when it knows.
    function take(Blocks storage self, ChainId chain)
        internal
        returns (BlockNumber number, bytes32 root, bytes32 rolling)
    {
        ChainView storage state = self.chains[chain];
        number = state.released;
        if (!(number > state.sent)) revert IHub.NothingToRelease(BlockNumber.unwrap(number));
        state.sent = number;
        root = self.blocks[number].root;
        rolling = self.contents[number][chain].rolling;
        emit IHub.ReleaseSent(ChainId.unwrap(chain), BlockNumber.unwrap(number), rolling);
    }

    /// @notice Notes what a chain holds.
    /// @dev A message that disagrees is kept, not refused: it must not block the channel, and the
    ///      hub may still commit, or commit anew, a block with that content.
    function acknowledge(Blocks storage self, ChainId chain, BlockNumber number, bytes32 rolling)
        internal
    {
        self.acks[chain][number] = rolling;
        // Zero is the content of no block, so a zero message agrees with nothing.
        bool agrees = rolling != 0 && self.contents[number][chain].rolling == rolling;
        if (agrees) _agree(self, self.chains[chain], number);
        emit IHub.AckReceived(ChainId.unwrap(chain), BlockNumber.unwrap(number), rolling, agrees);
    }

    /// @notice Removes all blocks above `downTo`, of which none is proven or acknowledged.
    function removeAbove(Blocks storage self, BlockNumber downTo) internal {
        BlockNumber lowest = self.agreed > self.proven ? self.agreed : self.proven;
        if (downTo < lowest) {
            revert IHub.BlocksAreFinal(BlockNumber.unwrap(lowest), BlockNumber.unwrap(downTo));
        }
        uint32 number = BlockNumber.unwrap(self.committed);
        unchecked {
            for (; number > BlockNumber.unwrap(downTo); --number) {
                BlockNumber top = BlockNumber.wrap(number);
                uint64 chains = self.blocks[top].chains;
                for (uint256 c = 1; chains >> c != 0; ++c) {
                    if ((chains >> c) & 1 == 0) continue;
                    ChainId chain = ChainId.wrap(uint8(c));
                    self.chains[chain].last = self.contents[top][chain].previous;
                    delete self.contents[top][chain];
                }
                delete self.blocks[top];
            }
        }
        self.committed = BlockNumber.wrap(number);
        emit IHub.BlocksReverted(BlockNumber.unwrap(downTo));
    }

    /// @notice Refuses a block that is not the one after `last`.
    function checkNext(BlockNumber last, BlockNumber given) internal pure {
        uint32 expected = BlockNumber.unwrap(last) + 1;
        if (BlockNumber.unwrap(given) != expected) {
            revert IHub.NotTheNextBlock(expected, BlockNumber.unwrap(given));
        }
    }

    /// Reads a block's head, and checks it against `head`, that of the block before, and the clock.
    function _checkHead(Head memory head, bytes32[] calldata onchain) private view {
        if (onchain.length < HEAD) revert IHub.VectorLength(HEAD, onchain.length);
        bytes32 oldRoot;
        bytes32 newRoot;
        uint256 word;
        assembly ("memory-safe") {
            oldRoot := calldataload(onchain.offset)
            newRoot := calldataload(add(onchain.offset, 32))
            word := calldataload(add(onchain.offset, 64))
        }
        // A zero byte, number 4, timestamp 8, shape 2, and zeros.
        if (word >> 248 != 0 || uint136(word) != 0) revert IHub.BadWord(2);
        BlockNumber number = BlockNumber.wrap(uint32(word >> 216));
        checkNext(head.number, number);
        if (oldRoot != head.root) revert IHub.HeadMismatch(head.root, oldRoot);
        // Being below the modulus is checked with all other words.
        if (newRoot == 0) revert IHub.BadRoot(0);
        uint64 timestamp = uint64(word >> 152);
        _checkTime(head.timestamp, timestamp);
        (head.root, head.number, head.timestamp) = (newRoot, number, timestamp);
        head.shape = ShapeId.wrap(uint16(word >> 136));
    }

    /// Checks the vectors' lengths; gives the store of the key.
    function _checkShape(
        Shape storage shape,
        ShapeId id,
        bytes32[] calldata onchain,
        bytes32[] calldata data
    ) private view returns (address) {
        if (address(shape.verifier) == address(0)) {
            revert IHub.UnknownShape(ShapeId.unwrap(id));
        }
        if (shape.usableFrom > block.timestamp) {
            revert IHub.ShapeNotUsableYet(ShapeId.unwrap(id), shape.usableFrom);
        }
        _checkLength(onchain.length, shape.onchainWords);
        _checkLength(data.length, shape.dataWords);
        if (data.length != 0 && data[data.length - 1] == 0) revert IHub.TrailingZero();
        return shape.keyStore;
    }

    function _checkLength(uint256 given, uint256 limit) private pure {
        if (given > limit) revert IHub.VectorLength(limit, given);
    }

    /// A sealed block cannot be made younger; with no lower bound, though, one that was sealed long
    /// ago could bring back prices and expiries of that time.
    function _checkTime(uint64 last, uint64 given) private view {
        unchecked {
            // No chain's clock stands at the end of time.
            uint64 latest = uint64(block.timestamp + MAX_AHEAD);
            uint64 earliest = last;
            if (block.timestamp > MAX_BEHIND + last) {
                earliest = uint64(block.timestamp - MAX_BEHIND);
            }
            if (given < earliest || given > latest) {
                revert IHub.BadTimestamp(given, earliest, latest);
            }
        }
    }

    /// d, z, yData and yOnchain. z depends on the digest and on both vectors, so it is fixed after
    /// all of them.
    function _evaluate(uint256 d, bytes32[] calldata onchain, bytes32[] calldata data)
        private
        view
        returns (uint256[4] memory)
    {
        if (d >= Field.MODULUS) revert IHub.DigestOutOfRange(d);
        bytes32 hash = keccak256(abi.encode(d, Contents.hash(onchain), Contents.hash(data)));
        uint256 z = uint256(hash) % Field.MODULUS;
        return [d, z, Field.blobValue(z, data), Field.powerSum(z, onchain)];
    }

    /// Writes what the chains in the set `chains` must hold after the block.
    function _link(
        Blocks storage self,
        BlockNumber number,
        uint64 chains,
        bytes32[64] memory contents
    ) private {
        if (chains == 0) return;
        unchecked {
            for (uint256 c = 1; chains >> c != 0; ++c) {
                if ((chains >> c) & 1 == 0) continue;
                ChainId chain = ChainId.wrap(uint8(c));
                ChainView storage state = self.chains[chain];
                BlockNumber previous = state.last;
                bytes32 rolling =
                    Records.roll(self.contents[previous][chain].rolling, number, contents[c]);
                self.contents[number][chain] = ContentLink(rolling, previous);
                state.last = number;
                // The chain may have been faster than the hub.
                if (self.acks[chain][number] == rolling) _agree(self, state, number);
            }
        }
    }

    /// What the hub keeps of a block until it is proven: the shape, and 30 bytes of the hash of its
    /// public inputs. z among them depends on both vectors, so on all that the head says.
    function _commitmentOf(ShapeId shape, uint256[4] memory inputs) private pure returns (bytes32) {
        uint256 hash = uint256(keccak256(abi.encode(inputs))) >> 16;
        return bytes32(uint256(ShapeId.unwrap(shape)) << 240 | hash);
    }

    /// Neither height may fall: an older message that comes later makes nothing revertible again.
    function _agree(Blocks storage self, ChainView storage state, BlockNumber number) private {
        if (number > self.agreed) self.agreed = number;
        if (!(number > state.ackedThrough)) return;
        state.ackedThrough = number;
    }
}
