// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ChainId} from "../types/Ids.sol";

/// @title Records, for good, which L2 key an owner authorised on this chain
/// @notice An owner is a pair of home and address. Home 0: a key pair, the same owner on every
///         chain. Home c: the contract at this address on chain c, and nobody anywhere else. A
///         record is never changed and never removed, so that what a commit relied on cannot be
///         taken back. Several keys may be recorded for one nonce; L2 uses one. The recorder holds no
///         funds.
interface IKeyRecorder {
    /// @notice The owner authorised an L2 key for one account nonce.
    event AuthPubKeySet(
        address indexed owner, uint32 indexed nonce, uint8 home, uint256 keyX, uint256 keyY
    );

    /// @notice The constructor's argument is no rollup.
    error BadRollup(address rollup);
    /// @notice The home is neither 0 nor this chain.
    error BadHome(uint8 home);
    /// @notice For home 0 a key pair must send the transaction itself; `caller` did not.
    error NotAKeyPair(address caller);
    /// @notice A coordinate of the key is not below the field's modulus.
    error BadKey(uint256 keyX, uint256 keyY);
    /// @notice There is no contract at the owner's address yet.
    error NoContract(address owner);
    /// @notice The contract does not confirm the signature.
    error SignatureRefused(address owner);

    /// @notice A key witness is neither empty nor 65 bytes; that of a contract is always empty.
    error WitnessLength(uint256 index, uint256 length);
    /// @notice The owner is a contract of chain `home`; its key can be changed there only.
    error ForeignHome(uint256 index, uint8 home);
    /// @notice This key of the owner for this nonce is not recorded.
    error KeyNotAuthorised(uint256 index, address owner, uint32 nonce);
    /// @notice The signature is not the owner's.
    error BadKeySignature(uint256 index, address owner);
    /// @notice A raw word is not below the field's modulus.
    error WordOutOfRange(uint256 index);

    /// @notice Records the caller's own key for one account nonce.
    /// @param home 0 if the caller is a key pair that sent this transaction itself; this chain's
    ///        number if the caller is an owner of this chain (a contract, or whoever declared so).
    function setAuthPubKey(uint8 home, uint256 keyX, uint256 keyY, uint32 nonce) external;

    /// @notice Records the key of the contract `owner`, whose home is this chain, if the contract
    ///         confirms the signature now (EIP-1271). Anyone. It is asked once and never again.
    /// @dev The contract is asked about the EIP-712 digest of ContractPubKey(address owner,uint8
    ///      home,uint256 keyX,uint256 keyY,uint32 nonce) in the domain of this chain's Rollup.
    function setAuthPubKeySigned(
        address owner,
        uint256 keyX,
        uint256 keyY,
        uint32 nonce,
        bytes calldata signature
    ) external;

    /// @notice Refuses a key change unless its owner authorised it on this chain: a key pair (home
    ///         0) by a signature or by a record, a contract of this chain by a record.
    /// @dev What a commit relies on cannot change any more: a signature of a key pair is good for
    ///      ever, a record too.
    /// @param words The four words of the ChangePubKey, whose form is checked.
    /// @param owner The address in them.
    /// @param witness Empty, or the key pair's EIP-712 signature: 65 bytes r, s, v.
    /// @param index Where the operation stands, for the errors.
    function check(bytes32[] calldata words, address owner, bytes calldata witness, uint256 index)
        external
        view;

    /// @notice Whether the owner authorised this key for this nonce.
    function isRecorded(uint8 home, address owner, uint256 keyX, uint256 keyY, uint32 nonce)
        external
        view
        returns (bool);
    /// @notice The rollup whose domain the signatures have.
    function rollup() external view returns (address);
    /// @notice The EIP-712 domain separator of this chain's Rollup, for key changes.
    function domainSeparator() external view returns (bytes32);
    /// @notice The protocol number of this chain.
    function chain() external view returns (ChainId);
}
