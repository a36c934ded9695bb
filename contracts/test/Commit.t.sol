// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {IKeyRecorder} from "../src/interfaces/IKeyRecorder.sol";
import {IRollup, OperationsCommit} from "../src/interfaces/IRollup.sol";
import {Field} from "../src/libraries/Field.sol";
import {SerialId} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

contract CommitTest is World {
    address private constant ALICE = address(0xa11ce);
    bytes32 private constant FELT = bytes32(uint256(0x07) << 248 | 0xfe17);
    uint256 private constant KEY = 0x5ec4e7;
    bytes32 private constant CHANGE_TYPE =
        keccak256("ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)");

    // --------------------------------------------------------------- deposits

    function testTakesDepositsInOrder() public {
        depositUsd(spoke, ALICE, 5);
        vm.deal(address(this), 2);
        spoke.depositNative{value: 2}(FELT, 7, 9);
        bytes32[] memory words = Words.join(
            Words.deposit(SPOKE, 4, 3, USD, 5e12, padded(ALICE)),
            Words.depositOf(SPOKE, 5, 9, NATIVE, 2, FELT, 7, 0)
        );
        bytes32 rolling = Words.roll(0, 6, words);
        vm.expectEmit(address(spoke));
        emit IRollup.OperationsCommitted(6, rolling, 2);
        commit(spoke, 6, words);
        eq(spoke.rolling(), rolling, "rolling");
        eq(spoke.unconsumed(T(USD)), 0, "consumed");
        eq(spoke.locked(T(USD)), 5, "still owed");
        _head(2);
    }

    function testFuzzRefusesADepositThatDiffers(uint8 field, uint128 change) public {
        vm.assume(change != 0);
        depositUsd(spoke, ALICE, 5);
        uint8 sub = 3;
        uint16 token = USD;
        uint128 amount = 5e12;
        bytes32 owner = padded(ALICE);
        uint8 home = 0;
        field %= 5;
        if (field == 0) sub ^= uint8(change % 255) + 1;
        if (field == 1) token ^= uint16(change % 65_535) + 1;
        if (field == 2) amount ^= change;
        if (field == 3) owner ^= bytes32(uint256(change) << 120 | change);
        if (field == 4) home ^= uint8(change % 255) + 1;
        _refused(
            Words.depositOf(SPOKE, 4, sub, token, amount, owner, home, 0),
            abi.encodeWithSelector(IRollup.DepositMismatch.selector, 0, 0)
        );
    }

    function testRefusesSkippingRepeatingAndInventing() public {
        depositUsd(spoke, ALICE, 5);
        depositUsd(spoke, ALICE, 6);
        bytes32[] memory first = Words.deposit(SPOKE, 4, 3, USD, 5e12, padded(ALICE));
        bytes32[] memory second = Words.deposit(SPOKE, 4, 3, USD, 6e12, padded(ALICE));
        _refused(second, abi.encodeWithSelector(IRollup.DepositMismatch.selector, 0, 0));
        _refused(
            Words.join(first, first), abi.encodeWithSelector(IRollup.DepositMismatch.selector, 2, 1)
        );
        bytes32[] memory both = Words.join(first, second);
        _refused(
            Words.join(both, second), abi.encodeWithSelector(IRollup.DepositMismatch.selector, 4, 2)
        );
        commit(spoke, 1, both);
    }

    // ------------------------------------------------------------ withdrawals

    function testChecksWithdrawalsAgainstTheRegistry() public {
        commit(spoke, 1, Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE)));
        _refused(
            Words.withdraw(SPOKE, 1, 9, 5, 12, padded(ALICE)),
            abi.encodeWithSelector(IRollup.UnknownToken.selector, 9)
        );
        _refused(
            Words.withdraw(SPOKE, 1, USD, 5, 0, padded(ALICE)),
            abi.encodeWithSelector(IRollup.BadScale.selector, 0, 0, 12)
        );
        _refused(
            Words.withdraw(SPOKE, 1, WIDE, 5, 12, padded(ALICE)),
            abi.encodeWithSelector(IRollup.BadScale.selector, 0, 12, 0)
        );
        bytes32 wide = bytes32(uint256(1) << 160);
        _refused(
            Words.withdraw(SPOKE, 1, USD, 5, 12, FELT),
            abi.encodeWithSelector(IRollup.NotAnAddress.selector, 0, FELT)
        );
        _refused(
            Words.withdraw(SPOKE, 1, USD, 5, 12, wide),
            abi.encodeWithSelector(IRollup.NotAnAddress.selector, 0, wide)
        );
    }

    // ------------------------------------------------------------------ words

    function testRefusesWordsThatAreNoOperations() public {
        _refused(new bytes32[](0), abi.encodeWithSelector(IRollup.NoWords.selector));
        uint8[5] memory codes = [0, 2, 4, 5, 255];
        for (uint256 i = 0; i < codes.length; ++i) {
            bytes32[] memory words = Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE));
            words[0] = words[0] & ~bytes32(uint256(0xff) << 240) | bytes32(uint256(codes[i]) << 240);
            _refused(words, abi.encodeWithSelector(IRollup.BadWord.selector, 0));
        }
        for (uint8 chain = 0; chain < 4; ++chain) {
            if (chain == SPOKE) continue;
            _refused(
                Words.withdraw(chain, 1, USD, 5, 12, padded(ALICE)),
                abi.encodeWithSelector(IRollup.ForeignOperation.selector, 0, chain)
            );
        }
        _refused(
            Words.join(Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE)), new bytes32[](1)),
            abi.encodeWithSelector(IRollup.BadWord.selector, 2)
        );
    }

    function testFuzzRefusesPadding(uint8 kind, uint8 bit) public {
        bytes32[] memory words;
        uint256 padding;
        kind %= 3;
        if (kind == 0) (words, padding) = (Words.deposit(SPOKE, 4, 3, USD, 5, padded(ALICE)), 16);
        if (kind == 1) {
            (words, padding) = (Words.withdraw(SPOKE, 4, USD, 5, 12, padded(ALICE)), 8);
        }
        if (kind == 2) {
            (words, padding) = (Words.changePubKey(SPOKE, 4, 0, padded(ALICE), 1, 2), 104);
        }
        // Below the fields, or in the byte above them.
        uint256 place = uint256(bit) % (padding + 8);
        if (place >= padding) place += 248 - padding;
        words[0] ^= bytes32(1 << place);
        _refused(words, abi.encodeWithSelector(IRollup.BadWord.selector, 0));
    }

    function testRefusesCutOffOperations() public {
        bytes32[] memory one = new bytes32[](1);
        one[0] = Words.withdraw(SPOKE, 4, USD, 5, 12, padded(ALICE))[0];
        _refused(one, abi.encodeWithSelector(IRollup.TruncatedOperation.selector, 0));
        bytes32[] memory whole = Words.changePubKey(SPOKE, 4, 0, padded(ALICE), 1, 2);
        bytes32[] memory three = new bytes32[](3);
        (three[0], three[1], three[2]) = (whole[0], whole[1], whole[2]);
        _refused(three, abi.encodeWithSelector(IRollup.TruncatedOperation.selector, 0));
    }

    function testRefusesRawWordsOutOfRange() public {
        bytes32[] memory words = Words.deposit(SPOKE, 4, 3, USD, 5, padded(ALICE));
        depositUsd(spoke, ALICE, 5);
        words[1] |= bytes32(uint256(1) << 248);
        _refused(words, abi.encodeWithSelector(IRollup.DepositMismatch.selector, 0, 0));
        words = Words.withdraw(SPOKE, 4, USD, 5, 12, padded(ALICE));
        words[1] |= bytes32(uint256(1) << 248);
        bytes32 wide = bytes32(uint256(1) << 248 | uint160(ALICE));
        _refused(words, abi.encodeWithSelector(IRollup.NotAnAddress.selector, 0, wide));
        words = Words.changePubKey(SPOKE, 4, 0, padded(ALICE), Field.MODULUS, 2);
        _refusedWith(
            words, new bytes[](1), abi.encodeWithSelector(IKeyRecorder.WordOutOfRange.selector, 2)
        );
        words = Words.changePubKey(SPOKE, 4, 0, padded(ALICE), 1, type(uint256).max);
        _refusedWith(
            words, new bytes[](1), abi.encodeWithSelector(IKeyRecorder.WordOutOfRange.selector, 3)
        );
    }

    function testNumbersIncrease() public {
        bytes32[] memory words = Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE));
        bytes32 fifth = Words.roll(0, 5, words);
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(IRollup.NumberNotIncreasing.selector, 0, 0));
        spoke.commit(0, one(0, words, new bytes[](0)));
        spoke.commit(0, one(5, words, new bytes[](0)));
        vm.expectRevert(abi.encodeWithSelector(IRollup.NumberNotIncreasing.selector, 5, 5));
        spoke.commit(fifth, one(5, words, new bytes[](0)));
        vm.expectRevert(abi.encodeWithSelector(IRollup.NumberNotIncreasing.selector, 5, 4));
        spoke.commit(fifth, one(4, words, new bytes[](0)));
        spoke.commit(fifth, one(7, words, new bytes[](0)));
        eq(spoke.rolling(), Words.roll(fifth, 7, words), "rolling");
        (uint32 index, bytes32 rolling, SerialId cursor) = spoke.recordOf(N(5));
        eq(index, 1, "index");
        eq(rolling, fifth, "rolling of 5");
        eq(SerialId.unwrap(cursor), 0, "cursor");
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 6));
        spoke.recordOf(N(6));
    }

    function testOnlyTheValidatorCommitsAndReverts() public {
        bytes memory refused = abi.encodeWithSelector(IEndpoint.Forbidden.selector, address(this));
        vm.expectRevert(refused);
        spoke.commit(0, new OperationsCommit[](1));
        vm.expectRevert(refused);
        spoke.revertCommits(N(0), new bytes32[][](0));
    }

    // ------------------------------------------------------------------- keys

    function testKeyChangeBySignature() public {
        address owner = vm.addr(KEY);
        bytes32[] memory words = Words.changePubKey(SPOKE, 0xabcdef, 5, padded(owner), 11, 12);
        bytes[] memory witness = new bytes[](1);
        witness[0] = signature(KEY, _digest(11, 12, 0xabcdef, 5));
        _commitWith(1, words, witness);
        bytes memory refused =
            abi.encodeWithSelector(IKeyRecorder.BadKeySignature.selector, 0, owner);
        bytes32[5] memory others = [
            _digest(12, 12, 0xabcdef, 5),
            _digest(11, 13, 0xabcdef, 5),
            _digest(11, 12, 0xabcdee, 5),
            _digest(11, 12, 0xabcdef, 6),
            keccak256("something else")
        ];
        for (uint256 i = 0; i < others.length; ++i) {
            witness[0] = signature(KEY, others[i]);
            _refusedWith(words, witness, refused);
        }
        witness[0] = signature(KEY + 1, _digest(11, 12, 0xabcdef, 5));
        _refusedWith(words, witness, refused);
        vm.chainId(999);
        witness[0] = signature(KEY, _digest(11, 12, 0xabcdef, 5));
        _commitWith(2, words, witness);
    }

    function testKeySignaturesHaveOneForm() public {
        address owner = vm.addr(KEY);
        bytes32[] memory words = Words.changePubKey(SPOKE, 1, 5, padded(owner), 11, 12);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _digest(11, 12, 1, 5));
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes[] memory witness = new bytes[](1);
        bytes memory refused =
            abi.encodeWithSelector(IKeyRecorder.BadKeySignature.selector, 0, owner);
        witness[0] = abi.encodePacked(r, bytes32(order - uint256(s)), uint8(55 - v));
        _refusedWith(words, witness, refused);
        witness[0] = abi.encodePacked(r, s, v - 27);
        _refusedWith(words, witness, refused);
        witness[0] = abi.encodePacked(bytes32(0), bytes32(0), uint8(27));
        _refusedWith(words, witness, refused);
        // An owner of zero would match the answer for a bad signature.
        bytes32[] memory nobody = Words.changePubKey(SPOKE, 1, 5, 0, 11, 12);
        _refusedWith(
            nobody,
            witness,
            abi.encodeWithSelector(IKeyRecorder.BadKeySignature.selector, 0, address(0))
        );
        witness[0] = new bytes(64);
        _refusedWith(
            words, witness, abi.encodeWithSelector(IKeyRecorder.WitnessLength.selector, 0, 64)
        );
    }

    function testKeyChangeByFact() public {
        bytes32[] memory words = Words.changePubKey(SPOKE, 1, 5, padded(ALICE), 11, 12);
        bytes[] memory witness = new bytes[](1);
        bytes memory refused =
            abi.encodeWithSelector(IKeyRecorder.KeyNotAuthorised.selector, 0, ALICE, 5);
        _refusedWith(words, witness, refused);
        vm.prank(address(0xb0b), address(0xb0b));
        spokeKeys.setAuthPubKey(0, 11, 12, 5);
        _refusedWith(words, witness, refused);
        vm.startPrank(ALICE, ALICE);
        spokeKeys.setAuthPubKey(0, 11, 12, 4);
        spokeKeys.setAuthPubKey(0, 11, 13, 6);
        vm.expectEmit(address(spokeKeys));
        emit IKeyRecorder.AuthPubKeySet(ALICE, 5, 0, 11, 12);
        spokeKeys.setAuthPubKey(0, 11, 12, 5);
        vm.recordLogs();
        spokeKeys.setAuthPubKey(0, 11, 12, 5);
        eq(vm.getRecordedLogs().length, 0, "a repetition makes no event");
        vm.stopPrank();
        vm.assertTrue(spokeKeys.isRecorded(0, ALICE, 11, 12, 5), "stored");
        _commitWith(1, words, witness);
    }

    // ----------------------------------------------------------------- revert

    function testRevertRestoresCursorRollingAndQueue() public {
        depositUsd(spoke, ALICE, 5);
        depositUsd(spoke, ALICE, 6);
        depositNative(spoke, ALICE, 7);
        bytes32[] memory first = Words.deposit(SPOKE, 4, 3, USD, 5e12, padded(ALICE));
        bytes32[] memory rest = Words.join(
            Words.deposit(SPOKE, 4, 3, USD, 6e12, padded(ALICE)),
            Words.deposit(SPOKE, 4, 3, NATIVE, 7, padded(ALICE))
        );
        commit(spoke, 3, first);
        bytes32 kept = spoke.rolling();
        commit(spoke, 5, rest);
        bytes32[] memory last = Words.withdraw(SPOKE, 1, USD, 1, 12, padded(ALICE));
        commit(spoke, 9, last);
        _refusedReverts(first, rest, last);
        revertTo(spoke, 4, _two(rest, last));
        eq(spoke.rolling(), kept, "rolling");
        eq(spoke.unconsumed(T(USD)), 6, "USD is back in the queue");
        eq(spoke.unconsumed(T(NATIVE)), 7, "coins are back in the queue");
        _head(1);
        // The same number may come again, with other content.
        bytes32[][] memory all = new bytes32[][](3);
        all[0] = first;
        all[1] = Words.deposit(SPOKE, 8, 3, USD, 6e12, padded(ALICE));
        all[2] = Words.deposit(SPOKE, 8, 3, NATIVE, 7, padded(ALICE));
        commit(spoke, 5, all[1]);
        commit(spoke, 6, all[2]);
        eq(spoke.unconsumed(T(USD)), 0, "consumed again");
        revertTo(spoke, 0, all);
        eq(spoke.rolling(), 0, "genesis");
        eq(spoke.unconsumed(T(USD)), 11, "all back");
        _head(0);
    }

    function testAckedRecordsStay() public {
        bytes32[] memory words = Words.withdraw(SPOKE, 1, USD, 1, 12, padded(ALICE));
        commit(spoke, 2, words);
        commit(spoke, 4, words);
        commit(spoke, 6, words);
        bytes32 last = spoke.rolling();
        ack(spoke, 4);
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(IRollup.RecordsAreAcked.selector, 4, 3));
        spoke.revertCommits(N(3), _two(words, words));
        spoke.revertCommits(N(4), _one(words));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 6));
        spoke.ack(N(6), last);
        (, bytes32 second,) = spoke.recordOf(N(2));
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 2));
        spoke.ack(N(2), second);
    }

    /// A revert shows the words of exactly the records that go, each as it was committed.
    function _refusedReverts(bytes32[] memory first, bytes32[] memory rest, bytes32[] memory last)
        private
    {
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(IRollup.RevertCount.selector, 2, 1));
        spoke.revertCommits(N(4), _one(last));
        vm.expectPartialRevert(IRollup.ContentMismatch.selector);
        spoke.revertCommits(N(4), _two(last, rest));
        vm.expectPartialRevert(IRollup.ContentMismatch.selector);
        spoke.revertCommits(N(4), _two(first, last));
        vm.stopPrank();
    }

    function _one(bytes32[] memory a) private pure returns (bytes32[][] memory list) {
        list = new bytes32[][](1);
        list[0] = a;
    }

    function _two(bytes32[] memory a, bytes32[] memory b)
        private
        pure
        returns (bytes32[][] memory list)
    {
        list = new bytes32[][](2);
        (list[0], list[1]) = (a, b);
    }

    // ---------------------------------------------------------------- helpers

    function _digest(uint256 x, uint256 y, uint32 account, uint32 nonce)
        private
        view
        returns (bytes32)
    {
        bytes32 inner = keccak256(abi.encode(CHANGE_TYPE, x, y, account, nonce));
        return keccak256(abi.encodePacked(hex"1901", spokeKeys.domainSeparator(), inner));
    }

    function _head(uint256 expected) private view {
        eq(SerialId.unwrap(spoke.queueHead()), expected, "queue head");
    }

    function _commitWith(uint32 number, bytes32[] memory words, bytes[] memory witness) private {
        commitWith(spoke, number, words, witness);
    }

    function _refused(bytes32[] memory words, bytes memory reason) private {
        _refusedWith(words, new bytes[](0), reason);
    }

    function _refusedWith(bytes32[] memory words, bytes[] memory witness, bytes memory reason)
        private
    {
        bytes32 previous = spoke.rolling();
        OperationsCommit[] memory blocks = one(77, words, witness);
        vm.expectRevert(reason);
        vm.prank(validator);
        spoke.commit(previous, blocks);
    }
}
