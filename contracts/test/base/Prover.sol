// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Field} from "../../src/libraries/Field.sol";
import {Vm} from "./Vm.sol";

/// @dev Real proofs for any public inputs, by the known secrets of the test key
///      (test/generate/groth16.mjs).
library Prover {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant R = Field.MODULUS;
    string private constant FILE = "test/vectors/groth16.json";

    struct Secrets {
        uint256 alpha;
        uint256 beta;
        uint256 gamma;
        uint256 delta;
        uint256[] ic;
        bytes g1;
        /// B of every proof made here: -delta G2, as it stands in the key. A is the generator.
        bytes b;
    }

    function key() internal view returns (bytes memory) {
        return vm.parseJsonBytes(vm.readFile(FILE), ".key");
    }

    function secrets() internal view returns (Secrets memory s) {
        string memory json = vm.readFile(FILE);
        s.alpha = vm.parseJsonUint(json, ".secrets.alpha");
        s.beta = vm.parseJsonUint(json, ".secrets.beta");
        s.gamma = vm.parseJsonUint(json, ".secrets.gamma");
        s.delta = vm.parseJsonUint(json, ".secrets.delta");
        s.ic = vm.parseJsonUintArray(json, ".ic");
        s.g1 = vm.parseJsonBytes(json, ".g1");
        s.b = _slice(vm.parseJsonBytes(json, ".key"), 640, 256);
    }

    /// C = (ab - alpha beta - L gamma) / delta, with a = 1, b = -delta, L = ic[0] + sum inputs[i]
    /// ic[i + 1].
    function prove(uint256[4] memory inputs) internal view returns (bytes memory) {
        Secrets memory s = secrets();
        uint256 sum = s.ic[0];
        for (uint256 i = 0; i < 4; ++i) {
            sum = addmod(sum, mulmod(inputs[i], s.ic[i + 1], R), R);
        }
        uint256 known = addmod(mulmod(s.alpha, s.beta, R), mulmod(sum, s.gamma, R), R);
        uint256 rest = addmod(R - s.delta, R - known, R);
        uint256 scalar = mulmod(rest, Field.inverse(s.delta), R);
        (bool ok, bytes memory c) = address(0x0c).staticcall(bytes.concat(s.g1, bytes32(scalar)));
        require(ok && c.length == 128, "the curve's precompile failed");
        return bytes.concat(s.g1, s.b, c);
    }

    function _slice(bytes memory whole, uint256 offset, uint256 length)
        private
        pure
        returns (bytes memory part)
    {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            part[i] = whole[offset + i];
        }
    }
}
