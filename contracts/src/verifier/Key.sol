// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IVerifier} from "../interfaces/IVerifier.sol";
import {Bls12} from "./Bls12.sol";

/// @title The layout of keys and proofs, and what a key must be
library Key {
    uint256 internal constant INPUTS = 4;
    /// A (128 bytes), B (256), C (128).
    uint256 internal constant PROOF_LENGTH = 512;
    // Where the key's points begin: alpha, -beta, -gamma, -delta, ic[0] to ic[4].
    uint256 internal constant BETA = 128;
    uint256 internal constant GAMMA = 384;
    uint256 internal constant DELTA = 640;
    uint256 internal constant IC = 896;
    uint256 internal constant LENGTH = IC + (INPUTS + 1) * 128;

    /// @notice The key in a store.
    function load(address store) internal view returns (bytes memory key) {
        key = new bytes(LENGTH);
        assembly ("memory-safe") {
            extcodecopy(store, add(key, 32), 1, mload(key))
        }
    }

    /// @notice Refuses keys with which anyone could make proofs, and points that are none.
    /// @dev With two of beta, gamma and delta equal up to the sign, or with the public generator as
    ///      one of gamma and delta, A, B and C can be chosen so that everything cancels.
    function check(bytes memory key) internal view {
        Bls12.requirePoint(key, 0, 128, 0);
        for (uint256 i = 0; i < 3; ++i) {
            uint256 place = BETA + 256 * i;
            Bls12.requirePoint(key, place, 256, i + 1);
            // Points with the same x are equal or negatives of each other.
            if (Bls12.equal(key, place, Bls12.g2(), 0, 128)) revert IVerifier.DegenerateKey(i + 1);
            for (uint256 j = 0; j < i; ++j) {
                if (Bls12.equal(key, place, key, BETA + 256 * j, 128)) {
                    revert IVerifier.DegenerateKey(i + 1);
                }
            }
        }
        for (uint256 i = 0; i <= INPUTS; ++i) {
            Bls12.requirePoint(key, IC + 128 * i, 128, 4 + i);
            for (uint256 j = 0; j < i; ++j) {
                if (Bls12.equal(key, IC + 128 * i, key, IC + 128 * j, 64)) {
                    revert IVerifier.DegenerateKey(4 + i);
                }
            }
        }
    }
}
