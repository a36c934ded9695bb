// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Ledger, Mark, Queue, TokenEntry} from "../Layout.sol";
import {ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {DepositOp, Pubdata} from "./Pubdata.sol";

/// @title The queue: what comes in, and what commits take out of it
/// @dev An entry is one word: 26 bytes of the hash of what was queued, 5 bytes time, 1 byte state.
///      What it was is not stored: whoever settles it shows it again. A commit does not write
///      entries, it moves the cursor; only a refund changes one, so that it happens once.
library Deposits {
    /// The most that may be owed in a token, with 18 decimals.
    uint256 internal constant CAP = 1 << 120;
    uint8 internal constant SUB_ACCOUNTS = 32;
    uint8 internal constant MAX_HOME = 63;
    /// The decimals of amounts inside the rollup.
    uint8 internal constant DECIMALS = 18;

    /// States of an entry; the first two are the kind of what waits. Kind 2 is kept for the forced
    /// withdrawal.
    uint8 internal constant DEPOSIT = 1;
    uint8 internal constant REFUNDED = 3;
    /// The bits of time and state.
    uint256 private constant LOW = (1 << 48) - 1;

    /// @notice Refuses an owner that can never use an account on this or any other chain.
    /// @param self The number of this chain, which has EVM addresses.
    function checkOwner(Ledger storage ledger, ChainId self, bytes32 owner, uint8 home)
        internal
        view
    {
        if (owner == 0) revert IRollup.ZeroOwner();
        if (home > MAX_HOME) revert IRollup.BadHome(home);
        // What is an address, and whose it is, is known of this chain only.
        if (home != 0 && home != ChainId.unwrap(self)) return;
        if (uint256(owner) >> 160 != 0) revert IRollup.OwnerNotAnAddress(owner);
        Mark storage mark = ledger.marks[address(uint160(uint256(owner)))];
        if (mark.own || TokenId.unwrap(mark.token) != 0) revert IRollup.ForbiddenOwner(owner);
    }

    /// @notice Books `raw` units that arrived and appends them to the queue.
    /// @param op Its amount is filled in here.
    function append(
        Queue storage queue,
        TokenEntry storage entry,
        DepositOp memory op,
        uint256 raw,
        address payer
    ) internal returns (SerialId serial) {
        if (op.subAccount >= SUB_ACCOUNTS) revert IRollup.BadSubAccount(op.subAccount);
        uint256 least = entry.least;
        if (raw < least) revert IRollup.BelowLeast(least, raw);
        // Above the cap raw is refused first, so the product below stays under 2^121 * 10^18.
        if (raw > CAP) revert IRollup.DepositCap(TokenId.unwrap(op.token), raw);
        uint256 unit_ = unit(entry);
        uint256 owed = entry.locked + raw;
        if (owed * unit_ > CAP) revert IRollup.DepositCap(TokenId.unwrap(op.token), owed * unit_);
        op.amount = uint128(raw * unit_);
        entry.locked = uint128(owed);
        entry.unconsumed += uint128(raw);
        serial = queue.tail;
        queue.tail = SerialId.wrap(SerialId.unwrap(serial) + 1);
        uint256 hash = _hash(op, payer) & ~LOW;
        queue.entries[serial] = hash | block.timestamp << 8 | DEPOSIT;
    }

    /// @notice Refuses `op`, read at word `i`, unless it is the deposit at `serial` and `payer` paid
    ///         it; gives its state.
    function check(
        Queue storage queue,
        SerialId serial,
        DepositOp memory op,
        address payer,
        uint256 i
    ) internal view returns (uint8 state) {
        // Beyond the tail the entry is zero, and of what it could be the state says that it is not.
        uint256 entry = queue.entries[serial];
        state = uint8(entry);
        if ((entry ^ _hash(op, payer)) & ~LOW != 0 || state == 0) {
            revert IRollup.DepositMismatch(i, SerialId.unwrap(serial));
        }
    }

    /// @notice Turns the refused deposit at `serial` into a claim of its payer; once.
    /// @return raw What was booked; 0 if it was refunded before.
    function refund(
        Queue storage queue,
        Ledger storage ledger,
        SerialId serial,
        DepositOp memory op,
        address payer,
        uint256 i
    ) internal returns (uint128 raw) {
        if (check(queue, serial, op, payer, i) == REFUNDED) return 0;
        queue.entries[serial] = queue.entries[serial] ^ DEPOSIT ^ REFUNDED;
        TokenEntry storage entry = ledger.tokens[op.token];
        // Exact, because the amount was made by the inverse product when the deposit was appended.
        raw = uint128(op.amount / unit(entry));
        entry.unconsumed -= raw;
        entry.pendingTotal += raw;
        ledger.pending[payer][op.token] += raw;
    }

    /// @notice How many 18-decimal units one raw unit is.
    function unit(TokenEntry storage entry) internal view returns (uint256) {
        return 10 ** scale(entry);
    }

    /// @notice How many of the 18 decimals the token does not have.
    function scale(TokenEntry storage entry) internal view returns (uint8) {
        // At most 18 decimals are registered.
        return DECIMALS - entry.decimals;
    }

    /// keccak256 of kind, token, sub-account, home, amount, owner, payer and sender; who sends a
    /// deposit is its payer.
    function _hash(DepositOp memory op, address payer) private pure returns (uint256) {
        return uint256(
            keccak256(
                abi.encode(
                    DEPOSIT, op.token, op.subAccount, op.home, op.amount, op.owner, payer, payer
                )
            )
        );
    }
}
