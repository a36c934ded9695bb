// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IHub} from "../interfaces/IHub.sol";

/// @title The scalar field of BLS12-381, and the two evaluations that bind public data to a proof
/// @dev The evaluations run over every word of a block, hence in assembly; test/base/Plain.sol has
///      them in plain form, and the tests hold one against the other.
library Field {
    /// The field's modulus r.
    uint256 internal constant MODULUS =
        0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;
    /// The number of elements of a blob.
    uint256 internal constant DOMAIN = 4096;
    /// 7^((r - 1) / 4096), a primitive 4096th root of unity.
    uint256 internal constant ROOT =
        0x564c0a11a0f704f4fc3e8acfe0f8245f0ad1347b378fbf96e206da11a5d36306;
    /// 1 / 4096.
    uint256 internal constant INVERSE_DOMAIN =
        0x73e66878b46ae3705eb6a46a89213de7d3686828bfce5c19400fffff00100001;

    /// @dev The precompile for modular exponentiation gave no result.
    error ModExpFailed();

    /// @notice sum words[i] * z^i.
    /// @dev Horner's rule from the last word to the first. Refuses words that are no field
    ///      elements.
    function powerSum(uint256 z, bytes32[] calldata words) internal pure returns (uint256 y) {
        uint256 bad;
        uint256 r = MODULUS;
        assembly ("memory-safe") {
            let at := add(words.offset, shl(5, words.length))
            for {} gt(at, words.offset) {} {
                at := sub(at, 32)
                let word := calldataload(at)
                bad := or(bad, iszero(lt(word, r)))
                y := addmod(mulmod(y, z, r), word, r)
            }
        }
        if (bad == 0) return y;
        revert IHub.WordOutOfRange(_firstAbove(words, MODULUS));
    }

    /// @notice The value at z of the polynomial of degree < 4096 with p(w^k) = words[k], and zero
    ///         at the other powers of the root w.
    /// @dev y = (z^4096 - 1) / 4096 * sum words[k] w^k / (z - w^k). The sum is kept as one
    ///      fraction, which needs four products a word and a single inversion; a fifth product
    ///      gives the next power of w. Words of operations have 31 bytes; others are refused, which
    ///      is cheaper to check than that they are field elements.
    function blobValue(uint256 z, bytes32[] calldata words) internal view returns (uint256) {
        uint256 vanishing = addmod(_power4096(z), MODULUS - 1, MODULUS);
        if (vanishing == 0) revert IHub.EvaluationPointInDomain();
        (uint256 numerator, uint256 denominator, uint256 bits) = _sum(z, words);
        if (bits >> 248 != 0) revert IHub.WordOutOfRange(_firstAbove(words, 1 << 248));
        // No distance is zero, since z is no root of unity; so the denominator has an inverse.
        uint256 sum = mulmod(numerator, inverse(denominator), MODULUS);
        return mulmod(mulmod(vanishing, MODULUS - INVERSE_DOMAIN, MODULUS), sum, MODULUS);
    }

    /// @notice 1 / x, for x that is not zero.
    function inverse(uint256 x) internal view returns (uint256 result) {
        bool ok;
        uint256 size;
        uint256 modulus = MODULUS;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, 32)
            mstore(add(input, 32), 32)
            mstore(add(input, 64), 32)
            mstore(add(input, 96), x)
            mstore(add(input, 128), sub(modulus, 2))
            mstore(add(input, 160), modulus)
            ok := staticcall(gas(), 0x05, input, 192, 0, 32)
            // A statement of its own: Yul evaluates arguments from right to left.
            size := returndatasize()
            result := mload(0)
        }
        if (!ok || size != 32 || mulmod(result, x, MODULUS) != 1) revert ModExpFailed();
    }

    function _power4096(uint256 z) private pure returns (uint256 power) {
        power = z;
        for (uint256 i = 0; i < 12; ++i) {
            power = mulmod(power, power, MODULUS);
        }
    }

    /// The negative of sum words[k] w^k / (z - w^k) as a fraction, and the bits of all words.
    /// @dev A function of its own, so that all it works with stays on the stack. It goes over the
    ///      negatives of the roots: then nothing is subtracted. z, roots and products are below r,
    ///      and a sum of two of them fits a word.
    function _sum(uint256 z, bytes32[] calldata words)
        private
        pure
        returns (uint256 numerator, uint256 denominator, uint256 bits)
    {
        if (words.length == 0) return (0, 1, 0);
        denominator = 1;
        uint256 r = MODULUS;
        uint256 step = ROOT;
        assembly ("memory-safe") {
            let root := sub(r, 1)
            let end := add(words.offset, shl(5, words.length))
            for { let place := words.offset } lt(place, end) { place := add(place, 32) } {
                let word := calldataload(place)
                bits := or(bits, word)
                let distance := add(z, root)
                let term := mulmod(denominator, mulmod(word, root, r), r)
                numerator := add(mulmod(numerator, distance, r), term)
                denominator := mulmod(denominator, distance, r)
                root := mulmod(root, step, r)
            }
        }
    }

    /// The place of the first word that is not below `limit`; there is one.
    function _firstAbove(bytes32[] calldata words, uint256 limit) private pure returns (uint256 i) {
        for (;; ++i) {
            if (uint256(words[i]) >= limit) return i;
        }
    }
}
