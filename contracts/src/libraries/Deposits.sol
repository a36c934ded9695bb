// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Ledger, Mark, Queue, TokenEntry} from "../Layout.sol";
import {ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {Pubdata} from "./Pubdata.sol";

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

    /// States of an entry; the first is the kind of what waits. 2 is kept for the kind of a forced
    /// withdrawal.
    uint256 internal constant DEPOSIT = 1;
    uint256 internal constant REFUNDED = 3;
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

    /// @notice Books `raw` units that arrived from the caller and appends them to the queue.
    /// @return serial Its place.
    /// @return amount With 18 decimals.
    function append(
        Queue storage queue,
        TokenEntry storage entry,
        TokenId token,
        uint256 raw,
        bytes32 owner,
        uint8 home,
        uint8 subAccount
    ) internal returns (SerialId serial, uint128 amount) {
        unchecked {
            if (subAccount >= SUB_ACCOUNTS) revert IRollup.BadSubAccount(subAccount);
            if (raw < entry.least) revert IRollup.BelowLeast(entry.least, raw);
            // Above the cap raw is refused first, so the products below stay under 2^121 * 10^18.
            if (raw > CAP) revert IRollup.DepositCap(TokenId.unwrap(token), raw);
            uint256 unit_ = unit(entry);
            uint256 owed = entry.locked + raw;
            if (owed * unit_ > CAP) {
                revert IRollup.DepositCap(TokenId.unwrap(token), owed * unit_);
            }
            amount = uint128(raw * unit_);
            entry.locked = uint128(owed);
            entry.unconsumed += uint128(raw);
            serial = queue.tail;
            queue.tail = SerialId.wrap(SerialId.unwrap(serial) + 1);
        }
        // The fields of a Deposit's first word that the queue knows.
        uint256 word = uint256(subAccount) << 200 | uint256(TokenId.unwrap(token)) << 184
            | uint256(amount) << 56 | uint256(uint8(owner[0])) << 48 | uint256(home) << 40;
        uint256 hash = _hash(word, uint256(owner) & (type(uint256).max >> 8), msg.sender);
        queue.entries[serial] = hash | block.timestamp << 8 | DEPOSIT;
    }

    /// @notice Refuses the Deposit at word `i` unless it is the one at `serial` and `payer` paid it;
    ///         gives its state.
    function check(
        Queue storage queue,
        SerialId serial,
        bytes32[] calldata words,
        uint256 i,
        address payer
    ) internal view returns (uint256 state) {
        unchecked {
            uint256 entry = queue.entries[serial];
            uint256 low = Pubdata.load(words, i + 1);
            state = uint8(entry);
            // Beyond the tail the entry is zero, and no deposit has that state.
            bool same = (entry ^ _hash(Pubdata.load(words, i), low, payer)) & ~LOW == 0;
            if (!same || state == 0 || low >> 248 != 0) {
                revert IRollup.DepositMismatch(i, SerialId.unwrap(serial));
            }
        }
    }

    /// @notice Turns the refused deposit at `serial`, the Deposit at word `i`, into a claim of its
    ///         payer; once.
    /// @return raw What was booked; 0 if it was refunded before.
    function refund(
        Queue storage queue,
        Ledger storage ledger,
        SerialId serial,
        bytes32[] calldata words,
        uint256 i,
        address payer
    ) internal returns (uint128 raw) {
        if (check(queue, serial, words, i, payer) == REFUNDED) return 0;
        queue.entries[serial] ^= DEPOSIT ^ REFUNDED;
        uint256 word = Pubdata.load(words, i);
        TokenEntry storage entry = ledger.tokens[Pubdata.token(word)];
        // Exact, because the amount was made by the inverse product when the deposit was appended.
        raw = uint128(Pubdata.amount(word) / unit(entry));
        entry.unconsumed -= raw;
        entry.pendingTotal += raw;
        ledger.pending[payer][Pubdata.token(word)] += raw;
    }

    /// @notice How many 18-decimal units one raw unit is.
    function unit(TokenEntry storage entry) internal view returns (uint256) {
        unchecked {
            // At most 18 decimals are registered.
            return 10 ** (DECIMALS - entry.decimals);
        }
    }

    /// keccak256(abi.encode(kind, token, subAccount, home, amount, owner, payer, sender)) without
    /// its last six bytes, from a Deposit's words; who sends a deposit is its payer.
    function _hash(uint256 word, uint256 low, address payer) private pure returns (uint256 hash) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, 1)
            mstore(add(buffer, 32), and(shr(184, word), 0xffff))
            mstore(add(buffer, 64), byte(6, word))
            mstore(add(buffer, 96), byte(26, word))
            mstore(add(buffer, 128), and(shr(56, word), 0xffffffffffffffffffffffffffffffff))
            mstore(add(buffer, 160), or(shl(248, byte(25, word)), low))
            mstore(add(buffer, 192), payer)
            mstore(add(buffer, 224), payer)
            hash := shl(48, shr(48, keccak256(buffer, 256)))
        }
    }
}
