// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../interfaces/IRollup.sol";
import {Keys} from "../Layout.sol";
import {ChangePubKeyOp} from "./Pubdata.sol";
import {Signatures} from "./Signatures.sol";

/// @title Whether an owner wants an L2 key: by a signature, or by a transaction before
library KeyChanges {
    bytes32 internal constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 internal constant CHANGE_TYPE =
        keccak256("ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)");

    /// @notice Books the caller's key for a nonce. The same key may be booked again, another may
    ///         not: a changed mind must not make a committed block unpayable.
    /// @return fresh whether it was not booked before.
    function authorise(Keys storage keys, address owner, uint256 keyX, uint256 keyY, uint32 nonce)
        internal
        returns (bool fresh)
    {
        bytes32 hash = keccak256(abi.encode(keyX, keyY));
        bytes32 stored = keys.hashes[owner][nonce];
        if (stored != 0 && stored != hash) revert IRollup.KeyAlreadySet(owner, nonce);
        keys.hashes[owner][nonce] = hash;
        return stored == 0;
    }

    /// @notice Refuses the key change at word `i` unless `owner` authorised it.
    function check(
        Keys storage keys,
        bytes32 separator,
        ChangePubKeyOp memory op,
        address owner,
        bytes calldata witness,
        uint256 i
    ) internal view {
        if (witness.length == 0) {
            bytes32 hash = keccak256(abi.encode(op.keyX, op.keyY));
            if (keys.hashes[owner][op.nonce] != hash) {
                revert IRollup.KeyNotAuthorised(i, owner, op.nonce);
            }
            return;
        }
        if (witness.length != 65) revert IRollup.WitnessLength(i, witness.length);
        bytes32 inner = keccak256(abi.encode(CHANGE_TYPE, op.keyX, op.keyY, op.account, op.nonce));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", separator, inner));
        address signer = Signatures.recover(digest, witness);
        if (signer == address(0) || signer != owner) revert IRollup.BadKeySignature(i, owner);
    }

    function domainSeparator() internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN_TYPE, keccak256("zkLink"), keccak256("1"), block.chainid, address(this)
            )
        );
    }
}
