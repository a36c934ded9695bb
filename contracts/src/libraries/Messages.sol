// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../interfaces/IEndpoint.sol";
import {BlockNumber, ChainId} from "../types/Ids.sol";

/// @title The two messages between the hub and the rollups
/// @dev Ack:     abi.encode(uint8 1, uint8 chain, uint32 number, bytes32 rolling), to the hub.
///      Release: abi.encode(uint8 2, uint32 number, bytes32 root, bytes32 rolling), from the hub.
///      Each covers all blocks up to `number` that have operations of the chain.
library Messages {
    uint8 internal constant ACK = 1;
    uint8 internal constant RELEASE = 2;
    uint256 private constant LENGTH = 128;

    function encodeAck(ChainId chain, BlockNumber number, bytes32 rolling)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(ACK, chain, number, rolling);
    }

    function decodeAck(bytes calldata payload)
        internal
        pure
        returns (ChainId chain, BlockNumber number, bytes32 rolling)
    {
        (uint256 one, uint256 two, bytes32 three) = _words(payload, ACK);
        if (one > type(uint8).max) revert IEndpoint.BadMessage();
        return (ChainId.wrap(uint8(one)), _number(two), three);
    }

    function encodeRelease(BlockNumber number, bytes32 root, bytes32 rolling)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(RELEASE, number, root, rolling);
    }

    function decodeRelease(bytes calldata payload)
        internal
        pure
        returns (BlockNumber number, bytes32 root, bytes32 rolling)
    {
        (uint256 one, uint256 two, bytes32 three) = _words(payload, RELEASE);
        return (_number(one), bytes32(two), three);
    }

    /// The three words of a message of this kind.
    function _words(bytes calldata payload, uint256 kind)
        private
        pure
        returns (uint256 one, uint256 two, bytes32 three)
    {
        uint256 given;
        assembly ("memory-safe") {
            given := calldataload(payload.offset)
            one := calldataload(add(payload.offset, 32))
            two := calldataload(add(payload.offset, 64))
            three := calldataload(add(payload.offset, 96))
        }
        if (payload.length != LENGTH || given != kind) revert IEndpoint.BadMessage();
    }

    function _number(uint256 word) private pure returns (BlockNumber) {
        if (word > type(uint32).max) revert IEndpoint.BadMessage();
        return BlockNumber.wrap(uint32(word));
    }
}
