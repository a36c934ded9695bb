// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Field} from "../../src/libraries/Field.sol";

/// @dev The loops of src/ that are written in assembly, in plain form: what they must equal.
library Plain {
    uint256 private constant R = Field.MODULUS;

    /// sum words[i] * z^i.
    function powerSum(uint256 z, bytes32[] memory words) internal pure returns (uint256 y) {
        for (uint256 i = words.length; i > 0; --i) {
            y = addmod(mulmod(y, z, R), uint256(words[i - 1]), R);
        }
    }

    /// (z^4096 - 1) / 4096 * sum words[k] w^k / (z - w^k), each quotient by itself.
    function blobValue(uint256 z, bytes32[] memory words) internal view returns (uint256) {
        uint256 sum = 0;
        uint256 root = 1;
        for (uint256 k = 0; k < words.length; ++k) {
            uint256 quotient = mulmod(root, Field.inverse(addmod(z, R - root, R)), R);
            sum = addmod(sum, mulmod(uint256(words[k]), quotient, R), R);
            root = mulmod(root, Field.ROOT, R);
        }
        uint256 power = z;
        for (uint256 i = 0; i < 12; ++i) {
            power = mulmod(power, power, R);
        }
        uint256 factor = mulmod(addmod(power, R - 1, R), Field.INVERSE_DOMAIN, R);
        return mulmod(factor, sum, R);
    }

    /// The words of one chain's operations in order; the words must be well formed.
    function wordsOf(bytes32[] memory words, uint256 first, uint8 chain)
        internal
        pure
        returns (bytes32[] memory own)
    {
        bytes32[] memory found = new bytes32[](words.length);
        uint256 count = 0;
        for (uint256 i = first; i < words.length;) {
            bytes32 word = words[i];
            uint256 end = i + (uint8(word[1]) == 6 ? 4 : 2);
            for (; i < end; ++i) {
                if (uint8(word[2]) == chain) found[count++] = words[i];
            }
        }
        own = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            own[i] = found[i];
        }
    }

    /// The first operation that is malformed, cut off or of no chain in the set, else the length.
    function fault(bytes32[] memory words, uint256 first, uint64 registered)
        internal
        pure
        returns (uint256 i)
    {
        for (i = first; i < words.length;) {
            bytes32 word = words[i];
            uint8 op = uint8(word[1]);
            uint256 fields = op == 1 ? 30 : op == 3 ? 31 : op == 6 ? 19 : 0;
            if (fields == 0 || word[0] != 0 || uint256(word) << (8 * fields) != 0) return i;
            uint256 length = op == 6 ? 4 : 2;
            if (i + length > words.length) return i;
            uint8 chain = uint8(word[2]);
            if (chain > 63 || (registered >> chain) & 1 == 0) return i;
            i += length;
        }
    }
}
