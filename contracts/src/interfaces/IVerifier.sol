// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice One proof to be checked in a batch.
struct Claim {
    /// The key store of the shape's verifier.
    address keyStore;
    /// d, z, yData, yOnchain.
    uint256[4] inputs;
    /// A (128 bytes), B (256), C (128) in the encoding of EIP-2537.
    bytes proof;
}

/// @title The proof check of one block shape
interface IVerifier {
    /// @notice An EIP-2537 precompile does not exist here, or answers wrongly.
    error PrecompileMissing(address precompile);
    /// @notice The verifying key has not the length of four inputs.
    error KeyLength(uint256 given, uint256 expected);
    /// @notice A key with this fault would accept forged proofs; `part` counts the key's points
    ///         from zero.
    error DegenerateKey(uint256 part);
    /// @notice The key's data contract could not be made.
    error KeyStoreFailed();

    /// @notice Whether `proof` shows the statement with these public inputs: d, z, yData, yOnchain.
    /// @dev False for every malformed proof and for every input that is not below the field's
    ///      modulus.
    /// @param proof A (128 bytes), B (256), C (128) in the encoding of EIP-2537.
    function verify(uint256[4] calldata inputs, bytes calldata proof) external view returns (bool);

    /// @notice Whether all claims hold, by one pairing check over a random combination of them.
    /// @dev The claims may have different keys; each key store must be that of a verifier. The
    ///      coefficients are made of a hash of all claims, so a batch with a false claim passes
    ///      with probability 2^-128. No claims hold trivially.
    function verifyBatch(Claim[] calldata claims) external view returns (bool);

    /// @notice The contract whose code is a zero byte and then the key.
    function keyStore() external view returns (address);
    /// @notice keccak256 of the key.
    function keyHash() external view returns (bytes32);
}
