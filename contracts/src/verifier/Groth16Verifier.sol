// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IVerifier} from "../interfaces/IVerifier.sol";
import {Field} from "../libraries/Field.sol";
import {Bls12} from "./Bls12.sol";

/// @title Groth16 over BLS12-381 for statements with four public inputs
/// @dev Accepts (A, B, C) if e(A, B) e(alpha, -beta) e(L, -gamma) e(C, -delta) = 1 with
///      L = ic[0] + sum inputs[i] ic[i + 1]. The key comes with beta, gamma and delta negated.
contract Groth16Verifier is IVerifier {
    uint256 private constant INPUTS = 4;
    uint256 private constant PROOF_LENGTH = 512;
    // Where the key's points begin: alpha, -beta, -gamma, -delta, ic[0] to ic[4].
    uint256 private constant BETA = 128;
    uint256 private constant GAMMA = 384;
    uint256 private constant DELTA = 640;
    uint256 private constant IC = 896;
    uint256 private constant KEY_LENGTH = IC + (INPUTS + 1) * 128;

    /// @notice The contract whose code is a zero byte and then the key.
    address public immutable keyStore;
    /// @notice keccak256 of the key.
    bytes32 public immutable keyHash;

    /// @param key alpha (G1), -beta, -gamma, -delta (G2), ic[0] to ic[4] (G1) in the encoding of
    ///        EIP-2537.
    constructor(bytes memory key) {
        Bls12.selfTest();
        if (key.length != KEY_LENGTH) revert KeyLength(key.length, KEY_LENGTH);
        _checkKey(key);
        keyHash = keccak256(key);
        keyStore = _store(key);
    }

    /// @inheritdoc IVerifier
    function verify(uint256[4] calldata inputs, bytes calldata proof) external view returns (bool) {
        if (proof.length != PROOF_LENGTH) return false;
        for (uint256 i = 0; i < INPUTS; ++i) {
            // The precompile reduces scalars; without this check an input would have several forms.
            if (inputs[i] >= Field.MODULUS) return false;
        }
        bytes memory key = _load();
        (bool known, bytes memory sum) = _inputPoint(key, inputs);
        if (!known) return false;
        bytes memory pairs = bytes.concat(
            proof[0:384],
            Bls12.slice(key, 0, BETA + 256),
            sum,
            Bls12.slice(key, GAMMA, 256),
            proof[384:512],
            Bls12.slice(key, DELTA, 256)
        );
        (bool ok, bool one) = Bls12.pairing(pairs);
        return ok && one;
    }

    /// ic[0] + sum inputs[i] ic[i + 1].
    function _inputPoint(bytes memory key, uint256[4] calldata inputs)
        private
        view
        returns (bool ok, bytes memory sum)
    {
        bytes memory terms;
        for (uint256 i = 0; i < INPUTS; ++i) {
            terms =
                bytes.concat(terms, Bls12.slice(key, IC + 128 * (i + 1), 128), bytes32(inputs[i]));
        }
        (ok, sum) = Bls12.multiply(terms);
        if (ok) (ok, sum) = Bls12.add(bytes.concat(sum, Bls12.slice(key, IC, 128)));
    }

    /// Refuses keys with which anyone could make proofs, and points that are none. With delta =
    /// gamma up to its sign, or with the public generator as delta, C can be chosen to cancel L or
    /// everything else.
    function _checkKey(bytes memory key) private view {
        Bls12.requirePoint(key, 0, 128, 0);
        for (uint256 i = 0; i < 3; ++i) {
            Bls12.requirePoint(key, BETA + 256 * i, 256, i + 1);
        }
        // Points with the same x are equal or negatives of each other.
        if (Bls12.equal(key, GAMMA, key, DELTA, 128)) revert DegenerateKey(3);
        if (Bls12.equal(key, DELTA, Bls12.g2(), 0, 128)) revert DegenerateKey(3);
        for (uint256 i = 0; i <= INPUTS; ++i) {
            Bls12.requirePoint(key, IC + 128 * i, 128, 4 + i);
            for (uint256 j = 0; j < i; ++j) {
                if (Bls12.equal(key, IC + 128 * i, key, IC + 128 * j, 64)) {
                    revert DegenerateKey(4 + i);
                }
            }
        }
    }

    /// Makes a contract whose code is STOP and the key: reading code is cheaper than reading 48
    /// words.
    function _store(bytes memory key) private returns (address store) {
        // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE, RETURN, then
        // the code.
        bytes memory creation =
            abi.encodePacked(hex"61", uint16(key.length + 1), hex"80600a3d393df3", hex"00", key);
        assembly ("memory-safe") {
            store := create(0, add(creation, 32), mload(creation))
        }
        if (store == address(0)) revert KeyStoreFailed();
    }

    function _load() private view returns (bytes memory key) {
        key = new bytes(KEY_LENGTH);
        address store = keyStore;
        assembly ("memory-safe") {
            extcodecopy(store, add(key, 32), 1, mload(key))
        }
    }
}
