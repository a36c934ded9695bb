// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../src/interfaces/IRollup.sol";
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
        spoke.depositNative{value: 2}(FELT, 9);
        bytes32[] memory words = Words.join(
            Words.deposit(SPOKE, 4, 3, USD, 5e12, padded(ALICE)),
            Words.deposit(SPOKE, 5, 9, NATIVE, 2, FELT)
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
        field %= 4;
        if (field == 0) sub ^= uint8(change % 255) + 1;
        if (field == 1) token ^= uint16(change % 65_535) + 1;
        if (field == 2) amount ^= change;
        if (field == 3) owner ^= bytes32(uint256(change) << 120 | change);
        _refused(
            Words.deposit(SPOKE, 4, sub, token, amount, owner),
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
        if (kind == 0) (words, padding) = (Words.deposit(SPOKE, 4, 3, USD, 5, padded(ALICE)), 48);
        if (kind == 1) {
            (words, padding) = (Words.withdraw(SPOKE, 4, USD, 5, 12, padded(ALICE)), 24);
        }
        if (kind == 2) {
            (words, padding) = (Words.changePubKey(SPOKE, 4, 0, padded(ALICE), 1, 2), 128);
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
        words[1] |= bytes32(uint256(1) << 248);
        _refused(words, abi.encodeWithSelector(IRollup.WordOutOfRange.selector, 1));
        words = Words.changePubKey(SPOKE, 4, 0, padded(ALICE), Field.MODULUS, 2);
        _refusedWith(
            words, new bytes[](1), abi.encodeWithSelector(IRollup.WordOutOfRange.selector, 2)
        );
        words = Words.changePubKey(SPOKE, 4, 0, padded(ALICE), 1, type(uint256).max);
        _refusedWith(
            words, new bytes[](1), abi.encodeWithSelector(IRollup.WordOutOfRange.selector, 3)
        );
    }

    function testNumbersIncrease() public {
        bytes32[] memory words = Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE));
        bytes32 fifth = Words.roll(0, 5, words);
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(IRollup.NumberNotIncreasing.selector, 0, 0));
        spoke.commit(N(0), 0, words, new bytes[](0));
        spoke.commit(N(5), 0, words, new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IRollup.NumberNotIncreasing.selector, 5, 5));
        spoke.commit(N(5), fifth, words, new bytes[](0));
        vm.expectRevert(abi.encodeWithSelector(IRollup.NumberNotIncreasing.selector, 5, 4));
        spoke.commit(N(4), fifth, words, new bytes[](0));
        spoke.commit(N(7), fifth, words, new bytes[](0));
        eq(spoke.rolling(), Words.roll(fifth, 7, words), "rolling");
        (uint32 index, bytes32 rolling, SerialId cursor) = spoke.recordOf(N(5));
        eq(index, 1, "index");
        eq(rolling, fifth, "rolling of 5");
        eq(SerialId.unwrap(cursor), 0, "cursor");
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 6));
        spoke.recordOf(N(6));
    }

    function testOnlyTheValidatorCommitsAndReverts() public {
        bytes memory refused = abi.encodeWithSelector(IRollup.Forbidden.selector, address(this));
        vm.expectRevert(refused);
        spoke.commit(N(1), 0, new bytes32[](1), new bytes[](0));
        vm.expectRevert(refused);
        spoke.revertCommits(N(0));
    }

    // ------------------------------------------------------------------- keys

    function testKeyChangeBySignature() public {
        address owner = vm.addr(KEY);
        bytes32[] memory words = Words.changePubKey(SPOKE, 0xabcdef, 5, padded(owner), 11, 12);
        bytes[] memory witness = new bytes[](1);
        witness[0] = signature(KEY, _digest(11, 12, 0xabcdef, 5));
        _commitWith(1, words, witness);
        bytes memory refused = abi.encodeWithSelector(IRollup.BadKeySignature.selector, 0, owner);
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

    function testTheDomainIsTheSpecifiedOne() public view {
        bytes32 expected = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("zkLink"),
                keccak256("1"),
                block.chainid,
                address(spoke)
            )
        );
        eq(spoke.domainSeparator(), expected, "domain");
    }

    function testKeySignaturesHaveOneForm() public {
        address owner = vm.addr(KEY);
        bytes32[] memory words = Words.changePubKey(SPOKE, 1, 5, padded(owner), 11, 12);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _digest(11, 12, 1, 5));
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        bytes[] memory witness = new bytes[](1);
        bytes memory refused = abi.encodeWithSelector(IRollup.BadKeySignature.selector, 0, owner);
        witness[0] = abi.encodePacked(r, bytes32(order - uint256(s)), uint8(55 - v));
        _refusedWith(words, witness, refused);
        witness[0] = abi.encodePacked(r, s, v - 27);
        _refusedWith(words, witness, refused);
        witness[0] = abi.encodePacked(bytes32(0), bytes32(0), uint8(27));
        _refusedWith(words, witness, refused);
        // An owner of zero would match the answer for a bad signature.
        bytes32[] memory nobody = Words.changePubKey(SPOKE, 1, 5, 0, 11, 12);
        _refusedWith(
            nobody, witness, abi.encodeWithSelector(IRollup.BadKeySignature.selector, 0, address(0))
        );
        witness[0] = new bytes(64);
        _refusedWith(words, witness, abi.encodeWithSelector(IRollup.WitnessLength.selector, 0, 64));
    }

    function testKeyChangeByFact() public {
        bytes32[] memory words = Words.changePubKey(SPOKE, 1, 5, padded(ALICE), 11, 12);
        bytes[] memory witness = new bytes[](1);
        bytes memory refused =
            abi.encodeWithSelector(IRollup.KeyNotAuthorised.selector, 0, ALICE, 5);
        _refusedWith(words, witness, refused);
        vm.prank(address(0xb0b));
        spoke.setAuthPubKey(11, 12, 5);
        _refusedWith(words, witness, refused);
        vm.startPrank(ALICE);
        spoke.setAuthPubKey(11, 12, 4);
        spoke.setAuthPubKey(11, 13, 6);
        vm.expectEmit(address(spoke));
        emit IRollup.AuthPubKeySet(ALICE, 5, 11, 12);
        spoke.setAuthPubKey(11, 12, 5);
        vm.expectRevert(abi.encodeWithSelector(IRollup.KeyAlreadySet.selector, ALICE, 5));
        spoke.setAuthPubKey(11, 13, 5);
        vm.recordLogs();
        spoke.setAuthPubKey(11, 12, 5);
        eq(vm.getRecordedLogs().length, 0, "a repetition makes no event");
        vm.stopPrank();
        eq(spoke.authPubKey(ALICE, 5), keccak256(abi.encode(11, 12)), "stored");
        _commitWith(1, words, witness);
    }

    function testWitnessesMatchTheKeyChanges() public {
        vm.prank(ALICE);
        spoke.setAuthPubKey(11, 12, 5);
        bytes32[] memory words = Words.changePubKey(SPOKE, 1, 5, padded(ALICE), 11, 12);
        _refusedWith(
            words, new bytes[](0), abi.encodeWithSelector(IRollup.WitnessCount.selector, 1, 0)
        );
        _refusedWith(
            words, new bytes[](2), abi.encodeWithSelector(IRollup.WitnessCount.selector, 1, 2)
        );
        _refusedWith(
            Words.changePubKey(SPOKE, 1, 5, FELT, 11, 12),
            new bytes[](1),
            abi.encodeWithSelector(IRollup.NotAnAddress.selector, 0, FELT)
        );
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
        commit(spoke, 9, Words.withdraw(SPOKE, 1, USD, 1, 12, padded(ALICE)));
        vm.prank(validator);
        spoke.revertCommits(N(4));
        eq(spoke.rolling(), kept, "rolling");
        eq(spoke.unconsumed(T(USD)), 6, "USD is back in the queue");
        eq(spoke.unconsumed(T(NATIVE)), 7, "coins are back in the queue");
        _head(1);
        // The same number may come again, with other content.
        commit(spoke, 5, Words.deposit(SPOKE, 8, 3, USD, 6e12, padded(ALICE)));
        commit(spoke, 6, Words.deposit(SPOKE, 8, 3, NATIVE, 7, padded(ALICE)));
        eq(spoke.unconsumed(T(USD)), 0, "consumed again");
        vm.prank(validator);
        spoke.revertCommits(N(0));
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
        spoke.revertCommits(N(3));
        spoke.revertCommits(N(4));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 6));
        spoke.ack(N(6), last);
        (, bytes32 second,) = spoke.recordOf(N(2));
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 2));
        spoke.ack(N(2), second);
    }

    // ---------------------------------------------------------------- helpers

    function _digest(uint256 x, uint256 y, uint32 account, uint32 nonce)
        private
        view
        returns (bytes32)
    {
        bytes32 inner = keccak256(abi.encode(CHANGE_TYPE, x, y, account, nonce));
        return keccak256(abi.encodePacked(hex"1901", spoke.domainSeparator(), inner));
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
        vm.expectRevert(reason);
        vm.prank(validator);
        spoke.commit(N(77), previous, words, witness);
    }
}
