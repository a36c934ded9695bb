// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Claim, IVerifier} from "../interfaces/IVerifier.sol";
import {Field} from "../libraries/Field.sol";
import {Batch} from "./Batch.sol";
import {Bls12} from "./Bls12.sol";
import {Key} from "./Key.sol";

/// @title Groth16 over BLS12-381 for statements with four public inputs
/// @dev Accepts (A, B, C) if e(A, B) e(alpha, -beta) e(L, -gamma) e(C, -delta) = 1 with
///      L = ic[0] + sum inputs[i] ic[i + 1]. The key comes with beta, gamma and delta negated.
contract Groth16Verifier is IVerifier {
    /// @inheritdoc IVerifier
    address public immutable keyStore;
    /// @inheritdoc IVerifier
    bytes32 public immutable keyHash;

    /// @param key alpha (G1), -beta, -gamma, -delta (G2), ic[0] to ic[4] (G1) in the encoding of
    ///        EIP-2537.
    constructor(bytes memory key) {
        Bls12.selfTest();
        if (key.length != Key.LENGTH) revert KeyLength(key.length, Key.LENGTH);
        Key.check(key);
        keyHash = keccak256(key);
        keyStore = _store(key);
    }

    /// @inheritdoc IVerifier
    function verify(uint256[4] calldata inputs, bytes calldata proof) external view returns (bool) {
        return _verify(keyStore, inputs, proof);
    }

    /// @inheritdoc IVerifier
    function verifyBatch(Claim[] calldata claims) external view returns (bool) {
        if (claims.length == 0) return true;
        // One alone needs no coefficients.
        if (claims.length == 1) {
            return _verify(claims[0].keyStore, claims[0].inputs, claims[0].proof);
        }
        return Batch.verify(claims);
    }

    function _verify(address store, uint256[4] calldata inputs, bytes calldata proof)
        private
        view
        returns (bool)
    {
        if (proof.length != Key.PROOF_LENGTH) return false;
        for (uint256 i = 0; i < Key.INPUTS; ++i) {
            // The precompile reduces scalars; without this check an input would have several forms.
            if (inputs[i] >= Field.MODULUS) return false;
        }
        bytes memory key = Key.load(store);
        (bool known, bytes memory sum) = _inputPoint(key, inputs);
        if (!known) return false;
        bytes memory pairs = bytes.concat(
            proof[0:384],
            Bls12.slice(key, 0, Key.BETA + 256),
            sum,
            Bls12.slice(key, Key.GAMMA, 256),
            proof[384:512],
            Bls12.slice(key, Key.DELTA, 256)
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
        for (uint256 i = 0; i < Key.INPUTS; ++i) {
            terms = bytes.concat(
                terms, Bls12.slice(key, Key.IC + 128 * (i + 1), 128), bytes32(inputs[i])
            );
        }
        (ok, sum) = Bls12.multiply(terms);
        if (ok) (ok, sum) = Bls12.add(bytes.concat(sum, Bls12.slice(key, Key.IC, 128)));
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
}
