// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockNumber, ChainId, SerialId, ShapeId, TokenId} from "../../src/types/Ids.sol";
import {Vm} from "./Vm.sol";

/// @dev What every test contract starts from: cheat codes, deployment of the committed artifacts,
///      short casts.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bool public constant IS_TEST = true;

    /// Deploys artifacts/`name`.json; a revert of the constructor is passed on.
    function deploy(string memory name, bytes memory arguments) internal returns (address made) {
        bytes memory creation = bytes.concat(creationCode(name), arguments);
        assembly {
            made := create(0, add(creation, 32), mload(creation))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function creationCode(string memory name) internal view returns (bytes memory) {
        string memory path = string.concat("artifacts/", name, ".json");
        return vm.parseJsonBytes(vm.readFile(path), ".bytecode");
    }

    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return high - low == type(uint256).max ? value : low + value % (high - low + 1);
    }

    function padded(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function C(uint256 id) internal pure returns (ChainId) {
        return ChainId.wrap(uint8(id));
    }

    function T(uint256 id) internal pure returns (TokenId) {
        return TokenId.wrap(uint16(id));
    }

    function N(uint256 number) internal pure returns (BlockNumber) {
        return BlockNumber.wrap(uint32(number));
    }

    function S(uint256 shape) internal pure returns (ShapeId) {
        return ShapeId.wrap(uint16(shape));
    }

    function serial(uint256 number) internal pure returns (SerialId) {
        return SerialId.wrap(uint64(number));
    }

    function eq(uint256 a, uint256 b, string memory what) internal pure {
        vm.assertEq(a, b, what);
    }

    function eq(bytes32 a, bytes32 b, string memory what) internal pure {
        vm.assertEq(a, b, what);
    }

    function eq(address a, address b, string memory what) internal pure {
        vm.assertEq(a, b, what);
    }
}
