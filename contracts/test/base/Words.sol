// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @dev Writes the words that src/op encodes, from the table of the specification, not from the
///      contract's reader.
library Words {
    /// A deposit of a key pair that is done.
    function deposit(
        uint8 chain,
        uint24 account,
        uint8 sub,
        uint16 token,
        uint128 amount,
        bytes32 owner
    ) internal pure returns (bytes32[] memory) {
        return depositOf(chain, account, sub, token, amount, owner, 0, 0);
    }

    function depositOf(
        uint8 chain,
        uint24 account,
        uint8 sub,
        uint16 token,
        uint128 amount,
        bytes32 owner,
        uint8 home,
        uint8 outcome
    ) internal pure returns (bytes32[] memory words) {
        words = new bytes32[](2);
        uint16 place = 0x0102;
        bytes memory fields = abi.encodePacked(uint8(1), chain, account, sub, token, amount);
        words[0] = packed(bytes.concat(fields, abi.encodePacked(top(owner), home, outcome, place)));
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
        uint16 place = 0x0304;
        bytes memory fields = abi.encodePacked(uint8(3), chain, account, sub, token, amount);
        words[0] = packed(bytes.concat(fields, abi.encodePacked(scale, fee, top(owner), place)));
        words[1] = low(owner);
    }

    /// A key change of a key pair.
    function changePubKey(
        uint8 chain,
        uint24 account,
        uint32 nonce,
        bytes32 owner,
        uint256 keyX,
        uint256 keyY
    ) internal pure returns (bytes32[] memory) {
        return changePubKeyOf(chain, account, nonce, owner, 0, keyX, keyY);
    }

    function changePubKeyOf(
        uint8 chain,
        uint24 account,
        uint32 nonce,
        bytes32 owner,
        uint8 home,
        uint256 keyX,
        uint256 keyY
    ) internal pure returns (bytes32[] memory words) {
        words = new bytes32[](4);
        uint8 sub = 1;
        uint16 feeToken = 7;
        uint16 fee = 0x1234;
        uint16 place = 0x0506;
        bytes memory fields = abi.encodePacked(uint8(6), chain, account, sub, feeToken, fee);
        words[0] = packed(bytes.concat(fields, abi.encodePacked(nonce, top(owner), home, place)));
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

    function cut(bytes32[] memory words, uint256 from, uint256 count)
        internal
        pure
        returns (bytes32[] memory part)
    {
        part = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            part[i] = words[from + i];
        }
    }

    function hash(bytes32[] memory words) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(words));
    }

    /// The words of deposits and key changes, or those of withdrawals, in order.
    function filter(bytes32[] memory words, bool withdrawals)
        internal
        pure
        returns (bytes32[] memory part)
    {
        part = new bytes32[](words.length);
        uint256 count = 0;
        for (uint256 i = 0; i < words.length;) {
            uint8 op = uint8(words[i][1]);
            uint256 end = i + (op == 6 ? 4 : 2);
            for (; i < end; ++i) {
                if ((op == 3) == withdrawals) part[count++] = words[i];
            }
        }
        return cut(part, 0, count);
    }

    /// The hashes of the chunks of `withdrawals`.
    function chunks(bytes32[] memory withdrawals) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[]((withdrawals.length + 63) / 64);
        for (uint256 i = 0; i < hashes.length; ++i) {
            uint256 left = withdrawals.length - 64 * i;
            hashes[i] = hash(cut(withdrawals, 64 * i, left < 64 ? left : 64));
        }
    }

    /// A chain's content of a block, by the specification.
    function content(bytes32[] memory words) internal pure returns (bytes32) {
        bytes32 rest = hash(filter(words, false));
        return keccak256(abi.encodePacked(rest, chunks(filter(words, true))));
    }

    /// The content after block `number`, by the specification.
    function roll(bytes32 rolling, uint32 number, bytes32[] memory words)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(rolling, uint256(number), content(words)));
    }
}
