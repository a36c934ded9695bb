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
        uint8 kind;
        if (payload.length != LENGTH) revert IEndpoint.BadMessage();
        (kind, chain, number, rolling) = abi.decode(payload, (uint8, ChainId, BlockNumber, bytes32));
        if (kind != ACK) revert IEndpoint.BadMessage();
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
        uint8 kind;
        if (payload.length != LENGTH) revert IEndpoint.BadMessage();
        (kind, number, root, rolling) = abi.decode(payload, (uint8, BlockNumber, bytes32, bytes32));
        if (kind != RELEASE) revert IEndpoint.BadMessage();
    }
}
