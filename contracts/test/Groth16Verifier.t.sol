// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim, IVerifier} from "../src/interfaces/IVerifier.sol";
import {Field} from "../src/libraries/Field.sol";
import {Base} from "./base/Base.sol";
import {Prover} from "./base/Prover.sol";

contract Groth16VerifierTest is Base {
    uint256 private constant R = Field.MODULUS;
    string private json;
    IVerifier private verifier;

    function setUp() public {
        json = vm.readFile("test/vectors/groth16.json");
        verifier = IVerifier(deploy("Groth16Verifier", abi.encode(Prover.key())));
    }

    function testAcceptsTheGoodProofs() public view {
        for (uint256 i = 0; i < 3; ++i) {
            (uint256[4] memory inputs, bytes memory proof) = _proof(i);
            vm.assertTrue(verifier.verify(inputs, proof), "good proof");
        }
    }

    function testRefusesEveryOtherInput() public view {
        (uint256[4] memory inputs, bytes memory proof) = _proof(0);
        for (uint256 i = 0; i < 4; ++i) {
            uint256[4] memory other = _copy(inputs);
            other[i] = addmod(other[i], 1, R);
            vm.assertFalse(verifier.verify(other, proof), "input plus one");
        }
        (inputs[0], inputs[1]) = (inputs[1], inputs[0]);
        vm.assertFalse(verifier.verify(inputs, proof), "inputs swapped");
    }

    /// The precompile reduces scalars, so x and x + r would both pass without the range check.
    function testRefusesInputsNotBelowTheModulus() public view {
        (uint256[4] memory inputs, bytes memory proof) = _proof(2);
        vm.assertTrue(verifier.verify(inputs, proof), "zeros are proven");
        for (uint256 i = 0; i < 4; ++i) {
            uint256[4] memory other = _copy(inputs);
            other[i] = R;
            vm.assertFalse(verifier.verify(other, proof), "r in place of 0");
        }
    }

    function testRefusesOtherProofs() public view {
        (uint256[4] memory inputs, bytes memory proof) = _proof(0);
        (, bytes memory second) = _proof(1);
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, second), "proof of other inputs");
        vm.assertFalse(
            verifier.verify{gas: 5_000_000}(inputs, bytes.concat(proof, hex"00")), "too long"
        );
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, ""), "empty");
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, new bytes(512)), "three infinities");
        bytes memory mixed = bytes.concat(_cut(second, 0, 128), _cut(proof, 128, 384));
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, mixed), "A of another proof");
        bytes memory swapped =
            bytes.concat(_cut(proof, 384, 128), _cut(proof, 128, 256), _cut(proof, 0, 128));
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, swapped), "A and C swapped");
        bytes memory limbs = bytes.concat(
            _cut(proof, 0, 128),
            _cut(proof, 192, 64),
            _cut(proof, 128, 64),
            _cut(proof, 320, 64),
            _cut(proof, 256, 64),
            _cut(proof, 384, 128)
        );
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, limbs), "B with c1 before c0");
    }

    function testFuzzRefusesAnyChangedByte(uint16 place, uint8 change) public view {
        vm.assume(change != 0);
        (uint256[4] memory inputs, bytes memory proof) = _proof(0);
        uint256 i = uint256(place) % 512;
        proof[i] = bytes1(uint8(proof[i]) ^ change);
        // A refused input burns the gas that the precompile is given.
        vm.assertFalse(verifier.verify{gas: 5_000_000}(inputs, proof), "changed byte");
    }

    function testFuzzAcceptsWhatTheSecretsProve(uint256[4] memory inputs) public view {
        for (uint256 i = 0; i < 4; ++i) {
            inputs[i] = bound(inputs[i], 0, R - 1);
        }
        vm.assertTrue(verifier.verify(inputs, Prover.prove(inputs)), "proof for any inputs");
    }

    function testRefusesKeysOfAnotherLength() public {
        bytes memory key = Prover.key();
        _expect(
            abi.encodeWithSelector(IVerifier.KeyLength.selector, 1535, 1536), _cut(key, 0, 1535)
        );
        _expect(abi.encodeWithSelector(IVerifier.KeyLength.selector, 0, 1536), "");
    }

    function testRefusesInfinityAtEveryPlace() public {
        for (uint256 part = 0; part < 9; ++part) {
            (uint256 offset, uint256 length) = _part(part);
            bytes memory key = _with(Prover.key(), offset, new bytes(length));
            _expect(abi.encodeWithSelector(IVerifier.DegenerateKey.selector, part), key);
        }
    }

    function testRefusesPointsOffTheCurve() public {
        for (uint256 part = 0; part < 9; ++part) {
            (uint256 offset, uint256 length) = _part(part);
            bytes memory key = Prover.key();
            key[offset + length - 1] ^= 0x01;
            _expect(abi.encodeWithSelector(IVerifier.DegenerateKey.selector, part), key);
        }
    }

    /// With delta = gamma, C = -L is a proof of everything.
    function testRefusesDeltaEqualGamma() public {
        bytes memory key = Prover.key();
        bytes memory gamma = _cut(key, 384, 256);
        _expect(abi.encodeWithSelector(IVerifier.DegenerateKey.selector, 3), _with(key, 640, gamma));
        bytes memory negated = _negateG2(gamma);
        _expect(
            abi.encodeWithSelector(IVerifier.DegenerateKey.selector, 3), _with(key, 640, negated)
        );
    }

    function testRefusesTheGeneratorAsDelta() public {
        bytes memory generator = vm.parseJsonBytes(json, ".g2");
        bytes memory key = _with(Prover.key(), 640, generator);
        _expect(abi.encodeWithSelector(IVerifier.DegenerateKey.selector, 3), key);
        key = _with(Prover.key(), 640, _negateG2(generator));
        _expect(abi.encodeWithSelector(IVerifier.DegenerateKey.selector, 3), key);
    }

    function testRefusesEqualInputPoints() public {
        bytes memory key = Prover.key();
        bytes memory first = _cut(key, 896, 128);
        _expect(
            abi.encodeWithSelector(IVerifier.DegenerateKey.selector, 8), _with(key, 1408, first)
        );
    }

    /// Batches of one to six claims of two keys: all good ones pass, and with any one of them false
    /// none does.
    /// forge-config: default.fuzz.runs = 16
    function testFuzzBatches(uint256 seed) public {
        IVerifier other = IVerifier(deploy("Groth16Verifier", abi.encode(Prover.key())));
        address[2] memory stores = [verifier.keyStore(), other.keyStore()];
        vm.assertTrue(verifier.verifyBatch(new Claim[](0)), "nothing is true");
        for (uint256 n = 1; n <= 6; ++n) {
            Claim[] memory claims = new Claim[](n);
            for (uint256 i = 0; i < n; ++i) {
                uint256 x = uint256(keccak256(abi.encode(seed, n, i)));
                uint256[4] memory inputs = [x % R, (x >> 1) % R, (x >> 2) % R, (x >> 3) % R];
                claims[i] = Claim(stores[(x >> 4) % 2], inputs, Prover.prove(inputs));
            }
            vm.assertTrue(verifier.verifyBatch(claims), "all good");
            vm.assertTrue(other.verifyBatch(claims), "whoever is asked");
            uint256 bad = seed % n;
            uint256 input = (seed >> 8) % 4;
            uint256 good = claims[bad].inputs[input];
            claims[bad].inputs[input] = addmod(good, 1, R);
            vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "one false input");
            claims[bad].inputs[input] = good;
            claims[bad].proof = claims[(bad + 1) % n].proof;
            vm.assertTrue(n == 1 || !verifier.verifyBatch{gas: 3_000_000}(claims), "false proof");
        }
    }

    /// Two false claims whose errors cancel in a plain sum do not cancel in the combination.
    function testErrorsDoNotCancel() public view {
        (uint256[4] memory first, bytes memory one) = _proof(0);
        (uint256[4] memory second, bytes memory two) = _proof(1);
        first[0] = addmod(first[0], 1, R);
        second[0] = addmod(second[0], R - 1, R);
        Claim[] memory claims = new Claim[](2);
        claims[0] = Claim(verifier.keyStore(), first, one);
        claims[1] = Claim(verifier.keyStore(), second, two);
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "opposite errors");
        // C swapped between two proofs: the sum of all C is the same.
        (first, one) = _proof(0);
        (second, two) = _proof(1);
        claims[0] =
            Claim(verifier.keyStore(), first, bytes.concat(_cut(one, 0, 384), _cut(two, 384, 128)));
        claims[1] = Claim(
            verifier.keyStore(), second, bytes.concat(_cut(two, 0, 384), _cut(one, 384, 128))
        );
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "swapped parts");
    }

    function testBatchesRefuseMalformedClaims() public view {
        (uint256[4] memory inputs, bytes memory proof) = _proof(2);
        Claim[] memory claims = new Claim[](2);
        claims[0] = Claim(verifier.keyStore(), inputs, proof);
        claims[1] = Claim(verifier.keyStore(), inputs, bytes.concat(proof, hex"00"));
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "too long");
        claims[1].proof = _cut(proof, 0, 511);
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "too short");
        claims[1].proof = new bytes(512);
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "three infinities");
        claims[1].proof = proof;
        vm.assertTrue(verifier.verifyBatch{gas: 3_000_000}(claims), "the same twice");
        // The inputs are zeros; r in the place of one of them would be the same scalar.
        claims[1].inputs[3] = R;
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "r in place of 0");
        claims[1].inputs[3] = 0;
        claims[1].keyStore = address(0xeeee);
        vm.assertFalse(verifier.verifyBatch{gas: 3_000_000}(claims), "no key");
    }

    function testPriceOfVerify() public view {
        (uint256[4] memory inputs, bytes memory proof) = _proof(0);
        uint256 before = gasleft();
        verifier.verify(inputs, proof);
        uint256 used = before - gasleft();
        // Pairing 168,100, multiplication 38,256 and addition 375 are the precompiles' own prices.
        vm.assertLe(used, 235_000, "verify");
    }

    function _expect(bytes memory expected, bytes memory key) private {
        try this.deployVerifier(key) {
            vm.assertTrue(false, "the key was accepted");
        } catch (bytes memory reason) {
            eq(keccak256(reason), keccak256(expected), "reason");
        }
    }

    function deployVerifier(bytes memory key) external {
        deploy("Groth16Verifier", abi.encode(key));
    }

    function _proof(uint256 i) private view returns (uint256[4] memory inputs, bytes memory proof) {
        string memory item = string.concat(".proofs[", vm.toString(i), "]");
        uint256[] memory list = vm.parseJsonUintArray(json, string.concat(item, ".inputs"));
        for (uint256 k = 0; k < 4; ++k) {
            inputs[k] = list[k];
        }
        proof = vm.parseJsonBytes(json, string.concat(item, ".proof"));
    }

    /// Offset and length of the key's points: alpha, -beta, -gamma, -delta, ic[0] to ic[4].
    function _part(uint256 part) private pure returns (uint256 offset, uint256 length) {
        if (part == 0) return (0, 128);
        if (part < 4) return (128 + 256 * (part - 1), 256);
        return (896 + 128 * (part - 4), 128);
    }

    function _copy(uint256[4] memory a) private pure returns (uint256[4] memory b) {
        for (uint256 i = 0; i < 4; ++i) {
            b[i] = a[i];
        }
    }

    function _cut(bytes memory whole, uint256 from, uint256 length)
        private
        pure
        returns (bytes memory part)
    {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            part[i] = whole[from + i];
        }
    }

    function _with(bytes memory whole, uint256 from, bytes memory part)
        private
        pure
        returns (bytes memory)
    {
        bytes memory copy = bytes.concat(whole);
        for (uint256 i = 0; i < part.length; ++i) {
            copy[from + i] = part[i];
        }
        return copy;
    }

    /// (x, y) to (x, p - y), both coordinates of y apart.
    function _negateG2(bytes memory point) private pure returns (bytes memory) {
        bytes memory p = hex"000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7"
            hex"64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
        bytes memory copy = bytes.concat(point);
        for (uint256 c = 128; c < 256; c += 64) {
            uint256 borrow = 0;
            for (uint256 i = 64; i > 0; --i) {
                uint256 value = 256 + uint256(uint8(p[i - 1])) - uint8(point[c + i - 1]) - borrow;
                copy[c + i - 1] = bytes1(uint8(value));
                borrow = value < 256 ? 1 : 0;
            }
        }
        return copy;
    }
}
