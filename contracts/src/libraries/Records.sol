// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup, Portion} from "../interfaces/IRollup.sol";
import {Record, Settlement} from "../Layout.sol";
import {BlockNumber, SerialId} from "../types/Ids.sol";
import {Contents} from "./Contents.sol";

/// @title The records of this chain's operations and their stages: committed, acked, released, paid
library Records {
    /// @notice Appends the content of block `number`, which must be above the last one.
    function append(Settlement storage self, BlockNumber number, bytes32 content, SerialId cursor)
        internal
        returns (bytes32 rolling)
    {
        uint32 index = self.committed;
        rolling = roll(self.records[index].rolling, number, content);
        self.committed = ++index;
        Record storage record = self.records[index];
        record.rolling = rolling;
        (record.number, record.cursor) = (number, cursor);
    }

    /// @notice Refuses a number that is not above that of the last record.
    function checkNumber(Settlement storage self, BlockNumber number) internal view {
        BlockNumber last = self.records[self.committed].number;
        if (!(number > last)) {
            revert IRollup.NumberNotIncreasing(BlockNumber.unwrap(last), BlockNumber.unwrap(number));
        }
    }

    /// @notice The index of the last record at or below `downTo`; refuses to go below what is
    ///         acknowledged.
    function lastKept(Settlement storage self, BlockNumber downTo)
        internal
        view
        returns (uint32 index)
    {
        BlockNumber acked = self.records[self.acked].number;
        if (downTo < acked) {
            revert IRollup.RecordsAreAcked(BlockNumber.unwrap(acked), BlockNumber.unwrap(downTo));
        }
        index = self.committed;
        unchecked {
            // Genesis has the number 0.
            while (self.records[index].number > downTo) --index;
        }
    }

    /// @notice Makes the record of block `number`, which must have the content `rolling`, and all
    ///         before it final.
    function acknowledge(Settlement storage self, BlockNumber number, bytes32 rolling) internal {
        uint32 index = find(self, number);
        if (index <= self.acked) revert IRollup.WrongRecord(BlockNumber.unwrap(number));
        _checkRolling(self.records[index].rolling, rolling, number);
        self.acked = index;
    }

    /// @notice Releases all records up to that of `number`, which must be acknowledged and have
    ///         this rolling content: it stands for those before it as well.
    function release(Settlement storage self, BlockNumber number, bytes32 rolling) internal {
        uint32 index = find(self, number);
        if (index <= self.released || index > self.acked) {
            revert IRollup.WrongRecord(BlockNumber.unwrap(number));
        }
        _checkRolling(self.records[index].rolling, rolling, number);
        self.released = index;
    }

    /// @notice Marks the chunks of a portion paid, which must be the next ones of the next block;
    ///         says how many chunks of it are paid then, or 0 if all are.
    function settle(Settlement storage self, Portion calldata portion)
        internal
        returns (uint32 chunks)
    {
        uint32 index = self.paid + 1;
        uint32 raw = BlockNumber.unwrap(portion.number);
        if (index > self.released || self.records[index].number != portion.number) {
            revert IRollup.WrongRecord(raw);
        }
        uint256 words = portion.words.length;
        uint256 before = portion.before.length;
        uint256 size = 2 * Contents.CHUNK;
        bool last = portion.behind.length == 0;
        // A chunk is whole, unless it is the block's last. A portion without words is for a block
        // that has no withdrawals here.
        bool whole = last ? words != 0 || before == 0 : words != 0 && words % size == 0;
        if (before != self.chunks || !whole) revert IRollup.BadPortion(raw, self.chunks);
        bytes32 content = Contents.join(portion.rest, portion.before, portion.words, portion.behind);
        checkContent(self, index, content);
        if (last) {
            (self.paid, self.chunks) = (index, 0);
        } else {
            chunks = uint32(before + words / size);
            self.chunks = chunks;
        }
    }

    /// @notice Refuses a content that is not that of the released record of `number`; gives its
    ///         index.
    function checkReleased(Settlement storage self, BlockNumber number, bytes32 content)
        internal
        view
        returns (uint32 index)
    {
        index = find(self, number);
        if (index == 0 || index > self.released) {
            revert IRollup.WrongRecord(BlockNumber.unwrap(number));
        }
        checkContent(self, index, content);
    }

    /// @notice The index of block `number`, or 0. Numbers ascend, so bisection finds it.
    function find(Settlement storage self, BlockNumber number) internal view returns (uint32) {
        unchecked {
            uint32 low = 1;
            uint32 high = self.committed;
            while (low <= high) {
                uint32 middle = (low + high) / 2;
                BlockNumber found = self.records[middle].number;
                if (found == number) return middle;
                if (found < number) low = middle + 1;
                else high = middle - 1;
            }
            return 0;
        }
    }

    /// @notice The rolling content after block `number` with the content hash `content`.
    function roll(bytes32 rolling, BlockNumber number, bytes32 content)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(rolling, BlockNumber.unwrap(number), content));
    }

    /// @notice Refuses a content that is not that of the record at `index`.
    function checkContent(Settlement storage self, uint32 index, bytes32 content) internal view {
        Record storage record = self.records[index];
        bytes32 given = roll(self.records[index - 1].rolling, record.number, content);
        _checkRolling(record.rolling, given, record.number);
    }

    function _checkRolling(bytes32 held, bytes32 given, BlockNumber number) private pure {
        if (held != given) {
            revert IRollup.ContentMismatch(BlockNumber.unwrap(number), held, given);
        }
    }
}
