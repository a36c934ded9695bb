// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Ledger, Queue, QueueEntry, TokenEntry} from "../Layout.sol";
import {SerialId, TokenId} from "../types/Ids.sol";
import {DepositOp} from "./Pubdata.sol";

/// @title The deposit queue: what comes in, and what commits take out of it
library Deposits {
    /// The cap on all deposits of a token together, with 18 decimals.
    uint256 internal constant CAP = 1 << 120;
    uint8 internal constant SUB_ACCOUNTS = 32;
    /// The decimals of amounts inside the rollup.
    uint8 internal constant DECIMALS = 18;

    /// @notice Books `raw` units that arrived and appends them to the queue.
    function append(
        Queue storage queue,
        TokenEntry storage entry,
        TokenId token,
        uint256 raw,
        bytes32 owner,
        uint8 subAccount
    ) internal returns (SerialId serial, uint128 amount) {
        if (owner == 0) revert IRollup.ZeroOwner();
        if (subAccount >= SUB_ACCOUNTS) revert IRollup.BadSubAccount(subAccount);
        if (raw == 0) revert IRollup.ZeroAmount();
        // Above the cap raw is refused first, so the product below stays under 2^120 * 10^18.
        if (raw > CAP) revert IRollup.DepositCap(TokenId.unwrap(token), raw);
        uint256 scaled = raw * unit(entry);
        uint256 total = entry.deposited + scaled;
        if (total > CAP) revert IRollup.DepositCap(TokenId.unwrap(token), total);
        amount = uint128(scaled);
        entry.deposited = uint128(total);
        entry.locked += uint128(raw);
        entry.unconsumed += uint128(raw);
        serial = queue.tail;
        queue.tail = _next(serial);
        bytes32 hash = hashOf(DepositOp(subAccount, token, amount, owner));
        queue.entries[serial] = QueueEntry(hash, uint64(block.timestamp), token, amount);
    }

    /// @notice Takes the deposit at `cursor` out of the queue, which must be `op`; gives the next
    ///         cursor.
    function consume(
        Queue storage queue,
        Ledger storage ledger,
        SerialId cursor,
        DepositOp memory op,
        uint256 i
    ) internal returns (SerialId) {
        // Beyond the tail the stored hash is zero, which no deposit hashes to.
        if (queue.entries[cursor].hash != hashOf(op)) {
            revert IRollup.DepositMismatch(i, SerialId.unwrap(cursor));
        }
        TokenEntry storage entry = ledger.tokens[op.token];
        // Exact, because the amount was made by the inverse product when the deposit was appended.
        entry.unconsumed -= uint128(op.amount / unit(entry));
        return _next(cursor);
    }

    /// @notice Puts the deposits from `from` to below `to` back into the queue.
    function restore(Queue storage queue, Ledger storage ledger, SerialId from, SerialId to)
        internal
    {
        for (uint64 serial = SerialId.unwrap(from); serial < SerialId.unwrap(to); ++serial) {
            QueueEntry storage queued = queue.entries[SerialId.wrap(serial)];
            TokenEntry storage entry = ledger.tokens[queued.token];
            entry.unconsumed += uint128(queued.amount / unit(entry));
        }
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

    function hashOf(DepositOp memory op) internal pure returns (bytes32) {
        return keccak256(abi.encode(op.token, op.subAccount, op.amount, op.owner));
    }

    function _next(SerialId serial) private pure returns (SerialId) {
        return SerialId.wrap(SerialId.unwrap(serial) + 1);
    }
}
