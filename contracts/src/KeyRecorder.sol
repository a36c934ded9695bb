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
    /// Another type than that of key pairs, with the owner in it: wallets exist that confirm whatever
    /// their owner signed, and a signature for one must not serve another, nor one that a key pair
    /// published for itself.
    bytes32 private constant CONTRACT_TYPE = keccak256(
        "ContractPubKey(address owner,uint8 home,uint256 keyX,uint256 keyY,uint32 nonce)"
    );

    /// @inheritdoc IKeyRecorder
    address public immutable rollup;
    /// @inheritdoc IKeyRecorder
    ChainId public immutable chain;

    /// By the hash of home, owner, nonce and key. Home is a part of it: a contract of this chain and a
    /// key pair with the same address are two owners.
    mapping(bytes32 => bool) private _recorded;

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
        uint32 nonce,
        bytes calldata signature
    ) external {
        if (owner.code.length == 0) revert NoContract(owner);
        uint8 home = ChainId.unwrap(chain);
        bytes32 digest = _typed(abi.encode(CONTRACT_TYPE, owner, home, keyX, keyY, nonce));
        bytes4 magic = IContractSigner.isValidSignature.selector;
        bytes memory question =
            abi.encodeCall(IContractSigner.isValidSignature, (digest, signature));
        // The answer is a bytes4: its other bytes must be zero.
        if (!Ask.says(owner, question, uint256(bytes32(magic)))) revert SignatureRefused(owner);
        _record(home, owner, keyX, keyY, nonce);
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
            if (!isRecorded(home, owner, keyX, keyY, nonce)) {
                revert KeyNotAuthorised(index, owner, nonce);
            }
            return;
        }
        if (witness.length != 65 || home != 0) revert WitnessLength(index, witness.length);
        uint32 account = uint24(word >> 208);
        bytes32 digest = _typed(abi.encode(CHANGE_TYPE, keyX, keyY, account, nonce));
        address signer = Signatures.recover(digest, witness);
        if (signer == address(0) || signer != owner) revert BadKeySignature(index, owner);
    }

    /// @inheritdoc IKeyRecorder
    function domainSeparator() public view returns (bytes32) {
        bytes32 name = keccak256("zkLink");
        return keccak256(abi.encode(DOMAIN_TYPE, name, keccak256("1"), block.chainid, rollup));
    }

    /// @inheritdoc IKeyRecorder
    function isRecorded(uint8 home, address owner, uint256 keyX, uint256 keyY, uint32 nonce)
        public
        view
        returns (bool)
    {
        return _recorded[_place(home, owner, keyX, keyY, nonce)];
    }

    /// Several keys may be recorded for one nonce, of which one is used on L2: a mistake must not lock
    /// an account for good. None is ever taken back: a changed mind must not make a committed block
    /// unpayable.
    function _record(uint8 home, address owner, uint256 keyX, uint256 keyY, uint32 nonce) private {
        if (keyX >= Field.MODULUS || keyY >= Field.MODULUS) revert BadKey(keyX, keyY);
        bytes32 place = _place(home, owner, keyX, keyY, nonce);
        // No event for a repetition: a loop of them would flood the readers of the logs.
        if (_recorded[place]) return;
        _recorded[place] = true;
        emit AuthPubKeySet(owner, nonce, home, keyX, keyY);
    }

    function _place(uint8 home, address owner, uint256 keyX, uint256 keyY, uint32 nonce)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(home, owner, keyX, keyY, nonce));
    }

    /// The EIP-712 digest of a structure that is encoded already.
    function _typed(bytes memory encoded) private view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), keccak256(encoded)));
    }
}
