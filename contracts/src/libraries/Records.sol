// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Record, Settlement} from "../Layout.sol";
import {BlockNumber, SerialId} from "../types/Ids.sol";

/// @title The records of this chain's operations and their stages: committed, acked, released, paid
library Records {
    /// @notice Checks that block `number` comes after the last record, and that the last record has
    ///         the content `rolling`.
    /// @dev A transaction may be mined on another branch of the chain than the one that it was made
    ///      for, where the record before it is missing or is another one.
    function checkFollows(Settlement storage self, BlockNumber number, bytes32 rolling)
        internal
        view
    {
        Record storage last = self.records[self.committed];
        if (!(number > last.number)) {
            revert IRollup.NumberNotIncreasing(
                BlockNumber.unwrap(last.number), BlockNumber.unwrap(number)
            );
        }
        if (rolling != last.rolling) revert IRollup.WrongPredecessor(last.rolling, rolling);
    }

    /// @notice Appends the content of block `number`, which follows the last record.
    function append(
        Settlement storage self,
        BlockNumber number,
        bytes32[] calldata words,
        SerialId cursor
    ) internal returns (bytes32 rolling) {
        bytes32 last = self.records[self.committed].rolling;
        rolling = roll(last, number, keccak256(abi.encodePacked(words)));
        self.records[++self.committed] = Record(rolling, number, cursor);
    }

    /// @notice Removes all records above `downTo`; gives the cursors before and after.
    function removeAbove(Settlement storage self, BlockNumber downTo)
        internal
        returns (SerialId from, SerialId to)
    {
        BlockNumber acked = self.records[self.acked].number;
        if (downTo < acked) {
            revert IRollup.RecordsAreAcked(BlockNumber.unwrap(acked), BlockNumber.unwrap(downTo));
        }
        uint32 index = self.committed;
        to = self.records[index].cursor;
        while (self.records[index].number > downTo) {
            delete self.records[index--];
        }
        self.committed = index;
        from = self.records[index].cursor;
    }

    /// @notice Makes the record of block `number`, which must have the content `rolling`, and all
    ///         before it final.
    function acknowledge(Settlement storage self, BlockNumber number, bytes32 rolling) internal {
        uint32 index = find(self, number);
        if (index == 0 || index <= self.acked) {
            revert IRollup.WrongRecord(BlockNumber.unwrap(number));
        }
        bytes32 held = self.records[index].rolling;
        if (held != rolling) {
            revert IRollup.ContentMismatch(BlockNumber.unwrap(number), held, rolling);
        }
        self.acked = index;
    }

    /// @notice Releases the next record, which must be the acknowledged one of `number` with this
    ///         content.
    function release(Settlement storage self, BlockNumber number, bytes32 rolling) internal {
        uint32 index = self.released + 1;
        Record storage record = self.records[index];
        if (index > self.acked || record.number != number) {
            revert IRollup.WrongRecord(BlockNumber.unwrap(number));
        }
        if (record.rolling != rolling) {
            revert IRollup.ContentMismatch(BlockNumber.unwrap(number), record.rolling, rolling);
        }
        self.released = index;
    }

    /// @notice Marks the next record paid, which must be the released one of `number` with these
    ///         words.
    function settle(Settlement storage self, BlockNumber number, bytes32[] calldata words)
        internal
    {
        uint32 index = self.paid + 1;
        Record storage record = self.records[index];
        if (index > self.released || record.number != number) {
            revert IRollup.WrongRecord(BlockNumber.unwrap(number));
        }
        bytes32 before = self.records[index - 1].rolling;
        bytes32 given = roll(before, number, keccak256(abi.encodePacked(words)));
        if (record.rolling != given) {
            revert IRollup.ContentMismatch(BlockNumber.unwrap(number), record.rolling, given);
        }
        self.paid = index;
    }

    /// @notice The index of block `number`, or 0. Numbers ascend, so bisection finds it.
    function find(Settlement storage self, BlockNumber number) internal view returns (uint32) {
        uint32 low = 1;
        uint32 high = self.committed;
        while (low <= high) {
            uint32 middle = low + (high - low) / 2;
            BlockNumber found = self.records[middle].number;
            if (found == number) return middle;
            if (found < number) low = middle + 1;
            else high = middle - 1;
        }
        return 0;
    }

    /// @notice The rolling content after block `number` with the content hash `content`.
    function roll(bytes32 rolling, BlockNumber number, bytes32 content)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(rolling, BlockNumber.unwrap(number), content));
    }
}
