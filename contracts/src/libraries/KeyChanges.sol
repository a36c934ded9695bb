// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "../interfaces/IKeyRecorder.sol";
import {IRollup} from "../interfaces/IRollup.sol";
import {ChainId} from "../types/Ids.sol";
import {ChangePubKeyOp, Pubdata} from "./Pubdata.sol";
import {Signatures} from "./Signatures.sol";

/// @title Whether an owner wants an L2 key
/// @dev A key pair (home 0) says so by a signature, or by a transaction that it sent itself; a
///      contract on its own chain only, by the key recorder. What a commit relies on cannot change
///      any more: a signature of a key pair is good for ever, a record too.
library KeyChanges {
    bytes32 internal constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 internal constant CHANGE_TYPE =
        keccak256("ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)");

    /// @notice Refuses the key change at word `i` unless its owner authorised it on chain `self`.
    function check(
        IKeyRecorder recorder,
        ChainId self,
        ChangePubKeyOp memory op,
        bytes calldata witness,
        uint256 i
    ) internal view {
        if (op.home != 0 && op.home != ChainId.unwrap(self)) {
            revert IRollup.ForeignHome(i, op.home);
        }
        address owner = Pubdata.toAddress(op.owner, i);
        if (witness.length == 0) {
            bytes32 recorded = recorder.authPubKey(op.home, owner, op.nonce);
            if (recorded != keyHash(op.keyX, op.keyY)) {
                revert IRollup.KeyNotAuthorised(i, owner, op.nonce);
            }
            return;
        }
        if (witness.length != 65 || op.home != 0) revert IRollup.WitnessLength(i, witness.length);
        bytes32 hash = digest(domainSeparator(), op.keyX, op.keyY, op.account, op.nonce);
        address signer = Signatures.recover(hash, witness);
        if (signer == address(0) || signer != owner) revert IRollup.BadKeySignature(i, owner);
    }

    /// @notice What an owner signs.
    function digest(bytes32 separator, uint256 keyX, uint256 keyY, uint32 account, uint32 nonce)
        internal
        pure
        returns (bytes32)
    {
        bytes32 inner = keccak256(abi.encode(CHANGE_TYPE, keyX, keyY, account, nonce));
        return keccak256(abi.encodePacked(hex"1901", separator, inner));
    }

    /// @notice What is recorded of a key.
    function keyHash(uint256 keyX, uint256 keyY) internal pure returns (bytes32) {
        return keccak256(abi.encode(keyX, keyY));
    }

    /// @notice The EIP-712 domain of this contract.
    function domainSeparator() internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN_TYPE, keccak256("zkLink"), keccak256("1"), block.chainid, address(this)
            )
        );
    }
}
