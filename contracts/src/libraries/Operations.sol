// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Keys, Ledger, Queue, TokenEntry} from "../Layout.sol";
import {ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {Deposits} from "./Deposits.sol";
import {KeyChanges} from "./KeyChanges.sol";
import {ChangePubKeyOp, Pubdata, WithdrawOp} from "./Pubdata.sol";

/// @title Holds the operations of a commit against this chain's queue, tokens and keys
library Operations {
    using Deposits for Queue;
    using KeyChanges for Keys;

    /// @notice Takes the operations in `words`, all of chain `self`; gives the queue's cursor after
    ///         them.
    /// @dev Deposits are consumed. Withdrawals and key changes leave no trace but the content.
    function take(
        Queue storage queue,
        Ledger storage ledger,
        Keys storage keys,
        ChainId self,
        SerialId cursor,
        bytes32[] calldata words,
        bytes[] calldata witnesses
    ) internal returns (SerialId) {
        uint256 used = 0;
        for (uint256 i = 0; i < words.length;) {
            (uint8 op, ChainId target, uint256 length) = Pubdata.header(words, i);
            if (target != self) revert IRollup.ForeignOperation(i, ChainId.unwrap(target));
            if (op == Pubdata.DEPOSIT) {
                cursor = queue.consume(ledger, cursor, Pubdata.readDeposit(words, i), i);
            } else if (op == Pubdata.WITHDRAW) {
                _checkWithdraw(ledger, Pubdata.readWithdraw(words, i), i);
            } else {
                if (used == witnesses.length) {
                    revert IRollup.WitnessCount(used + 1, witnesses.length);
                }
                _checkKeyChange(keys, Pubdata.readChangePubKey(words, i), witnesses[used++], i);
            }
            i += length;
        }
        if (used != witnesses.length) revert IRollup.WitnessCount(used, witnesses.length);
        return cursor;
    }

    /// The proof knows nothing of this chain's tokens, so the registry is asked here.
    function _checkWithdraw(Ledger storage ledger, WithdrawOp memory op, uint256 i) private view {
        TokenEntry storage entry = ledger.tokens[op.token];
        if (!entry.listed) revert IRollup.UnknownToken(TokenId.unwrap(op.token));
        uint8 scale = Deposits.scale(entry);
        if (op.scale != scale) revert IRollup.BadScale(i, op.scale, scale);
        Pubdata.toAddress(op.owner, i);
    }

    function _checkKeyChange(
        Keys storage keys,
        ChangePubKeyOp memory op,
        bytes calldata witness,
        uint256 i
    ) private view {
        address owner = Pubdata.toAddress(op.owner, i);
        keys.check(KeyChanges.domainSeparator(), op, owner, witness, i);
    }
}
