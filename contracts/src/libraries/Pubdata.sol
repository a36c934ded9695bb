// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {ChainId, TokenId} from "../types/Ids.sol";

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
///      The next word is the owner's other 31 bytes; ChangePubKey then has the key's x and y. Only
///      `header` looks at the form; all other functions take words whose form is known.
library Pubdata {
    uint256 internal constant DEPOSIT = 1;
    uint256 internal constant WITHDRAW = 3;
    uint256 internal constant CHANGE_PUB_KEY = 6;

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
        returns (uint256 op, ChainId chain, uint256 length)
    {
        uint256 word = uint256(words[i]);
        uint256 padding;
        op = word >> 240;
        if (op == DEPOSIT) (length, padding) = (2, DEPOSIT_PADDING);
        else if (op == WITHDRAW) (length, padding) = (2, WITHDRAW_PADDING);
        else if (op == CHANGE_PUB_KEY) (length, padding) = (4, CHANGE_PADDING);
        if (length == 0 || word & padding != 0) revert IRollup.BadWord(i);
        if (words.length - i < length) revert IRollup.TruncatedOperation(i);
        chain = ChainId.wrap(uint8(word >> 232));
    }

    /// @notice The word at `i`, which is below the length.
    function load(bytes32[] calldata words, uint256 i) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(words.offset, shl(5, i)))
        }
    }

    /// @notice The operation's code.
    function code(uint256 word) internal pure returns (uint256) {
        return word >> 240;
    }

    /// @notice The token of a Deposit or a Withdraw.
    function token(uint256 word) internal pure returns (TokenId) {
        return TokenId.wrap(uint16(word >> 184));
    }

    /// @notice The amount of a Deposit (18 decimals) or a Withdraw (the token's own units).
    function amount(uint256 word) internal pure returns (uint128) {
        return uint128(word >> 56);
    }

    /// @notice The scale of a Withdraw.
    function scale(uint256 word) internal pure returns (uint8) {
        return uint8(word >> 48);
    }

    /// @notice Whether the Deposit at `i` is refused. Nothing else than done and refused exists, and
    ///         a refused one names no account.
    function refused(uint256 word, uint256 i) internal pure returns (bool) {
        uint256 outcome = uint8(word >> 32);
        if (outcome > 1 || outcome == 1 && uint24(word >> 208) != 0) revert IRollup.BadOutcome(i);
        return outcome == 1;
    }

    /// @notice The receiver of the Withdraw at `i`; refuses one that is no EVM address.
    function receiver(bytes32[] calldata words, uint256 i) internal pure returns (address) {
        return _address(words, i, uint8(load(words, i) >> 24));
    }

    /// @notice The owner of the ChangePubKey at `i`; refuses one that is no EVM address.
    function keyOwner(bytes32[] calldata words, uint256 i) internal pure returns (address) {
        return _address(words, i, uint8(load(words, i) >> 128));
    }

    function _address(bytes32[] calldata words, uint256 i, uint256 top)
        private
        pure
        returns (address)
    {
        unchecked {
            uint256 low = load(words, i + 1);
            // Whether the word is one is checked on the hub; what is no address is refused here.
            uint256 owner = (top << 248) | low;
            if (owner >> 160 != 0) revert IRollup.NotAnAddress(i, bytes32(owner));
            return address(uint160(owner));
        }
    }
}
