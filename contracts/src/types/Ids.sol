// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A chain's number inside the protocol (1 to 63); not its EIP-155 chain id.
type ChainId is uint8;

/// @notice A merged token's number, the same on every chain; 0 is no token.
type TokenId is uint16;

/// @notice A rollup block's number; genesis is 0.
type BlockNumber is uint32;

/// @notice A place in a chain's deposit queue; the first deposit has 0.
type SerialId is uint64;

/// @notice The number of a block shape, by which the hub finds the verifying key.
type ShapeId is uint16;

using {equalChain as ==, differentChain as !=} for ChainId global;
using {equalToken as ==, differentToken as !=} for TokenId global;
using {
    equalBlock as ==,
    differentBlock as !=,
    lessBlock as <,
    moreBlock as >
} for BlockNumber global;

function equalChain(ChainId a, ChainId b) pure returns (bool) {
    return ChainId.unwrap(a) == ChainId.unwrap(b);
}

function differentChain(ChainId a, ChainId b) pure returns (bool) {
    return ChainId.unwrap(a) != ChainId.unwrap(b);
}

function equalToken(TokenId a, TokenId b) pure returns (bool) {
    return TokenId.unwrap(a) == TokenId.unwrap(b);
}

function differentToken(TokenId a, TokenId b) pure returns (bool) {
    return TokenId.unwrap(a) != TokenId.unwrap(b);
}

function equalBlock(BlockNumber a, BlockNumber b) pure returns (bool) {
    return BlockNumber.unwrap(a) == BlockNumber.unwrap(b);
}

function differentBlock(BlockNumber a, BlockNumber b) pure returns (bool) {
    return BlockNumber.unwrap(a) != BlockNumber.unwrap(b);
}

function lessBlock(BlockNumber a, BlockNumber b) pure returns (bool) {
    return BlockNumber.unwrap(a) < BlockNumber.unwrap(b);
}

function moreBlock(BlockNumber a, BlockNumber b) pure returns (bool) {
    return BlockNumber.unwrap(a) > BlockNumber.unwrap(b);
}
