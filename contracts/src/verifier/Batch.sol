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

    /// The pairs made so far, and the coefficients.
    struct State {
        bytes pairs;
        uint256 count;
        uint256[] r;
        bool failed;
    }

    /// @notice Whether all claims hold.
    function verify(Claim[] calldata claims) internal view returns (bool) {
        for (uint256 i = 0; i < claims.length; ++i) {
            if (!_wellFormed(claims[i])) return false;
        }
        State memory state;
        state.r = _coefficients(claims.length);
        // At most one key for each proof.
        state.pairs = new bytes(4 * PAIR * claims.length);
        for (uint256 i = 0; i < claims.length; ++i) {
            bytes calldata proof = claims[i].proof;
            _scaled(state, proof[0:128], state.r[i]);
            _append(state, proof[128:384]);
        }
        for (uint256 i = 0; i < claims.length; ++i) {
            if (_isFirst(claims, i)) _addKey(state, claims, i);
        }
        if (state.failed) return false;
        (bytes memory pairs, uint256 length) = (state.pairs, state.count);
        assembly ("memory-safe") {
            mstore(pairs, length)
        }
        (bool ok, bool one) = Bls12.pairing(pairs);
        return ok && one;
    }

    function _wellFormed(Claim calldata claim) private pure returns (bool) {
        if (claim.proof.length != Key.PROOF_LENGTH) return false;
        for (uint256 j = 0; j < Key.INPUTS; ++j) {
            if (claim.inputs[j] >= Field.MODULUS) return false;
        }
        return true;
    }

    /// 1, then 128 bits each of a hash of the whole call and the place.
    function _coefficients(uint256 count) private pure returns (uint256[] memory r) {
        bytes32 seed = keccak256(msg.data);
        r = new uint256[](count);
        r[0] = 1;
        for (uint256 i = 1; i < count; ++i) {
            r[i] = uint256(keccak256(abi.encode(seed, i))) >> 128;
        }
    }

    /// Whether no earlier claim has this key.
    function _isFirst(Claim[] calldata claims, uint256 i) private pure returns (bool) {
        for (uint256 j = 0; j < i; ++j) {
            if (claims[j].keyStore == claims[i].keyStore) return false;
        }
        return true;
    }

    /// The three pairs of one key, for all claims from `first` on that have it.
    function _addKey(State memory state, Claim[] calldata claims, uint256 first) private view {
        bytes memory key = Key.load(claims[first].keyStore);
        // R, then the four sums of inputs.
        uint256[5] memory scalars;
        bytes memory terms = new bytes(160 * (claims.length - first));
        uint256 used = 0;
        for (uint256 i = first; i < claims.length; ++i) {
            if (claims[i].keyStore != claims[first].keyStore) continue;
            uint256 r = state.r[i];
            scalars[0] = addmod(scalars[0], r, Field.MODULUS);
            for (uint256 j = 0; j < Key.INPUTS; ++j) {
                uint256 term = mulmod(r, claims[i].inputs[j], Field.MODULUS);
                scalars[j + 1] = addmod(scalars[j + 1], term, Field.MODULUS);
            }
            bytes calldata c = claims[i].proof[384:512];
            assembly ("memory-safe") {
                let place := add(add(terms, 32), used)
                calldatacopy(place, c.offset, 128)
                mstore(add(place, 128), r)
                used := add(used, 160)
            }
        }
        assembly ("memory-safe") {
            mstore(terms, used)
        }
        _product(state, bytes.concat(Bls12.slice(key, 0, 128), bytes32(scalars[0])));
        _appendMemory(state, key, Key.BETA);
        _product(state, _inputTerms(key, scalars));
        _appendMemory(state, key, Key.GAMMA);
        _product(state, terms);
        _appendMemory(state, key, Key.DELTA);
    }

    /// Each ic point with its scalar.
    function _inputTerms(bytes memory key, uint256[5] memory scalars)
        private
        pure
        returns (bytes memory terms)
    {
        terms = new bytes(5 * 160);
        uint256 offset = Key.IC;
        assembly ("memory-safe") {
            let from := add(add(key, 32), offset)
            let to := add(terms, 32)
            for { let j := 0 } lt(j, 5) { j := add(j, 1) } {
                mcopy(to, from, 128)
                mstore(add(to, 128), mload(add(scalars, shl(5, j))))
                from := add(from, 128)
                to := add(to, 160)
            }
        }
    }

    /// Appends r times a point of the call.
    function _scaled(State memory state, bytes calldata point, uint256 r) private view {
        if (r == 1) _append(state, point);
        else _product(state, bytes.concat(point, bytes32(r)));
    }

    /// Appends the sum of the products in `terms`.
    function _product(State memory state, bytes memory terms) private view {
        (bool ok, bytes memory sum) = Bls12.multiply(terms);
        if (!ok) state.failed = true;
        else _copy(state, sum, 0, 128);
    }

    function _appendMemory(State memory state, bytes memory key, uint256 offset) private pure {
        _copy(state, key, offset, 256);
    }

    function _copy(State memory state, bytes memory from, uint256 offset, uint256 length)
        private
        pure
    {
        (bytes memory pairs, uint256 count) = (state.pairs, state.count);
        assembly ("memory-safe") {
            mcopy(add(add(pairs, 32), count), add(add(from, 32), offset), length)
        }
        state.count = count + length;
    }

    function _append(State memory state, bytes calldata part) private pure {
        (bytes memory pairs, uint256 count) = (state.pairs, state.count);
        assembly ("memory-safe") {
            calldatacopy(add(add(pairs, 32), count), part.offset, part.length)
        }
        state.count = count + part.length;
    }
}
