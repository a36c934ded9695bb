// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ask} from "./Ask.sol";

/// @dev The parts of ERC-20 that the vault uses.
interface IErc20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
    function decimals() external view returns (uint8);
}

/// @title Calls to tokens that may answer nothing, too much, or lies
/// @dev At most 32 bytes of an answer are copied. An address without code is no token.
library Erc20 {
    /// @notice Whether the token says that it moved `amount` to `to`: by true, or by answering
    ///         nothing.
    function tryTransfer(address token, address to, uint256 amount) internal returns (bool) {
        return _succeeds(token, abi.encodeCall(IErc20.transfer, (to, amount)));
    }

    /// @notice Whether the token says that it moved `amount` of `from`, who approved it, to `to`.
    function tryTransferFrom(address token, address from, address to, uint256 amount)
        internal
        returns (bool)
    {
        return _succeeds(token, abi.encodeCall(IErc20.transferFrom, (from, to, amount)));
    }

    /// @notice A balance, and whether the token answered.
    function balanceOf(address token, address owner) internal view returns (bool, uint256) {
        return Ask.word(token, abi.encodeCall(IErc20.balanceOf, (owner)));
    }

    /// @notice The token's own decimals, and whether the token answered.
    function decimals(address token) internal view returns (bool, uint256) {
        return Ask.word(token, abi.encodeCall(IErc20.decimals, ()));
    }

    function _succeeds(address token, bytes memory data) private returns (bool) {
        if (token.code.length == 0) return false;
        bool ok;
        uint256 size;
        uint256 answer;
        assembly ("memory-safe") {
            ok := call(gas(), token, 0, add(data, 32), mload(data), 0, 32)
            // A statement of its own: Yul evaluates arguments from right to left.
            size := returndatasize()
            answer := mload(0)
        }
        return ok && (size == 0 || (size >= 32 && answer == 1));
    }
}
