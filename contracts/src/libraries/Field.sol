// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IHub} from "../interfaces/IHub.sol";
import {IRollup} from "../interfaces/IRollup.sol";

/// @title The scalar field of BLS12-381, and the two evaluations that bind public data to a proof
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
        for (uint256 i = words.length; i > 0;) {
            // The loop's condition keeps i above zero.
            unchecked {
                --i;
            }
            uint256 word = uint256(words[i]);
            if (word >= MODULUS) revert IRollup.WordOutOfRange(i);
            y = addmod(mulmod(y, z, MODULUS), word, MODULUS);
        }
    }

    /// @notice The value at z of the polynomial of degree < 4096 that takes the values `words`,
    ///         then zeros, at the 4096th roots of unity in bit-reversed order (EIP-4844's order).
    /// @dev y = (z^4096 - 1) / 4096 * sum words[i] * w_i / (z - w_i). The sum is kept as one
    ///      fraction, which needs four products a word and a single inversion. A zero word adds
    ///      nothing and is skipped. Roots come by doubling: reversing the bits of 2^k + j (j < 2^k)
    ///      adds 2^(11 - k) to the exponent of j, so w_(2^k + j) = w_j * ROOT^(2^(11 - k)).
    function blobValue(uint256 z, bytes32[] calldata words) internal view returns (uint256) {
        uint256 vanishing = addmod(_power4096(z), MODULUS - 1, MODULUS);
        if (vanishing == 0) revert IHub.EvaluationPointInDomain();
        uint256[] memory roots = _roots(words.length);
        uint256 numerator = 0;
        uint256 denominator = 1;
        for (uint256 i = 0; i < words.length; ++i) {
            uint256 word = uint256(words[i]);
            if (word >= MODULUS) revert IRollup.WordOutOfRange(i);
            if (word == 0) continue;
            uint256 root = roots[i];
            uint256 distance;
            // Roots are below the modulus.
            unchecked {
                distance = addmod(z, MODULUS - root, MODULUS);
            }
            uint256 term = mulmod(denominator, mulmod(word, root, MODULUS), MODULUS);
            numerator = addmod(mulmod(numerator, distance, MODULUS), term, MODULUS);
            denominator = mulmod(denominator, distance, MODULUS);
        }
        // No distance is zero, since z is no root of unity; so the denominator has an inverse.
        uint256 sum = mulmod(numerator, inverse(denominator), MODULUS);
        return mulmod(mulmod(vanishing, INVERSE_DOMAIN, MODULUS), sum, MODULUS);
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

    /// The first `count` roots of unity in bit-reversed order.
    function _roots(uint256 count) private pure returns (uint256[] memory roots) {
        roots = new uint256[](count);
        if (count == 0) return roots;
        uint256[12] memory steps;
        steps[11] = ROOT;
        for (uint256 k = 11; k > 0; --k) {
            steps[k - 1] = mulmod(steps[k], steps[k], MODULUS);
        }
        roots[0] = 1;
        uint256 filled = 1;
        for (uint256 k = 0; filled < count; ++k) {
            uint256 end = 2 * filled < count ? 2 * filled : count;
            uint256 step = steps[k];
            for (uint256 i = filled; i < end; ++i) {
                // i is at least `filled`.
                unchecked {
                    roots[i] = mulmod(roots[i - filled], step, MODULUS);
                }
            }
            filled = end;
        }
    }
}
