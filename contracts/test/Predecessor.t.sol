// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../src/interfaces/IRollup.sol";
import {BlockNumber} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

/// @dev Commits and acks name what they follow, so that a transaction that is mined on another
///      branch of the chain than it was made for does nothing.
contract PredecessorTest is World {
    address private constant ALICE = address(0xa11ce);

    /// A reorganisation takes block 3 away and leaves the transaction with block 5, whose deposits
    /// are none: without its predecessor it is refused, before and after another block came.
    function testACommitWithoutTheOneBeforeItIsRefused() public {
        bytes32[] memory third = Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE));
        bytes32[] memory fifth = Words.withdraw(SPOKE, 1, USD, 6, 12, padded(ALICE));
        bytes32 afterThird = Words.roll(0, 3, third);
        vm.startPrank(validator);
        spoke.commit(0, one(3, third, new bytes[](0)));
        spoke.commit(afterThird, one(5, fifth, new bytes[](0)));
        bytes32 both = spoke.rolling();
        bytes32[][] memory gone = new bytes32[][](2);
        (gone[0], gone[1]) = (third, fifth);
        spoke.revertCommits(N(0), gone);
        bytes memory gap = abi.encodeWithSelector(IRollup.WrongPredecessor.selector, 0, afterThird);
        vm.expectRevert(gap);
        spoke.commit(afterThird, one(5, fifth, new bytes[](0)));
        // Another block 3 is no predecessor either.
        spoke.commit(0, one(3, fifth, new bytes[](0)));
        bytes32 other = spoke.rolling();
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.WrongPredecessor.selector, other, afterThird)
        );
        spoke.commit(afterThird, one(5, fifth, new bytes[](0)));
        gone = new bytes32[][](1);
        gone[0] = fifth;
        spoke.revertCommits(N(0), gone);
        spoke.commit(0, one(3, third, new bytes[](0)));
        spoke.commit(afterThird, one(5, fifth, new bytes[](0)));
        vm.stopPrank();
        eq(spoke.rolling(), both, "as if nothing had happened");
    }

    function testFuzzACommitNamesTheLastContentAndNoOther(bytes32 change, bool first) public {
        vm.assume(change != 0);
        bytes32[] memory words = Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE));
        if (!first) commit(spoke, 3, words);
        bytes32 held = spoke.rolling();
        bytes memory reason =
            abi.encodeWithSelector(IRollup.WrongPredecessor.selector, held, held ^ change);
        vm.startPrank(validator);
        vm.expectRevert(reason);
        spoke.commit(held ^ change, one(4, words, new bytes[](0)));
        spoke.commit(held, one(4, words, new bytes[](0)));
        vm.stopPrank();
    }

    /// A gap is told as a gap, although the deposits of the later block would be refused, too.
    function testAGapIsNamedBeforeTheDeposits() public {
        depositUsd(spoke, ALICE, 5);
        depositUsd(spoke, ALICE, 6);
        bytes32[] memory second = Words.deposit(SPOKE, 4, 3, USD, 6e12, padded(ALICE));
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.WrongPredecessor.selector, 0, bytes32(uint256(1)))
        );
        vm.prank(validator);
        spoke.commit(bytes32(uint256(1)), one(2, second, new bytes[](0)));
    }

    /// Whoever acknowledges makes final what he saw: after a reorganisation the same call does not
    /// fix what came in its place.
    function testAStrangersAckOfOtherContentIsRefused() public {
        commit(spoke, 2, Words.withdraw(SPOKE, 1, USD, 1, 12, padded(ALICE)));
        bytes32 seen = spoke.rolling();
        revertTo(spoke, 0, _gone(1));
        commit(spoke, 2, Words.withdraw(SPOKE, 1, USD, 2, 12, padded(ALICE)));
        bytes32 held = spoke.rolling();
        vm.startPrank(address(0xbad));
        vm.expectRevert(abi.encodeWithSelector(IRollup.ContentMismatch.selector, 2, held, seen));
        spoke.ack(N(2), seen);
        vm.expectRevert(abi.encodeWithSelector(IRollup.ContentMismatch.selector, 2, held, 0));
        spoke.ack(N(2), 0);
        vm.stopPrank();
        eq(BlockNumber.unwrap(spoke.lastAcked()), 0, "nothing is final");
        revertTo(spoke, 0, _gone(2));
        eq(spoke.rolling(), 0, "it can still be taken back");
    }

    function _gone(uint128 amount) private pure returns (bytes32[][] memory list) {
        list = new bytes32[][](1);
        list[0] = Words.withdraw(SPOKE, 1, USD, amount, 12, padded(ALICE));
    }

    /// An ack of an earlier record names the content there, not the last one.
    function testFuzzAnAckNamesTheContentOfItsRecord(uint8 which, bytes32 change) public {
        vm.assume(change != 0);
        bytes32[] memory words = Words.withdraw(SPOKE, 1, USD, 5, 12, padded(ALICE));
        bytes32[3] memory contents;
        for (uint32 i = 0; i < 3; ++i) {
            commit(spoke, 10 + i, words);
            contents[i] = spoke.rolling();
        }
        which %= 3;
        uint32 number = 10 + which;
        bytes32 held = contents[which];
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.ContentMismatch.selector, number, held, held ^ change)
        );
        spoke.ack(N(number), held ^ change);
        spoke.ack(N(number), held);
        eq(BlockNumber.unwrap(spoke.lastAcked()), number, "acked");
    }
}
