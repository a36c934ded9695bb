// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Ledger, TokenEntry} from "../Layout.sol";
import {BlockNumber, TokenId} from "../types/Ids.sol";
import {Erc20} from "./Erc20.sol";
import {Pubdata} from "./Pubdata.sol";

/// @dev The vault's call to itself, which makes a token transfer that can be undone as a whole.
interface ITokenSender {
    /// @notice The transfer failed, or took more or less from the vault than was owed.
    error TransferOutFailed(address token);

    /// @notice Moves `amount` of `token` to `to`. Callable by the vault itself only.
    function sendToken(address token, address to, uint256 amount) external;
}

/// @title What goes out of the vault
/// @dev A recipient or token that fails, lies, burns its gas or answers with a flood of data costs
///      its own payout a deferral and nobody else anything.
library Payouts {
    /// The gas that a recipient of native coins gets.
    uint256 internal constant NATIVE_GAS = 50_000;
    /// The gas that a token transfer with its balance checks gets.
    uint256 internal constant TOKEN_GAS = 200_000;
    /// The gas that must remain beside the allowance: cost of the call itself, and booking a
    /// deferral.
    uint256 internal constant RESERVE_GAS = 120_000;

    // The worst case, of which GAS_* are the parts: every payout is of a token of its own that burns
    // its allowance, and is deferred to an owner without a claim before. Calldata counts as 31 bytes
    // a word that are not zero, at 16 a byte.
    /// A transaction, its dispatch, and the reserve that the last payout must find untouched.
    uint256 internal constant GAS_BASE = 21_000 + 20_000 + TOKEN_GAS + TOKEN_GAS / 63 + RESERVE_GAS;
    /// One portion: its record, its hashes, its event, up to 128 hashes of other chunks.
    uint256 internal constant GAS_PORTION = 120_000;
    /// One withdrawal.
    uint256 internal constant GAS_WITHDRAWAL = TOKEN_GAS + 70_000;

    /// @notice Makes all payouts in `words`, which hold withdrawals and nothing else.
    function payAll(Ledger storage ledger, BlockNumber number, bytes32[] calldata words) internal {
        if (words.length == 0) return;
        unchecked {
            for (uint256 i = 0; i < words.length; i += 2) {
                // The words are those that passed `commit`. An empty withdrawal moves nothing, and
                // some tokens refuse to move nothing.
                uint256 word = Pubdata.load(words, i);
                if (Pubdata.amount(word) == 0) continue;
                _pay(ledger, number, word, Pubdata.receiver(words, i));
            }
        }
    }

    /// @notice Pays all that is pending for `owner` to `to`; fails as a whole if that cannot be.
    function claim(Ledger storage ledger, address owner, TokenId token, address to) internal {
        uint256 amount = ledger.pending[owner][token];
        if (amount == 0) revert IRollup.NothingToClaim(owner, TokenId.unwrap(token));
        TokenEntry storage entry = ledger.tokens[token];
        ledger.pending[owner][token] = 0;
        entry.pendingTotal -= uint128(amount);
        entry.locked -= uint128(amount);
        // Without an allowance: here the caller pays for this one owner only.
        bool sent = entry.addr == address(0)
            ? _sendNative(to, amount, gasleft())
            : _sendToken(entry.addr, to, amount, gasleft());
        if (!sent) revert IRollup.ClaimFailed(owner, TokenId.unwrap(token));
        emit IRollup.Claimed(owner, TokenId.unwrap(token), to, amount);
    }

    /// @notice The body of `sendToken`: the vault's balance must fall by exactly `amount`. Less
    ///         would wipe a debt that nobody was paid; more would eat what is others'.
    function transferChecked(address token, address to, uint256 amount) internal {
        (bool known, uint256 before) = Erc20.balanceOf(token, address(this));
        bool sent = Erc20.tryTransfer(token, to, amount);
        (bool still, uint256 rest) = Erc20.balanceOf(token, address(this));
        if (!known || !sent || !still || rest > before || before - rest != amount) {
            revert ITokenSender.TransferOutFailed(token);
        }
    }

    /// Makes the payout of the Withdraw in `word`, or books it as pending. Open deposits and claims
    /// cannot be touched: only the rest is free.
    function _pay(Ledger storage ledger, BlockNumber number, uint256 word, address owner) private {
        (TokenId token, uint128 amount) = (Pubdata.token(word), Pubdata.amount(word));
        TokenEntry storage entry = ledger.tokens[token];
        (uint32 n, uint16 id) = (BlockNumber.unwrap(number), TokenId.unwrap(token));
        uint256 free = uint256(entry.locked) - entry.pendingTotal - entry.unconsumed;
        if (amount > free) revert IRollup.InsufficientLocked(id, free, amount);
        // Booked as paid before the call, so that no callee sees coins that are both paid and
        // locked.
        entry.locked -= amount;
        if (_send(entry.addr, owner, amount)) {
            emit IRollup.Paid(n, id, owner, amount);
        } else {
            entry.locked += amount;
            entry.pendingTotal += amount;
            ledger.pending[owner][token] += amount;
            emit IRollup.PayoutDeferred(n, id, owner, amount);
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
