// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {ChainId, TokenId} from "../types/Ids.sol";
import {Field} from "./Field.sol";

/// @notice A deposit as the rollup executed it; amount with 18 decimals.
struct DepositOp {
    uint32 account;
    uint8 subAccount;
    TokenId token;
    uint8 home;
    uint8 outcome;
    uint128 amount;
    bytes32 owner;
}

/// @notice A withdrawal; amount in the token's own units.
struct WithdrawOp {
    TokenId token;
    uint128 amount;
    uint8 scale;
    bytes32 owner;
}

/// @notice A change of an account's L2 key.
struct ChangePubKeyOp {
    uint32 account;
    uint32 nonce;
    uint8 home;
    bytes32 owner;
    uint256 keyX;
    uint256 keyY;
}

/// @title Reads the words of on-chain operations
/// @dev A packed word, from its most significant byte (byte 0), which is zero:
///
///      Deposit       op1 chain1 account3 sub1 token2 amount16 owner_top1 home1 outcome1 at2
///                    and 2 zero bytes
///      Withdraw      op1 chain1 account3 sub1 token2 amount16 scale1 fee2 to_top1 at2
///                    and 1 zero byte
///      ChangePubKey  op1 chain1 account3 sub1 fee_token2 fee2 nonce4 owner_top1 home1 at2
///                    and 13 zero bytes
///
///      The next word is the owner's other 31 bytes; ChangePubKey then has the key's x and y.
///      Functions that read one operation take words and a place where `header` accepts that
///      operation: they do not look at its form again.
library Pubdata {
    uint8 internal constant DEPOSIT = 1;
    uint8 internal constant WITHDRAW = 3;
    uint8 internal constant CHANGE_PUB_KEY = 6;
    uint8 internal constant DONE = 0;
    uint8 internal constant REFUSED = 1;

    /// The bits below the fields.
    uint256 internal constant DEPOSIT_PADDING = 0xffff;
    uint256 internal constant WITHDRAW_PADDING = 0xff;
    uint256 internal constant CHANGE_PADDING = 0xffffffffffffffffffffffffff;

    /// @notice The operation at word `i`, its chain and its number of words.
    /// @dev Refuses unknown codes (a zero word is one), padding that is not zero, and operations
    ///      that are cut off. The plain form of what Contents does with all words at once.
    function header(bytes32[] calldata words, uint256 i)
        internal
        pure
        returns (uint8 op, ChainId chain, uint256 length)
    {
        uint256 word = uint256(words[i]);
        uint256 padding;
        op = uint8(word >> 240);
        if (op == DEPOSIT) (length, padding) = (2, DEPOSIT_PADDING);
        else if (op == WITHDRAW) (length, padding) = (2, WITHDRAW_PADDING);
        else if (op == CHANGE_PUB_KEY) (length, padding) = (4, CHANGE_PADDING);
        else revert IRollup.BadWord(i);
        if (word >> 248 != 0 || word & padding != 0) revert IRollup.BadWord(i);
        if (words.length - i < length) revert IRollup.TruncatedOperation(i);
        chain = ChainId.wrap(uint8(word >> 232));
    }

    function readDeposit(bytes32[] calldata words, uint256 i)
        internal
        pure
        returns (DepositOp memory op)
    {
        uint256 word = uint256(words[i]);
        op.account = uint32(word >> 208) & 0xffffff;
        op.subAccount = uint8(word >> 200);
        op.token = TokenId.wrap(uint16(word >> 184));
        op.amount = uint128(word >> 56);
        op.home = uint8(word >> 40);
        op.outcome = uint8(word >> 32);
        op.owner = _owner(words, i + 1, uint8(word >> 48));
        if (op.outcome > REFUSED || op.outcome == REFUSED && op.account != 0) {
            revert IRollup.BadOutcome(i);
        }
    }

    function readWithdraw(bytes32[] calldata words, uint256 i)
        internal
        pure
        returns (WithdrawOp memory op)
    {
        uint256 word = uint256(words[i]);
        op.token = TokenId.wrap(uint16(word >> 184));
        op.amount = uint128(word >> 56);
        op.scale = uint8(word >> 48);
        op.owner = _owner(words, i + 1, uint8(word >> 24));
    }

    function readChangePubKey(bytes32[] calldata words, uint256 i)
        internal
        pure
        returns (ChangePubKeyOp memory op)
    {
        uint256 word = uint256(words[i]);
        op.account = uint32(word >> 208) & 0xffffff;
        op.nonce = uint32(word >> 136);
        op.home = uint8(word >> 120);
        op.owner = _owner(words, i + 1, uint8(word >> 128));
        op.keyX = _element(words, i + 2);
        op.keyY = _element(words, i + 3);
    }

    /// @notice An owner as an EVM address; refuses an owner that is none.
    function toAddress(bytes32 owner, uint256 i) internal pure returns (address) {
        if (uint256(owner) >> 160 != 0) revert IRollup.NotAnAddress(i, owner);
        return address(uint160(uint256(owner)));
    }

    function _owner(bytes32[] calldata words, uint256 i, uint8 top) private pure returns (bytes32) {
        uint256 low = uint256(words[i]);
        if (low >> 248 != 0) revert IRollup.WordOutOfRange(i);
        return bytes32((uint256(top) << 248) | low);
    }

    function _element(bytes32[] calldata words, uint256 i) private pure returns (uint256 element) {
        element = uint256(words[i]);
        if (element >= Field.MODULUS) revert IRollup.WordOutOfRange(i);
    }
}
