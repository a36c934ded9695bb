// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim} from "../interfaces/IVerifier.sol";
import {Field} from "../libraries/Field.sol";
import {Bls12} from "./Bls12.sol";
import {Key} from "./Key.sol";

/// @title Many Groth16 proofs by one pairing check
/// @dev The equations of all proofs are raised to random powers r_i and multiplied:
///
///          prod_i e(r_i A_i, B_i) * prod_k e(R_k alpha_k, -beta_k) e(L_k, -gamma_k) e(C_k, -delta_k)
///
///      where k runs over the keys, and for the proofs i of key k: R_k = sum r_i, L_k = R_k ic_k[0]
///      + sum_j (sum_i r_i inputs_i[j]) ic_k[j + 1], C_k = sum r_i C_i. If one equation is false,
///      the product is one for at most one of 2^128 values of its r_i. The r_i come from a hash of
///      all claims, so they are fixed after everything that they multiply; r_0 is 1. A and C pass
///      through the multiplication, B, r_0 A_0 and the key's points through the pairing: both
///      refuse points outside the subgroups.
library Batch {
    uint256 private constant PAIR = 384;

    /// Where the next pair goes, and whether a point was refused.
    struct State {
        uint256 next;
        uint256[] r;
        bool failed;
    }

    /// @notice Whether all claims hold.
    function verify(Claim[] calldata claims) internal view returns (bool) {
        State memory state;
        state.r = _coefficients(claims.length);
        // At most one key for each proof.
        bytes memory pairs = new bytes(4 * PAIR * claims.length);
        uint256 start;
        assembly ("memory-safe") {
            start := add(pairs, 32)
        }
        state.next = start;
        unchecked {
            for (uint256 i = 0; i < claims.length; ++i) {
                bytes calldata proof = claims[i].proof;
                if (proof.length != Key.PROOF_LENGTH) return false;
                _addProof(state, proof, state.r[i]);
            }
            for (uint256 i = 0; i < claims.length; ++i) {
                if (_isFirst(claims, i)) _addKey(state, claims, i);
            }
        }
        if (state.failed) return false;
        uint256 length = state.next - start;
        assembly ("memory-safe") {
            mstore(pairs, length)
        }
        (bool ok, bool one) = Bls12.pairing(pairs);
        return ok && one;
    }

    /// 1, then 128 bits each of a hash of the whole call and the place.
    function _coefficients(uint256 count) private pure returns (uint256[] memory r) {
        bytes32 seed = keccak256(msg.data);
        r = new uint256[](count);
        r[0] = 1;
        unchecked {
            for (uint256 i = 1; i < count; ++i) {
                r[i] = uint256(keccak256(abi.encode(seed, i))) >> 128;
            }
        }
    }

    /// Whether no earlier claim has this key.
    function _isFirst(Claim[] calldata claims, uint256 i) private pure returns (bool) {
        unchecked {
            for (uint256 j = 0; j < i; ++j) {
                if (claims[j].keyStore == claims[i].keyStore) return false;
            }
            return true;
        }
    }

    /// The pair (r A, B) of a proof.
    function _addProof(State memory state, bytes calldata proof, uint256 r) private view {
        uint256 next = state.next;
        if (r == 1) {
            assembly ("memory-safe") {
                calldatacopy(next, proof.offset, 384)
            }
        } else {
            uint256 terms;
            assembly ("memory-safe") {
                // Free memory that is not kept.
                terms := mload(0x40)
                calldatacopy(terms, proof.offset, 128)
                mstore(add(terms, 128), r)
                calldatacopy(add(next, 128), add(proof.offset, 128), 256)
            }
            _multiply(state, terms, 160, next);
        }
        state.next = next + PAIR;
    }

    /// The three pairs of one key, for all claims from `first` on that have it.
    function _addKey(State memory state, Claim[] calldata claims, uint256 first) private view {
        bytes memory key = Key.load(claims[first].keyStore);
        // R, then the four sums of inputs.
        uint256[5] memory scalars;
        bytes memory terms = new bytes(160 * claims.length);
        uint256 used = 0;
        unchecked {
            for (uint256 i = first; i < claims.length; ++i) {
                Claim calldata claim = claims[i];
                if (claim.keyStore != claims[first].keyStore) continue;
                uint256 r = state.r[i];
                scalars[0] = addmod(scalars[0], r, Field.MODULUS);
                for (uint256 j = 0; j < Key.INPUTS; ++j) {
                    uint256 x = claim.inputs[j];
                    // Reducing would give an input several forms.
                    if (x >= Field.MODULUS) state.failed = true;
                    scalars[j + 1] =
                        addmod(scalars[j + 1], mulmod(r, x, Field.MODULUS), Field.MODULUS);
                }
                bytes calldata proof = claim.proof;
                assembly ("memory-safe") {
                    let place := add(add(terms, 32), used)
                    calldatacopy(place, add(proof.offset, 384), 128)
                    mstore(add(place, 128), r)
                    used := add(used, 160)
                }
            }
        }
        _addKeyPair(state, key, Key.BETA, 0, 1, scalars);
        _addKeyPair(state, key, Key.GAMMA, Key.IC, 5, scalars);
        uint256 from;
        assembly ("memory-safe") {
            from := add(terms, 32)
        }
        _addPair(state, from, used, key, Key.DELTA);
    }

    /// The pair of a combination of `count` points of the key, from `offset` on, with a point of it.
    function _addKeyPair(
        State memory state,
        bytes memory key,
        uint256 second,
        uint256 offset,
        uint256 count,
        uint256[5] memory scalars
    ) private view {
        uint256 terms;
        assembly ("memory-safe") {
            // Free memory that is not kept.
            terms := mload(0x40)
            let from := add(add(key, 32), offset)
            let to := terms
            for { let j := 0 } lt(j, count) { j := add(j, 1) } {
                mcopy(to, from, 128)
                mstore(add(to, 128), mload(add(scalars, shl(5, j))))
                from := add(from, 128)
                to := add(to, 160)
            }
        }
        _addPair(state, terms, 160 * count, key, second);
    }

    /// The pair of the sum of products at `terms` with the key's point of G2 at `second`.
    function _addPair(
        State memory state,
        uint256 terms,
        uint256 length,
        bytes memory key,
        uint256 second
    ) private view {
        uint256 next = state.next;
        _multiply(state, terms, length, next);
        assembly ("memory-safe") {
            mcopy(add(next, 128), add(add(key, 32), second), 256)
        }
        state.next = next + PAIR;
    }

    /// Writes the sum of products at `terms` to `to`.
    function _multiply(State memory state, uint256 terms, uint256 length, uint256 to) private view {
        address precompile = Bls12.G1_MSM;
        bool ok;
        uint256 size;
        assembly ("memory-safe") {
            ok := staticcall(gas(), precompile, terms, length, to, 128)
            // A statement of its own: Yul evaluates arguments from right to left.
            size := returndatasize()
        }
        if (!ok || size != 128) state.failed = true;
    }
}
