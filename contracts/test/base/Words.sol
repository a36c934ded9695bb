// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @dev Writes the words that src/op encodes, from the table of the specification, not from the
///      contract's reader.
library Words {
    function deposit(
        uint8 chain,
        uint24 account,
        uint8 sub,
        uint16 token,
        uint128 amount,
        bytes32 owner
    ) internal pure returns (bytes32[] memory words) {
        words = new bytes32[](2);
        words[0] =
            packed(abi.encodePacked(uint8(1), chain, account, sub, token, amount, top(owner)));
        words[1] = low(owner);
    }

    function withdraw(
        uint8 chain,
        uint24 account,
        uint16 token,
        uint128 amount,
        uint8 scale,
        bytes32 owner
    ) internal pure returns (bytes32[] memory words) {
        words = new bytes32[](2);
        uint8 sub = 3;
        uint16 fee = 0xabcd;
        words[0] = packed(
            abi.encodePacked(uint8(3), chain, account, sub, token, amount, scale, fee, top(owner))
        );
        words[1] = low(owner);
    }

    function changePubKey(
        uint8 chain,
        uint24 account,
        uint32 nonce,
        bytes32 owner,
        uint256 keyX,
        uint256 keyY
    ) internal pure returns (bytes32[] memory words) {
        words = new bytes32[](4);
        uint8 sub = 1;
        uint16 feeToken = 7;
        uint16 fee = 0x1234;
        words[0] = packed(
            abi.encodePacked(uint8(6), chain, account, sub, feeToken, fee, nonce, top(owner))
        );
        words[1] = low(owner);
        words[2] = bytes32(keyX);
        words[3] = bytes32(keyY);
    }

    function head(bytes32 oldRoot, bytes32 newRoot, uint32 number, uint64 timestamp, uint16 shape)
        internal
        pure
        returns (bytes32[] memory words)
    {
        words = new bytes32[](3);
        words[0] = oldRoot;
        words[1] = newRoot;
        words[2] = packed(abi.encodePacked(number, timestamp, shape));
    }

    /// A zero byte, the fields, and zeros up to 32 bytes.
    function packed(bytes memory fields) internal pure returns (bytes32) {
        return bytes32(bytes.concat(bytes1(0), fields));
    }

    function top(bytes32 owner) internal pure returns (bytes1) {
        return owner[0];
    }

    function low(bytes32 owner) internal pure returns (bytes32) {
        return bytes32((uint256(owner) << 8) >> 8);
    }

    function join(bytes32[] memory a, bytes32[] memory b)
        internal
        pure
        returns (bytes32[] memory words)
    {
        words = new bytes32[](a.length + b.length);
        for (uint256 i = 0; i < a.length; ++i) {
            words[i] = a[i];
        }
        for (uint256 i = 0; i < b.length; ++i) {
            words[a.length + i] = b[i];
        }
    }

    /// `words` with zeros behind, `length` in all.
    function padTo(bytes32[] memory words, uint256 length)
        internal
        pure
        returns (bytes32[] memory)
    {
        return join(words, new bytes32[](length - words.length));
    }

    /// The content after block `number`, by the specification.
    function roll(bytes32 rolling, uint32 number, bytes32[] memory words)
        internal
        pure
        returns (bytes32)
    {
        bytes32 content = keccak256(abi.encodePacked(words));
        return keccak256(abi.encodePacked(rolling, uint256(number), content));
    }
}
