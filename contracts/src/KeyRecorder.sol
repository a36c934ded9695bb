// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "./interfaces/IKeyRecorder.sol";
import {IRollup} from "./interfaces/IRollup.sol";
import {Ask} from "./libraries/Ask.sol";
import {KeyChanges} from "./libraries/KeyChanges.sol";
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
        bytes32 digest = KeyChanges.digest(
            IRollup(rollup).domainSeparator(), keyX, keyY, accountId, nonce
        );
        bytes4 magic = IContractSigner.isValidSignature.selector;
        bytes memory question = abi.encodeCall(IContractSigner.isValidSignature, (digest, signature));
        // The answer is a bytes4: its other bytes must be zero.
        if (!Ask.says(owner, question, uint256(bytes32(magic)))) revert SignatureRefused(owner);
        _record(ChainId.unwrap(chain), owner, keyX, keyY, nonce);
    }

    /// @inheritdoc IKeyRecorder
    function authPubKey(uint8 home, address owner, uint32 nonce) external view returns (bytes32) {
        return _hashes[home][owner][nonce];
    }

    /// The same key may be recorded again, another may not: a changed mind must not make a committed
    /// block unpayable.
    function _record(uint8 home, address owner, uint256 keyX, uint256 keyY, uint32 nonce) private {
        bytes32 hash = KeyChanges.keyHash(keyX, keyY);
        bytes32 stored = _hashes[home][owner][nonce];
        // No event for a repetition: a loop of them would flood the readers of the logs.
        if (stored == hash) return;
        if (stored != 0) revert KeyAlreadySet(home, owner, nonce);
        _hashes[home][owner][nonce] = hash;
        emit AuthPubKeySet(owner, nonce, home, keyX, keyY);
    }
}
