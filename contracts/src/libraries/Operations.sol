// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "../interfaces/IKeyRecorder.sol";
import {IRollup, OperationsCommit} from "../interfaces/IRollup.sol";
import {Ledger, Queue, TokenEntry} from "../Layout.sol";
import {ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {Contents} from "./Contents.sol";
import {Deposits} from "./Deposits.sol";
import {KeyChanges} from "./KeyChanges.sol";
import {ChangePubKeyOp, DepositOp, Pubdata, WithdrawOp} from "./Pubdata.sol";

/// @notice Where a walk over operations stands, and what it has not written yet.
struct Walk {
    /// The next open deposit.
    SerialId cursor;
    uint256 payers;
    uint256 witnesses;
    /// The token of the last operation; 0 before the first.
    TokenId token;
    /// Its decimals that are missing to 18.
    uint8 scale;
    /// Deposits of this token that were taken and are not written yet, 18 decimals.
    uint256 taken;
}

/// @title Holds the operations of a commit against this chain's queue, tokens and keys
library Operations {
    using Deposits for Queue;

    /// @notice The content of `words`, all of which must be operations of chain `self`.
    function contentOf(bytes32[] calldata words, ChainId self) internal pure returns (bytes32) {
        if (words.length == 0) revert IRollup.NoWords();
        uint8 id = ChainId.unwrap(self);
        (uint256 fault,, bytes32[64] memory contents) =
            Contents.split(words, 0, uint64(1) << id);
        if (fault != words.length) {
            (, ChainId target,) = Pubdata.header(words, fault);
            revert IRollup.ForeignOperation(fault, ChainId.unwrap(target));
        }
        return contents[id];
    }

    /// @notice Takes the operations of a block, whose form is checked; gives the queue's cursor
    ///         after them.
    /// @dev Deposits that are done leave `unconsumed`; refused ones stay in it until they are
    ///      refunded. Withdrawals and key changes leave no trace but the content.
    function take(
        Queue storage queue,
        Ledger storage ledger,
        IKeyRecorder recorder,
        ChainId self,
        SerialId cursor,
        OperationsCommit calldata info
    ) internal returns (SerialId) {
        Walk memory walk;
        walk.cursor = cursor;
        bytes32[] calldata words = info.words;
        for (uint256 i = 0; i < words.length;) {
            uint256 op = uint256(words[i]) >> 240;
            if (op == Pubdata.WITHDRAW) {
                _checkWithdraw(ledger, walk, Pubdata.readWithdraw(words, i), i);
                i += 2;
            } else if (op == Pubdata.DEPOSIT) {
                _takeDeposit(queue, ledger, walk, info, i);
                i += 2;
            } else {
                if (walk.witnesses == info.keyWitnesses.length) {
                    revert IRollup.WitnessCount(walk.witnesses + 1, walk.witnesses);
                }
                bytes calldata witness = info.keyWitnesses[walk.witnesses++];
                KeyChanges.check(recorder, self, Pubdata.readChangePubKey(words, i), witness, i);
                i += 4;
            }
        }
        _write(ledger, walk);
        if (walk.witnesses != info.keyWitnesses.length) {
            revert IRollup.WitnessCount(walk.witnesses, info.keyWitnesses.length);
        }
        if (walk.payers != info.payers.length) {
            revert IRollup.PayerCount(walk.payers, info.payers.length);
        }
        return walk.cursor;
    }

    /// @notice Puts the deposits that a commit took back into the queue's books.
    function restore(Ledger storage ledger, bytes32[] calldata words) internal {
        for (uint256 i = 0; i < words.length;) {
            uint256 op = uint256(words[i]) >> 240;
            if (op == Pubdata.DEPOSIT) {
                DepositOp memory deposit = Pubdata.readDeposit(words, i);
                if (deposit.outcome == Pubdata.DONE) {
                    TokenEntry storage entry = ledger.tokens[deposit.token];
                    entry.unconsumed += uint128(deposit.amount / Deposits.unit(entry));
                }
            }
            i += op == Pubdata.CHANGE_PUB_KEY ? 4 : 2;
        }
    }

    /// @notice Refunds the refused deposits among those of `words` that have the places from `first`
    ///         on; the block's first deposit has the serial `cursor`.
    function refund(
        Queue storage queue,
        Ledger storage ledger,
        SerialId cursor,
        bytes32[] calldata words,
        uint256 first,
        address[] calldata payers
    ) internal {
        uint256 place = 0;
        for (uint256 i = 0; i < words.length && place < first + payers.length;) {
            uint256 op = uint256(words[i]) >> 240;
            if (op == Pubdata.DEPOSIT) {
                if (place >= first) {
                    SerialId serial = SerialId.wrap(uint64(SerialId.unwrap(cursor) + place));
                    _refund(queue, ledger, serial, words, payers[place - first], i);
                }
                ++place;
            }
            i += op == Pubdata.CHANGE_PUB_KEY ? 4 : 2;
        }
    }

    function _refund(
        Queue storage queue,
        Ledger storage ledger,
        SerialId serial,
        bytes32[] calldata words,
        address payer,
        uint256 i
    ) private {
        DepositOp memory op = Pubdata.readDeposit(words, i);
        if (op.outcome == Pubdata.DONE) return;
        uint128 raw = queue.refund(ledger, serial, op, payer, i);
        if (raw == 0) return;
        emit IRollup.DepositRefunded(
            SerialId.unwrap(serial), TokenId.unwrap(op.token), payer, raw
        );
    }

    function _takeDeposit(
        Queue storage queue,
        Ledger storage ledger,
        Walk memory walk,
        OperationsCommit calldata info,
        uint256 i
    ) private {
        if (walk.payers == info.payers.length) {
            revert IRollup.PayerCount(walk.payers + 1, walk.payers);
        }
        DepositOp memory op = Pubdata.readDeposit(info.words, i);
        queue.check(walk.cursor, op, info.payers[walk.payers++], i);
        walk.cursor = SerialId.wrap(SerialId.unwrap(walk.cursor) + 1);
        if (op.outcome != Pubdata.DONE) return;
        if (op.token != walk.token) {
            _write(ledger, walk);
            walk.token = op.token;
            walk.scale = Deposits.scale(ledger.tokens[op.token]);
        }
        walk.taken += op.amount;
    }

    /// The proof knows nothing of this chain's tokens, so the registry is asked here.
    function _checkWithdraw(Ledger storage ledger, Walk memory walk, WithdrawOp memory op, uint256 i)
        private
    {
        if (op.token != walk.token) {
            _write(ledger, walk);
            TokenEntry storage entry = ledger.tokens[op.token];
            if (!entry.listed) revert IRollup.UnknownToken(TokenId.unwrap(op.token));
            walk.token = op.token;
            walk.scale = Deposits.scale(entry);
        }
        if (op.scale != walk.scale) revert IRollup.BadScale(i, op.scale, walk.scale);
        Pubdata.toAddress(op.owner, i);
    }

    /// Writes what was taken of the walk's token.
    function _write(Ledger storage ledger, Walk memory walk) private {
        if (walk.taken == 0) return;
        // Exact: each amount was made by the inverse product when the deposit was appended.
        ledger.tokens[walk.token].unconsumed -= uint128(walk.taken / 10 ** walk.scale);
        walk.taken = 0;
    }
}
