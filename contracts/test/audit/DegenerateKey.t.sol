// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Base} from "../base/Base.sol";
import {Prover} from "../base/Prover.sol";

/// @dev Fault 8: keys with gamma = beta or delta = beta were accepted, with which every statement can
///      be forged: A = alpha + L, B = beta, C = 0 and A = L, B = gamma, C = -alpha.
contract DegenerateKeyTest is Base {
    function testRefusesEqualPointsUpToTheSign() public {
        // Where -beta, -gamma and -delta begin.
        uint256[3] memory places = [uint256(128), 384, 640];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = 0; j < 3; ++j) {
                if (i == j) continue;
                bytes memory point = _cut(Prover.key(), places[i], 256);
                uint256 part = 1 + (i > j ? i : j);
                _refused(_with(Prover.key(), places[j], point), part);
                _refused(_with(Prover.key(), places[j], _negate(point)), part);
            }
        }
    }

    function testRefusesTheGenerator() public {
        bytes memory generator = vm.parseJsonBytes(vm.readFile("test/vectors/groth16.json"), ".g2");
        for (uint256 i = 0; i < 3; ++i) {
            _refused(_with(Prover.key(), 128 + 256 * i, generator), i + 1);
            _refused(_with(Prover.key(), 128 + 256 * i, _negate(generator)), i + 1);
        }
    }

    function _refused(bytes memory key, uint256 part) private {
        vm.expectRevert(abi.encodeWithSelector(IVerifier.DegenerateKey.selector, part));
        this.make(key);
    }

    function make(bytes memory key) external {
        deploy("Groth16Verifier", abi.encode(key));
    }

    /// (x, y) to (x, p - y), both coordinates of y apart.
    function _negate(bytes memory point) private pure returns (bytes memory) {
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
        returns (bytes memory copy)
    {
        copy = bytes.concat(whole);
        for (uint256 i = 0; i < part.length; ++i) {
            copy[from + i] = part[i];
        }
    }
}
