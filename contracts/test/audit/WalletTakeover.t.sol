// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "../../src/interfaces/IKeyRecorder.sol";
import {OperationsCommit} from "../../src/interfaces/IRollup.sol";
import {World} from "../base/World.sol";
import {Words} from "../base/Words.sol";

/// @dev Fault 1: whoever controlled the address of a contract wallet on another chain took its
///      account, because any chain could change the key.
contract WalletTakeoverTest is World {
    address private constant WALLET = address(0x5afe);

    /// The same address is the DAO's wallet on the hub's chain and the thief's contract here.
    function testTheSameAddressOnAnotherChainChangesNoKey() public {
        vm.etch(WALLET, hex"00");
        vm.deal(WALLET, 10);
        vm.prank(WALLET);
        near.depositNative{value: 10}(padded(WALLET), HUB, 0);
        // The thief cannot record for the wallet's home, nor as a key pair; only for his own chain.
        vm.startPrank(WALLET, address(0xbad));
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.BadHome.selector, HUB));
        spokeKeys.setAuthPubKey(HUB, 666, 667, 0);
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.NotAKeyPair.selector, WALLET));
        spokeKeys.setAuthPubKey(0, 666, 667, 0);
        spokeKeys.setAuthPubKey(SPOKE, 666, 667, 0);
        vm.stopPrank();
        _refused(HUB, abi.encodeWithSelector(IKeyRecorder.ForeignHome.selector, 0, HUB));
        _refused(0, abi.encodeWithSelector(IKeyRecorder.KeyNotAuthorised.selector, 0, WALLET, 0));
    }

    function _refused(uint8 home, bytes memory reason) private {
        bytes32[] memory words = Words.changePubKeyOf(SPOKE, 4, 0, padded(WALLET), home, 666, 667);
        OperationsCommit[] memory blocks = one(1, words, new bytes[](1));
        vm.prank(validator);
        vm.expectRevert(reason);
        spoke.commit(0, blocks);
    }
}
