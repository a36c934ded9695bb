// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "../interfaces/IKeyRecorder.sol";
import {IRollup, OperationsCommit} from "../interfaces/IRollup.sol";
import {Ledger, Queue, TokenEntry} from "../Layout.sol";
import {ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {Contents} from "./Contents.sol";
import {Deposits} from "./Deposits.sol";
import {Pubdata} from "./Pubdata.sol";

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
        (uint256 fault,, bytes32[64] memory contents) = Contents.split(words, 0, uint64(1 << id));
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
        SerialId cursor,
        OperationsCommit calldata info
    ) internal returns (SerialId) {
        Walk memory walk;
        walk.cursor = cursor;
        bytes32[] calldata words = info.words;
        unchecked {
            for (uint256 i = 0; i < words.length; i += 2) {
                uint256 word = Pubdata.load(words, i);
                uint256 op = Pubdata.code(word);
                if (op == Pubdata.CHANGE_PUB_KEY) {
                    _checkKey(recorder, words, i, info.keyWitnesses, walk.witnesses++);
                    i += 2;
                    continue;
                }
                if (op == Pubdata.DEPOSIT) {
                    _takeDeposit(queue, walk, words, i, info.payers);
                    if (Pubdata.refused(word, i)) continue;
                }
                // The proof knows nothing of this chain's tokens, so the registry is asked.
                TokenId token = Pubdata.token(word);
                if (token != walk.token || TokenId.unwrap(token) == 0) {
                    _write(ledger, walk);
                    TokenEntry storage entry = ledger.tokens[token];
                    if (!entry.listed) revert IRollup.UnknownToken(TokenId.unwrap(token));
                    (walk.token, walk.scale) = (token, Deposits.DECIMALS - entry.decimals);
                }
                if (op == Pubdata.DEPOSIT) {
                    walk.taken += Pubdata.amount(word);
                } else {
                    uint8 scale = Pubdata.scale(word);
                    if (scale != walk.scale) revert IRollup.BadScale(i, scale, walk.scale);
                    Pubdata.receiver(words, i);
                }
            }
        }
        _write(ledger, walk);
        (uint256 witnesses, uint256 payers) = (info.keyWitnesses.length, info.payers.length);
        if (walk.witnesses == witnesses && walk.payers == payers) return walk.cursor;
        if (walk.payers != payers) revert IRollup.PayerCount(walk.payers, payers);
        revert IRollup.WitnessCount(walk.witnesses, witnesses);
    }

    /// @notice Puts the deposits that a commit took back into the queue's books.
    function restore(Ledger storage ledger, bytes32[] calldata words) internal {
        unchecked {
            for (uint256 i = 0; i < words.length; i += 2) {
                uint256 word = Pubdata.load(words, i);
                if (Pubdata.code(word) == Pubdata.CHANGE_PUB_KEY) i += 2;
                if (Pubdata.code(word) != Pubdata.DEPOSIT || Pubdata.refused(word, i)) continue;
                TokenEntry storage entry = ledger.tokens[Pubdata.token(word)];
                entry.unconsumed += uint128(Pubdata.amount(word) / Deposits.unit(entry));
            }
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
        unchecked {
            // Places before `first` wrap around to numbers above every length.
            uint256 place = 0 - first;
            for (uint256 i = 0; i < words.length; i += 2) {
                uint256 word = Pubdata.load(words, i);
                if (Pubdata.code(word) == Pubdata.CHANGE_PUB_KEY) i += 2;
                if (Pubdata.code(word) != Pubdata.DEPOSIT) continue;
                if (place < payers.length && Pubdata.refused(word, i)) {
                    uint64 serial = SerialId.unwrap(cursor) + uint64(first + place);
                    _refund(queue, ledger, serial, words, i, payers[place]);
                }
                ++place;
            }
        }
    }

    function _refund(
        Queue storage queue,
        Ledger storage ledger,
        uint64 serial,
        bytes32[] calldata words,
        uint256 i,
        address payer
    ) private {
        uint128 raw = queue.refund(ledger, SerialId.wrap(serial), words, i, payer);
        uint16 token = TokenId.unwrap(Pubdata.token(Pubdata.load(words, i)));
        if (raw != 0) emit IRollup.DepositRefunded(serial, token, payer, raw);
    }

    function _takeDeposit(
        Queue storage queue,
        Walk memory walk,
        bytes32[] calldata words,
        uint256 i,
        address[] calldata payers
    ) private view {
        unchecked {
            uint256 used = walk.payers++;
            if (used >= payers.length) revert IRollup.PayerCount(used + 1, payers.length);
            queue.check(walk.cursor, words, i, payers[used]);
            walk.cursor = SerialId.wrap(SerialId.unwrap(walk.cursor) + 1);
        }
    }

    function _checkKey(
        IKeyRecorder recorder,
        bytes32[] calldata words,
        uint256 i,
        bytes[] calldata witnesses,
        uint256 used
    ) private view {
        if (used >= witnesses.length) {
            revert IRollup.WitnessCount(used + 1, witnesses.length);
        }
        address owner = Pubdata.keyOwner(words, i);
        recorder.check(words[i:i + 4], owner, witnesses[used], i);
    }

    /// Writes what was taken of the walk's token.
    function _write(Ledger storage ledger, Walk memory walk) private {
        if (walk.taken == 0) return;
        // Exact: each amount was made by the inverse product when the deposit was appended.
        uint256 raw = walk.taken / 10 ** walk.scale;
        ledger.tokens[walk.token].unconsumed -= uint128(raw);
        walk.taken = 0;
    }
}
