// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Splits the on-chain words of a block into the contents of the chains
/// @dev content = keccak256(rest ‖ chunk_1 ‖ … ‖ chunk_k): `rest` is the keccak256 of the words of
///      the chain's deposits and key changes in order, `chunk_i` that of the words of its i-th 32
///      withdrawals in order. In assembly, because these loops are most of what a commit costs; the
///      same in plain form is test/base/Plain.sol, and the tests hold one against the other.
library Contents {
    /// Chain ids are below this, so that a set of chains fits 64 bits.
    uint256 internal constant CHAINS = 64;
    /// The withdrawals of one chunk.
    uint256 internal constant CHUNK = 32;
    // Assembly takes literal constants only; a test holds them against those of Pubdata.
    uint256 private constant CHUNK_BYTES = 2048;
    uint256 private constant WITHDRAW = 3;
    uint256 private constant WITHDRAW_PADDING = 0xff;
    uint256 private constant DEPOSIT_PADDING = 0xffff;
    uint256 private constant CHANGE_PADDING = 0xffffffffffffffffffffffffff;

    /// @notice The set of chains with operations in the words from `first` on, and the content of
    ///         each.
    /// @param registered The set of chains that may have operations.
    /// @return fault The place of the first operation that is malformed or of another chain, else
    ///         the number of words. With a fault the rest is worth nothing.
    function split(bytes32[] calldata words, uint256 first, uint64 registered)
        internal
        pure
        returns (uint256 fault, uint64 chains, bytes32[CHAINS] memory contents)
    {
        if (first == words.length) return (first, 0, contents);
        // For each chain two cells: where the next words of its rest, and of its withdrawals, go.
        uint256[2 * CHAINS] memory cells;
        (fault, chains) = _count(words, first, registered, cells);
        if (fault != words.length) return (fault, 0, contents);
        uint256 buffer = _place(chains, cells);
        _copy(words, first, cells);
        _hash(chains, cells, buffer, contents);
    }

    /// @notice The content of a chain of which some chunks are shown, and for the rest the hashes.
    /// @param rest The hash of the words of deposits and key changes.
    /// @param before The hashes of the first chunks.
    /// @param words The words of the chunks after them.
    /// @param behind The hashes of the last chunks.
    function join(
        bytes32 rest,
        bytes32[] calldata before,
        bytes32[] calldata words,
        bytes32[] calldata behind
    ) internal pure returns (bytes32 content) {
        assembly ("memory-safe") {
            // Free memory that is not kept: the hashes, then room for one chunk.
            let parts := mload(0x40)
            mstore(parts, rest)
            let next := add(parts, 32)
            let size := shl(5, before.length)
            calldatacopy(next, before.offset, size)
            next := add(next, size)
            let left := shl(5, words.length)
            let behindSize := shl(5, behind.length)
            let chunk := add(add(next, behindSize), add(32, shl(5, div(left, CHUNK_BYTES))))
            for { let from := words.offset } left {} {
                size := left
                if gt(size, CHUNK_BYTES) { size := CHUNK_BYTES }
                calldatacopy(chunk, from, size)
                mstore(next, keccak256(chunk, size))
                next := add(next, 32)
                from := add(from, size)
                left := sub(left, size)
            }
            calldatacopy(next, behind.offset, behindSize)
            content := keccak256(parts, sub(add(next, behindSize), parts))
        }
    }

    /// @notice keccak256 of words.
    function hash(bytes32[] calldata words) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            // Free memory that is not kept.
            let buffer := mload(0x40)
            let size := shl(5, words.length)
            calldatacopy(buffer, words.offset, size)
            digest := keccak256(buffer, size)
        }
    }

    /// Counts the bytes of each cell; stops at the first operation that cannot be accepted.
    function _count(
        bytes32[] calldata words,
        uint256 first,
        uint64 registered,
        uint256[2 * CHAINS] memory cells
    ) private pure returns (uint256 fault, uint64 chains) {
        assembly ("memory-safe") {
            let end := add(words.offset, shl(5, words.length))
            let at := add(words.offset, shl(5, first))
            for {} lt(at, end) {} {
                let word := calldataload(at)
                let chain := byte(2, word)
                // A size of zero means a fault: byte 0 is a part of the code that is compared.
                let size := 0
                let cell := add(cells, shl(6, chain))
                switch shr(240, word)
                case 3 {
                    size := shl(6, iszero(and(word, WITHDRAW_PADDING)))
                    cell := add(cell, 32)
                }
                case 1 { size := shl(6, iszero(and(word, DEPOSIT_PADDING))) }
                case 6 { size := shl(7, iszero(and(word, CHANGE_PADDING))) }
                let next := add(at, size)
                if or(or(iszero(size), gt(next, end)), iszero(and(shr(chain, registered), 1))) {
                    break
                }
                chains := or(chains, shl(chain, 1))
                mstore(cell, add(mload(cell), size))
                at := next
            }
            fault := shr(5, sub(at, words.offset))
        }
    }

    /// Turns the counts into places in a new buffer: for each chain its rest, then its withdrawals.
    function _place(uint64 chains, uint256[2 * CHAINS] memory cells)
        private
        pure
        returns (uint256 buffer)
    {
        assembly ("memory-safe") {
            buffer := mload(0x40)
            let place := buffer
            for { let c := 0 } shr(c, chains) { c := add(c, 1) } {
                if iszero(and(shr(c, chains), 1)) { continue }
                let cell := add(cells, shl(6, c))
                let size := mload(cell)
                mstore(cell, place)
                place := add(place, size)
                cell := add(cell, 32)
                size := mload(cell)
                mstore(cell, place)
                place := add(place, size)
            }
            mstore(0x40, place)
        }
    }

    /// Copies each operation to its place; every cell then points behind its words.
    function _copy(bytes32[] calldata words, uint256 first, uint256[2 * CHAINS] memory cells)
        private
        pure
    {
        assembly ("memory-safe") {
            let end := add(words.offset, shl(5, words.length))
            for { let at := add(words.offset, shl(5, first)) } lt(at, end) {} {
                let word := calldataload(at)
                let op := byte(1, word)
                let size := shl(add(6, eq(op, 6)), 1)
                let cell := add(add(cells, shl(6, byte(2, word))), shl(5, eq(op, WITHDRAW)))
                let place := mload(cell)
                calldatacopy(place, at, size)
                mstore(cell, add(place, size))
                at := add(at, size)
            }
        }
    }

    /// Hashes the parts of each chain, and the parts' hashes to the chain's content.
    function _hash(
        uint64 chains,
        uint256[2 * CHAINS] memory cells,
        uint256 buffer,
        bytes32[CHAINS] memory contents
    ) private pure {
        assembly ("memory-safe") {
            let start := buffer
            // Behind the buffer: free memory that is not kept.
            let parts := mload(0x40)
            for { let c := 0 } shr(c, chains) { c := add(c, 1) } {
                if iszero(and(shr(c, chains), 1)) { continue }
                let cell := add(cells, shl(6, c))
                let end := mload(cell)
                mstore(parts, keccak256(start, sub(end, start)))
                start := end
                end := mload(add(cell, 32))
                let last := add(parts, 32)
                for {} lt(start, end) {} {
                    let size := sub(end, start)
                    if gt(size, CHUNK_BYTES) { size := CHUNK_BYTES }
                    mstore(last, keccak256(start, size))
                    last := add(last, 32)
                    start := add(start, size)
                }
                mstore(add(contents, shl(5, c)), keccak256(parts, sub(last, parts)))
            }
        }
    }
}
