// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IHub} from "../src/interfaces/IHub.sol";
import {Field} from "../src/libraries/Field.sol";
import {Base} from "./base/Base.sol";
import {Plain} from "./base/Plain.sol";

contract FieldHarness {
    function powerSum(uint256 z, bytes32[] calldata words) external pure returns (uint256) {
        return Field.powerSum(z, words);
    }

    function blobValue(uint256 z, bytes32[] calldata words) external view returns (uint256) {
        return Field.blobValue(z, words);
    }

    function inverse(uint256 x) external view returns (uint256) {
        return Field.inverse(x);
    }
}

contract FieldTest is Base {
    uint256 private constant R = Field.MODULUS;
    FieldHarness private harness = new FieldHarness();

    /// The expected values come from coefficients, in test/generate/evaluation.mjs.
    function testEvaluationsEqualThoseOfTheCoefficients() public view {
        string memory json = vm.readFile("test/vectors/evaluation.json");
        for (uint256 v = 0; v < 8; ++v) {
            string memory item = string.concat(".vectors[", vm.toString(v), "]");
            bytes32[] memory onchain = _words(json, item, 0, ".onchainLength");
            bytes32[] memory data = _words(json, item, 1, ".dataLength");
            uint256 z = uint256(vm.parseJsonBytes32(json, string.concat(item, ".z")));
            bytes32 d = vm.parseJsonBytes32(json, string.concat(item, ".d"));
            bytes32 onchainHash = keccak256(abi.encodePacked(onchain));
            bytes32 dataHash = keccak256(abi.encodePacked(data));
            eq(uint256(keccak256(abi.encodePacked(d, onchainHash, dataHash))) % R, z, "z");
            bytes32 yOnchain = vm.parseJsonBytes32(json, string.concat(item, ".yOnchain"));
            bytes32 yData = vm.parseJsonBytes32(json, string.concat(item, ".yData"));
            eq(harness.powerSum(z, onchain), uint256(yOnchain), "yOnchain");
            eq(harness.blobValue(z, data), uint256(yData), "yData");
        }
    }

    function _words(string memory json, string memory item, uint256 offset, string memory length)
        private
        pure
        returns (bytes32[] memory words)
    {
        uint256 seed = vm.parseJsonUint(json, string.concat(item, ".seed")) + offset;
        uint256 zeroEvery = vm.parseJsonUint(json, string.concat(item, ".zeroEvery"));
        words = new bytes32[](vm.parseJsonUint(json, string.concat(item, length)));
        for (uint256 i = 0; i < words.length; ++i) {
            if (zeroEvery != 0 && i % zeroEvery == 0) continue;
            words[i] = bytes32(uint256(keccak256(abi.encode(seed, i))) >> 8);
        }
    }

    function testTheRootHasOrder4096() public pure {
        uint256 power = Field.ROOT;
        for (uint256 i = 0; i < 11; ++i) {
            power = mulmod(power, power, R);
        }
        eq(power, R - 1, "its 2048th power is -1");
        eq(mulmod(Field.INVERSE_DOMAIN, Field.DOMAIN, R), 1, "1 / 4096");
    }

    /// At a root of unity the formula divides by zero; such a point is refused.
    function testRefusesAPointInTheDomain() public {
        bytes32[] memory words = new bytes32[](2);
        uint256[3] memory points = [uint256(1), R - 1, Field.ROOT];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(IHub.EvaluationPointInDomain.selector);
            harness.blobValue(points[i], words);
        }
    }

    function testFuzzRefusesWordsThatAreNoFieldElements(uint256 word, uint8 place) public {
        word = bound(word, R, type(uint256).max);
        uint256 i = uint256(place) % 4;
        bytes32[] memory words = new bytes32[](4);
        words[i] = bytes32(word);
        vm.expectRevert(abi.encodeWithSelector(IHub.WordOutOfRange.selector, i));
        harness.powerSum(5, words);
        // Words of operations have 31 bytes.
        words[i] = bytes32(word % R | 1 << 248);
        vm.expectRevert(abi.encodeWithSelector(IHub.WordOutOfRange.selector, i));
        harness.blobValue(5, words);
    }

    /// The loops in assembly against their plain form.
    function testFuzzEvaluationsEqualThePlainForm(uint256 seed, uint256 z, uint16 length)
        public
        view
    {
        z = bound(z, 2, R - 2);
        bytes32[] memory words = new bytes32[](length % 300);
        for (uint256 i = 0; i < words.length; ++i) {
            uint256 word = uint256(keccak256(abi.encode(seed, i)));
            // Some are zero, some the greatest.
            words[i] = word % 7 == 0 ? bytes32(0) : bytes32(word >> 8);
            if (word % 11 == 0) words[i] = bytes32(type(uint256).max >> 8);
        }
        eq(harness.powerSum(z, words), Plain.powerSum(z, words), "power sum");
        eq(harness.blobValue(z, words), Plain.blobValue(z, words), "blob value");
    }

    function testFuzzInverse(uint256 x) public {
        x = bound(x, 1, R - 1);
        eq(mulmod(harness.inverse(x), x, R), 1, "x / x");
        vm.expectRevert(Field.ModExpFailed.selector);
        harness.inverse(0);
    }

    function testFuzzPowerSumIsThePolynomial(uint256 z, uint256[5] memory seeds) public view {
        z = bound(z, 0, R - 1);
        bytes32[] memory words = new bytes32[](5);
        uint256 expected = 0;
        uint256 power = 1;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 word = bound(seeds[i], 0, R - 1);
            words[i] = bytes32(word);
            expected = addmod(expected, mulmod(word, power, R), R);
            power = mulmod(power, z, R);
        }
        eq(harness.powerSum(z, words), expected, "sum of powers");
    }
}
