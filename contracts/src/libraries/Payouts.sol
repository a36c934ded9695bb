// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Ledger, TokenEntry} from "../Layout.sol";
import {TokenId} from "../types/Ids.sol";
import {Erc20} from "./Erc20.sol";

/// @dev The vault's call to itself, which makes a token transfer that can be undone as a whole.
interface ITokenSender {
    /// @notice The transfer failed, or took more from the vault than was owed.
    error TransferOutFailed(address token);

    /// @notice Moves `amount` of `token` to `to`. Callable by the vault itself only.
    function sendToken(address token, address to, uint256 amount) external;
}

/// @title What goes out of the vault
/// @dev A recipient or token that fails, burns its gas or answers with a flood of data costs its
///      own payout a deferral and nobody else anything.
library Payouts {
    /// The gas that a recipient of native coins gets.
    uint256 internal constant NATIVE_GAS = 50_000;
    /// The gas that a token transfer with its balance checks gets.
    uint256 internal constant TOKEN_GAS = 200_000;
    /// The gas that must remain beside the allowance: cost of the call itself, and booking a
    /// deferral.
    uint256 internal constant RESERVE_GAS = 120_000;

    /// @notice Pays `amount` to `owner`, or books it as pending; says which.
    /// @dev Deposits that no commit has taken, and claims, cannot be touched: only the rest is
    ///      free.
    function pay(Ledger storage ledger, address owner, TokenId token, uint256 amount)
        internal
        returns (bool paid)
    {
        TokenEntry storage entry = ledger.tokens[token];
        uint256 free = uint256(entry.locked) - entry.pendingTotal - entry.unconsumed;
        if (amount > free) revert IRollup.InsufficientLocked(TokenId.unwrap(token), free, amount);
        // Booked as owed before the call, so that no callee sees coins that are both paid and
        // locked.
        entry.locked -= uint128(amount);
        paid = _send(entry.addr, owner, amount);
        if (!paid) {
            entry.locked += uint128(amount);
            entry.pendingTotal += uint128(amount);
            ledger.pending[owner][token] += amount;
        }
    }

    /// @notice Pays all that is pending for `owner`; fails as a whole if the owner cannot be paid.
    function claim(Ledger storage ledger, address owner, TokenId token)
        internal
        returns (uint256 amount)
    {
        amount = ledger.pending[owner][token];
        if (amount == 0) revert IRollup.NothingToClaim(owner, TokenId.unwrap(token));
        TokenEntry storage entry = ledger.tokens[token];
        ledger.pending[owner][token] = 0;
        entry.pendingTotal -= uint128(amount);
        entry.locked -= uint128(amount);
        // Without an allowance: here the caller pays for this one owner only.
        bool sent = entry.addr == address(0)
            ? _sendNative(owner, amount, gasleft())
            : _sendToken(entry.addr, owner, amount, gasleft());
        if (!sent) revert IRollup.ClaimFailed(owner, TokenId.unwrap(token));
    }

    /// @notice The body of `sendToken`: the vault's balance may fall by at most `amount`.
    function transferChecked(address token, address to, uint256 amount) internal {
        (bool known, uint256 before) = Erc20.balanceOf(token, address(this));
        bool sent = Erc20.tryTransfer(token, to, amount);
        (bool still, uint256 rest) = Erc20.balanceOf(token, address(this));
        if (!known || !sent || !still || rest < before && before - rest > amount) {
            revert ITokenSender.TransferOutFailed(token);
        }
    }

    function _send(address token, address to, uint256 amount) private returns (bool) {
        uint256 allowance = token == address(0) ? NATIVE_GAS : TOKEN_GAS;
        // Otherwise a caller could give too little gas on purpose and have every payout deferred. A
        // call passes on at most 63/64 of what is left.
        uint256 needed = allowance + allowance / 63 + RESERVE_GAS;
        if (gasleft() < needed) revert IRollup.GasTooLow(needed);
        if (token == address(0)) return _sendNative(to, amount, allowance);
        return _sendToken(token, to, amount, allowance);
    }

    function _sendNative(address to, uint256 amount, uint256 allowance) private returns (bool ok) {
        assembly ("memory-safe") {
            // No answer is copied, so its length costs the vault nothing.
            ok := call(allowance, to, amount, 0, 0, 0, 0)
        }
    }

    function _sendToken(address token, address to, uint256 amount, uint256 allowance)
        private
        returns (bool ok)
    {
        bytes memory data = abi.encodeCall(ITokenSender.sendToken, (token, to, amount));
        assembly ("memory-safe") {
            ok := call(allowance, address(), 0, add(data, 32), mload(data), 0, 0)
        }
    }
}
