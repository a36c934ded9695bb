// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "./interfaces/IKeyRecorder.sol";
import {IRollup} from "./interfaces/IRollup.sol";
import {Ask} from "./libraries/Ask.sol";
import {Field} from "./libraries/Field.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {ChainId} from "./types/Ids.sol";

/// @dev The part of EIP-1271 that the recorder uses.
interface IContractSigner {
    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4);
}

/// @title The key recorder of one chain
/// @dev Apart from the vault, because it asks contracts of strangers, and because nothing here can
///      touch funds.
contract KeyRecorder is IKeyRecorder {
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant CHANGE_TYPE =
        keccak256("ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)");

    /// @inheritdoc IKeyRecorder
    address public immutable rollup;
    /// @inheritdoc IKeyRecorder
    ChainId public immutable chain;

    /// Home in the key of the map: a contract of this chain and a key pair with the same address
    /// are two owners.
    mapping(uint8 home => mapping(address owner => mapping(uint32 nonce => bytes32))) private
        _hashes;

    constructor(address rollup_) {
        if (rollup_.code.length == 0) revert BadRollup(rollup_);
        rollup = rollup_;
        chain = IRollup(rollup_).chain();
    }

    /// @inheritdoc IKeyRecorder
    function setAuthPubKey(uint8 home, uint256 keyX, uint256 keyY, uint32 nonce) external {
        if (home == 0) {
            // A contract never is the origin of a transaction. Code of EIP-7702 does not matter
            // here: whoever is the origin signed this very transaction.
            if (msg.sender != tx.origin) revert NotAKeyPair(msg.sender);
        } else if (home != ChainId.unwrap(chain)) {
            revert BadHome(home);
        }
        _record(home, msg.sender, keyX, keyY, nonce);
    }

    /// @inheritdoc IKeyRecorder
    function setAuthPubKeySigned(
        address owner,
        uint256 keyX,
        uint256 keyY,
        uint32 accountId,
        uint32 nonce,
        bytes calldata signature
    ) external {
        if (owner.code.length == 0) revert NoContract(owner);
        bytes32 digest = _digest(keyX, keyY, accountId, nonce);
        bytes4 magic = IContractSigner.isValidSignature.selector;
        bytes memory question =
            abi.encodeCall(IContractSigner.isValidSignature, (digest, signature));
        // The answer is a bytes4: its other bytes must be zero.
        if (!Ask.says(owner, question, uint256(bytes32(magic)))) revert SignatureRefused(owner);
        _record(ChainId.unwrap(chain), owner, keyX, keyY, nonce);
    }

    /// @inheritdoc IKeyRecorder
    function check(bytes32[] calldata words, address owner, bytes calldata witness, uint256 index)
        external
        view
    {
        uint256 word = uint256(words[0]);
        (uint256 keyX, uint256 keyY) = (uint256(words[2]), uint256(words[3]));
        if (keyX >= Field.MODULUS) revert WordOutOfRange(index + 2);
        if (keyY >= Field.MODULUS) revert WordOutOfRange(index + 3);
        (uint8 home, uint32 nonce) = (uint8(word >> 120), uint32(word >> 136));
        if (home != 0 && home != ChainId.unwrap(chain)) revert ForeignHome(index, home);
        if (witness.length == 0) {
            if (_hashes[home][owner][nonce] != _keyHash(keyX, keyY)) {
                revert KeyNotAuthorised(index, owner, nonce);
            }
            return;
        }
        if (witness.length != 65 || home != 0) revert WitnessLength(index, witness.length);
        uint32 account = uint24(word >> 208);
        address signer = Signatures.recover(_digest(keyX, keyY, account, nonce), witness);
        if (signer == address(0) || signer != owner) revert BadKeySignature(index, owner);
    }

    /// @inheritdoc IKeyRecorder
    function domainSeparator() public view returns (bytes32) {
        bytes32 name = keccak256("zkLink");
        return keccak256(abi.encode(DOMAIN_TYPE, name, keccak256("1"), block.chainid, rollup));
    }

    /// @inheritdoc IKeyRecorder
    function authPubKey(uint8 home, address owner, uint32 nonce) external view returns (bytes32) {
        return _hashes[home][owner][nonce];
    }

    /// The same key may be recorded again, another may not: a changed mind must not make a committed
    /// block unpayable.
    function _record(uint8 home, address owner, uint256 keyX, uint256 keyY, uint32 nonce) private {
        bytes32 hash = _keyHash(keyX, keyY);
        bytes32 stored = _hashes[home][owner][nonce];
        // No event for a repetition: a loop of them would flood the readers of the logs.
        if (stored == hash) return;
        if (stored != 0) revert KeyAlreadySet(home, owner, nonce);
        _hashes[home][owner][nonce] = hash;
        emit AuthPubKeySet(owner, nonce, home, keyX, keyY);
    }

    /// What an owner signs.
    function _digest(uint256 keyX, uint256 keyY, uint32 account, uint32 nonce)
        private
        view
        returns (bytes32)
    {
        bytes32 inner = keccak256(abi.encode(CHANGE_TYPE, keyX, keyY, account, nonce));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), inner));
    }

    function _keyHash(uint256 keyX, uint256 keyY) private pure returns (bytes32) {
        return keccak256(abi.encode(keyX, keyY));
    }
}
