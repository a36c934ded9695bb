// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Contents} from "../src/libraries/Contents.sol";
import {Pubdata} from "../src/libraries/Pubdata.sol";
import {Base} from "./base/Base.sol";
import {Plain} from "./base/Plain.sol";
import {Words} from "./base/Words.sol";

contract ContentsHarness {
    function split(bytes32[] calldata words, uint256 first, uint64 registered)
        external
        pure
        returns (uint256, uint64, bytes32[64] memory)
    {
        return Contents.split(words, first, registered);
    }

    function join(
        bytes32 rest,
        bytes32[] calldata before,
        bytes32[] calldata words,
        bytes32[] calldata behind
    ) external pure returns (bytes32) {
        return Contents.join(rest, before, words, behind);
    }

    function header(bytes32[] calldata words, uint256 i) external pure {
        Pubdata.header(words, i);
    }
}

/// @dev The loops in assembly against their plain form.
contract ContentsTest is Base {
    uint64 private constant CHAINS = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 63;
    ContentsHarness private harness = new ContentsHarness();

    function testFuzzSplitEqualsThePlainForm(uint256 seed, uint8 operations) public view {
        bytes32[] memory words = _words(seed, operations % 160);
        (uint256 fault, uint64 chains, bytes32[64] memory contents) =
            harness.split(words, 2, CHAINS);
        eq(fault, words.length, "no fault");
        for (uint8 c = 0; c < 64; ++c) {
            bytes32[] memory own = Plain.wordsOf(words, 2, c);
            eq((chains >> c) & 1, own.length == 0 ? 0 : 1, "the set");
            bytes32 expected = own.length == 0 ? bytes32(0) : Words.content(own);
            eq(contents[c], expected, "the content");
        }
    }

    /// Any one bit of any first word changed: the same place is found.
    function testFuzzFaultsAreFoundWhereThePlainFormFindsThem(
        uint256 seed,
        uint16 place,
        uint8 bit,
        uint8 cut
    ) public view {
        bytes32[] memory words = _words(seed, 20);
        uint256 i = 2 + place % (words.length - 2);
        words[i] ^= bytes32(uint256(1) << bit);
        if (cut % 4 == 0) words = Words.cut(words, 0, words.length - 1 - cut % 3);
        (uint256 fault,,) = harness.split(words, 2, CHAINS);
        uint256 expected = Plain.fault(words, 2, CHAINS);
        eq(fault, expected, "the place");
    }

    function testFuzzJoin(uint256 seed, uint8 before, uint8 count, uint8 behind) public view {
        bytes32[] memory words = _withdrawals(seed, count % 100);
        bytes32[] memory first = new bytes32[](before % 9);
        bytes32[] memory last = new bytes32[](behind % 9);
        for (uint256 i = 0; i < 9; ++i) {
            if (i < first.length) first[i] = keccak256(abi.encode(seed, "first", i));
            if (i < last.length) last[i] = keccak256(abi.encode(seed, "last", i));
        }
        bytes32 rest = keccak256(abi.encode(seed));
        bytes32 expected = keccak256(
            abi.encodePacked(rest, Words.join(Words.join(first, Words.chunks(words)), last))
        );
        eq(harness.join(rest, first, words, last), expected, "join");
    }

    function _withdrawals(uint256 seed, uint256 count)
        private
        pure
        returns (bytes32[] memory words)
    {
        words = new bytes32[](2 * count);
        for (uint256 i = 0; i < words.length; ++i) {
            words[i] = keccak256(abi.encode(seed, i));
        }
    }

    function _words(uint256 seed, uint256 operations)
        private
        pure
        returns (bytes32[] memory words)
    {
        words = new bytes32[](2);
        uint8[4] memory chains = [1, 2, 5, 63];
        for (uint256 i = 0; i < operations; ++i) {
            uint256 x = uint256(keccak256(abi.encode(seed, i)));
            uint8 chain = chains[x % 4];
            bytes32 owner = bytes32(x);
            bytes32[] memory op;
            if ((x >> 8) % 8 == 0) {
                op = Words.deposit(chain, uint24(x), 3, 2, uint128(x), owner);
            } else if ((x >> 8) % 8 == 1) {
                op = Words.changePubKey(chain, uint24(x), uint32(x), owner, x >> 8, x >> 9);
            } else {
                op = Words.withdraw(chain, uint24(x), 2, uint128(x), 12, owner);
            }
            words = Words.join(words, op);
        }
    }
}
