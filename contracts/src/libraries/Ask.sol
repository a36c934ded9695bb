// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Questions to contracts that may not be what they claim
library Ask {
    /// @notice The first word of the answer, and whether there is one. At most 32 bytes of an
    ///         answer are copied; an address without code gives none.
    function word(address target, bytes memory question)
        internal
        view
        returns (bool known, uint256 answer)
    {
        uint256 size;
        assembly ("memory-safe") {
            known := staticcall(gas(), target, add(question, 32), mload(question), 0, 32)
            // A statement of its own: Yul evaluates arguments from right to left.
            size := returndatasize()
            answer := mload(0)
        }
        known = known && size >= 32;
        if (!known) answer = 0;
    }

    /// @notice Whether the answer is `expected`.
    function says(address target, bytes memory question, uint256 expected)
        internal
        view
        returns (bool)
    {
        (bool known, uint256 answer) = word(target, question);
        return known && answer == expected;
    }
}
