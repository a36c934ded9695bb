// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IHub} from "../interfaces/IHub.sol";
import {Registry} from "../Layout.sol";
import {ChainId} from "../types/Ids.sol";
import {Pubdata} from "./Pubdata.sol";

/// @title Splits the on-chain vector of a block into the contents of the chains
library Contents {
    /// Chain ids are below this, so that a set of chains fits 64 bits.
    uint256 internal constant CHAINS = 64;
    /// The words before the first operation: old root, new root, number with timestamp and shape.
    uint256 internal constant HEAD = 3;

    /// @notice The set of chains with operations, and for each of them keccak256 of its words in
    ///         order.
    /// @dev Where an operation is expected, zero words are empty slots and skipped one at a time.
    function split(Registry storage registry, ChainId self, bytes32[] calldata onchain)
        internal
        view
        returns (uint64 chains, bytes32[CHAINS] memory hashes)
    {
        uint256[CHAINS] memory counts = _count(registry, self, onchain);
        // One buffer for all chains; ends[c] is where the next word of chain c goes.
        uint256[CHAINS] memory ends;
        uint256 total = 0;
        for (uint256 c = 0; c < CHAINS; ++c) {
            ends[c] = total;
            total += counts[c];
        }
        bytes32[] memory buffer = new bytes32[](total);
        for (uint256 i = HEAD; i < onchain.length;) {
            if (onchain[i] == 0) {
                ++i;
                continue;
            }
            (, ChainId chain, uint256 length) = Pubdata.header(onchain, i);
            uint256 c = ChainId.unwrap(chain);
            for (uint256 end = i + length; i < end; ++i) {
                buffer[ends[c]++] = onchain[i];
            }
        }
        for (uint256 c = 0; c < CHAINS; ++c) {
            if (counts[c] == 0) continue;
            chains |= uint64(1 << c);
            hashes[c] = _hash(buffer, ends[c] - counts[c], counts[c]);
        }
    }

    /// The number of words of each chain; refuses operations of chains that are not registered.
    function _count(Registry storage registry, ChainId self, bytes32[] calldata onchain)
        private
        view
        returns (uint256[CHAINS] memory counts)
    {
        uint256 known = 0;
        for (uint256 i = HEAD; i < onchain.length;) {
            if (onchain[i] == 0) {
                ++i;
                continue;
            }
            (, ChainId chain, uint256 length) = Pubdata.header(onchain, i);
            uint256 c = ChainId.unwrap(chain);
            if (known & (1 << c) == 0) {
                // Registered chains, and this one, are all below CHAINS.
                if (chain != self && registry.routes[chain] == address(0)) {
                    revert IHub.UnknownChain(i, uint8(c));
                }
                known |= 1 << c;
            }
            counts[c] += length;
            i += length;
        }
    }

    function _hash(bytes32[] memory buffer, uint256 start, uint256 count)
        private
        pure
        returns (bytes32 hash)
    {
        assembly ("memory-safe") {
            hash := keccak256(add(add(buffer, 32), shl(5, start)), shl(5, count))
        }
    }
}
