// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup, OperationsCommit, Portion} from "../src/interfaces/IRollup.sol";
import {BlockNumber} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";
import {Recipient} from "./hostile/Recipients.sol";
import {MoodyToken} from "./hostile/Tokens.sol";

/// @dev Payouts in portions, their gas, refunds and redirected claims.
contract PortionsTest is World {
    address private constant ALICE = address(0xa11ce);
    uint256 private constant TX_CAP = 1 << 24;
    uint16 private constant MOODY = 100;
    MoodyToken[32] private moody;

    function _registerAll() internal override {
        super._registerAll();
        vm.startPrank(governor);
        for (uint16 i = 0; i < 32; ++i) {
            moody[i] = new MoodyToken();
            spoke.addToken(T(MOODY + i), address(moody[i]), 18, 0);
        }
        vm.stopPrank();
    }

    /// Seventy withdrawals: three chunks, paid in two calls, the first of them a part of a block.
    function testABlockIsPaidInPortions() public {
        bytes32[] memory words = _block(70);
        bytes32[] memory hashes = Words.chunks(Words.filter(words, true));
        Portion[] memory portions = new Portion[](1);
        portions[0] = _portion(words, hashes, 0, 1);
        vm.expectEmit(address(spoke));
        emit IRollup.ChunksPaid(2, 1);
        spoke.pay(portions);
        eq(spoke.chunksPaid(), 1, "one chunk");
        eq(BlockNumber.unwrap(spoke.lastPaid()), 1, "not to the end");
        eq(_receiver(31).balance, 1, "last of the first chunk");
        eq(_receiver(32).balance, 0, "first of the second");
        _badPortion(_portion(words, hashes, 0, 1), 1);
        _badPortion(_portion(words, hashes, 2, 1), 1);
        portions[0] = _portion(words, hashes, 1, 2);
        vm.expectEmit(address(spoke));
        emit IRollup.OperationsPaid(2);
        spoke.pay(portions);
        eq(spoke.chunksPaid(), 0, "next block");
        eq(BlockNumber.unwrap(spoke.lastPaid()), 2, "to the end");
        for (uint256 i = 0; i < 70; ++i) {
            eq(_receiver(i).balance, 1, "paid once");
        }
    }

    function testPortionsAreWholeChunksOfTheirBlock() public {
        bytes32[] memory words = _block(70);
        bytes32[] memory hashes = Words.chunks(Words.filter(words, true));
        Portion memory portion = _portion(words, hashes, 0, 1);
        // Half a chunk, no chunk, a chunk that is not the block's, other hashes.
        portion.words = Words.cut(portion.words, 0, 62);
        _badPortion(portion, 0);
        portion.words = new bytes32[](0);
        _badPortion(portion, 0);
        portion = _portion(words, hashes, 0, 1);
        portion.words[1] ^= bytes32(uint256(1));
        _mismatch(portion);
        portion = _portion(words, hashes, 0, 1);
        portion.behind[0] ^= bytes32(uint256(1));
        _mismatch(portion);
        portion = _portion(words, hashes, 0, 1);
        portion.rest ^= bytes32(uint256(1));
        _mismatch(portion);
        // The last chunk twice, and the second one in the place of the first.
        portion = _portion(words, hashes, 0, 3);
        portion.words = Words.join(portion.words, Words.cut(portion.words, 128, 12));
        _mismatch(portion);
        portion = _portion(words, hashes, 1, 1);
        portion.before = new bytes32[](0);
        _mismatch(portion);
    }

    /// Several blocks in one call, one of them without withdrawals.
    function testOneCallPaysSeveralBlocks() public {
        bytes32[] memory words = _block(3);
        usd.mint(address(this), 5);
        usd.approve(address(spoke), 5);
        spoke.depositERC20(T(USD), 5, padded(ALICE), 0, 3);
        bytes32[] memory none = Words.deposit(SPOKE, 4, 3, USD, 5e12, padded(ALICE));
        _release(3, none);
        _release(4, _withdrawals(2));
        Portion[] memory portions = new Portion[](3);
        portions[0] = whole(2, words)[0];
        portions[1] = whole(3, none)[0];
        portions[2] = whole(4, _withdrawals(2))[0];
        spoke.pay(portions);
        eq(BlockNumber.unwrap(spoke.lastPaid()), 4, "all three");
        eq(_receiver(0).balance, 2, "twice");
    }

    /// The dearest chunk: 32 tokens that burn their allowance, 32 owners without a claim before.
    function testGasOfTheWorstChunkIsBelowTheStatedGas() public {
        bytes32[] memory words = new bytes32[](0);
        bytes32[] memory deposits = new bytes32[](0);
        for (uint16 i = 0; i < 32; ++i) {
            moody[i].mint(address(this), 1e18);
            spoke.depositERC20(T(MOODY + i), 1e18, padded(ALICE), 0, 3);
            deposits =
                Words.join(deposits, Words.deposit(SPOKE, 4, 3, MOODY + i, 1e18, padded(ALICE)));
            uint128 amount = uint128(uint56(uint256(keccak256(abi.encode(i)))));
            bytes32 owner = padded(address(uint160(uint256(keccak256(abi.encode("o", i))))));
            words = Words.join(words, Words.withdraw(SPOKE, 4, MOODY + i, amount, 0, owner));
            moody[i].become(MoodyToken.Mood.BurnGas);
        }
        _release(1, deposits);
        pay(spoke, 1, deposits);
        _release(2, words);
        bytes memory data = abi.encodeCall(IRollup.pay, (whole(2, words)));
        uint256 intrinsic = 21_000;
        for (uint256 i = 0; i < data.length; ++i) {
            intrinsic += data[i] == 0 ? 4 : 16;
        }
        uint256 limit = spoke.payGas(1, 32);
        vm.assertLe(limit, TX_CAP, "fits a transaction");
        _cool();
        address target = address(spoke);
        uint256 given = limit - intrinsic;
        bool ok;
        uint256 used;
        assembly {
            let before := gas()
            ok := call(given, target, 0, add(data, 32), mload(data), 0, 0)
            used := sub(before, gas())
        }
        vm.assertTrue(ok, "within the stated gas");
        eq(spoke.pendingTotal(T(MOODY + 31)) != 0 ? 1 : 0, 1, "all deferred");
        vm.snapshotValue("gas", "pay, worst chunk", used + intrinsic);
        vm.snapshotValue("gas", "pay, stated gas of a chunk", limit);
    }

    function _cool() private {
        vm.cool(address(spoke));
        for (uint256 i = 0; i < 32; ++i) {
            vm.cool(address(moody[i]));
        }
    }

    // ----------------------------------------------------------------- refunds

    /// Deposits that a block refuses: the cursor moves, nobody is credited, and the payer has a
    /// claim once the block is released here.
    function testRefusedDepositsAreRefunded() public {
        address payer = address(0xfeed);
        vm.deal(payer, 9);
        vm.prank(payer);
        spoke.depositNative{value: 9}(padded(ALICE), 0, 3);
        depositNative(spoke, ALICE, 7);
        bytes32[] memory words = Words.join(
            Words.depositOf(SPOKE, 0, 3, NATIVE, 9, padded(ALICE), 0, 1),
            Words.deposit(SPOKE, 4, 3, NATIVE, 7, padded(ALICE))
        );
        OperationsCommit[] memory blocks = one(1, words, new bytes[](0));
        blocks[0].payers[0] = payer;
        vm.prank(validator);
        spoke.commit(0, blocks);
        eq(spoke.unconsumed(T(NATIVE)), 9, "the refused one stays reserved");
        address[] memory payers = blocks[0].payers;
        bytes32[] memory none = new bytes32[](0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 1));
        spoke.refund(N(1), words, none, 0, payers);
        ack(spoke, 1);
        relay(hubOracle, spokeOracle, releasePayload(1, GENESIS, spoke.rolling()));
        vm.expectPartialRevert(IRollup.ContentMismatch.selector);
        spoke.refund(N(1), Words.cut(words, 0, 2), none, 0, payers);
        address[] memory wrong = new address[](1);
        wrong[0] = address(this);
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositMismatch.selector, 0, 0));
        spoke.refund(N(1), words, none, 0, wrong);
        vm.expectEmit(address(spoke));
        emit IRollup.DepositRefunded(0, NATIVE, payer, 9);
        spoke.refund(N(1), words, none, 0, payers);
        spoke.refund(N(1), words, none, 0, payers);
        spoke.refund(N(1), words, none, 1, wrong);
        eq(spoke.pending(payer, T(NATIVE)), 9, "once");
        eq(spoke.unconsumed(T(NATIVE)), 0, "settled");
        (,, uint8 state) = spoke.queued(serial(0));
        eq(state, 3, "refunded");
        spoke.claim(payer, T(NATIVE));
        eq(payer.balance, 9, "back");
        eq(spoke.locked(T(NATIVE)), 7, "what is credited");
    }

    function testOutcomesAreZeroOrOne() public {
        depositNative(spoke, ALICE, 7);
        bytes memory reason = abi.encodeWithSelector(IRollup.BadOutcome.selector, 0);
        _refused(Words.depositOf(SPOKE, 0, 3, NATIVE, 7, padded(ALICE), 0, 2), 1, reason);
        _refused(Words.depositOf(SPOKE, 4, 3, NATIVE, 7, padded(ALICE), 0, 1), 1, reason);
        bytes32[] memory words = Words.depositOf(SPOKE, 0, 3, NATIVE, 7, padded(ALICE), 0, 1);
        _refused(words, 0, abi.encodeWithSelector(IRollup.PayerCount.selector, 1, 0));
        _refused(words, 2, abi.encodeWithSelector(IRollup.PayerCount.selector, 1, 2));
        commit(spoke, 1, words);
        bytes32[][] memory gone = new bytes32[][](1);
        gone[0] = words;
        revertTo(spoke, 0, gone);
        eq(spoke.unconsumed(T(NATIVE)), 7, "counted once");
        commit(spoke, 1, Words.deposit(SPOKE, 4, 3, NATIVE, 7, padded(ALICE)));
        eq(spoke.unconsumed(T(NATIVE)), 0, "done this time");
    }

    function _refused(bytes32[] memory words, uint256 payers, bytes memory reason) private {
        OperationsCommit[] memory blocks = one(1, words, new bytes[](0));
        blocks[0].payers = new address[](payers);
        for (uint256 i = 0; i < payers; ++i) {
            blocks[0].payers[i] = address(this);
        }
        vm.prank(validator);
        vm.expectRevert(reason);
        spoke.commit(0, blocks);
    }

    /// A claim that cannot be paid where it stands goes where its owner says; nobody else can say.
    function testAClaimIsRedirectedByItsOwner() public {
        Recipient stuck = new Recipient();
        stuck.become(Recipient.Mood.Refuse);
        bytes32[] memory words = Words.withdraw(SPOKE, 4, NATIVE, 50, 0, padded(address(stuck)));
        _fund();
        _release(2, words);
        pay(spoke, 2, words);
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.NothingToClaim.selector, address(this), NATIVE)
        );
        spoke.claimTo(T(NATIVE), ALICE);
        vm.prank(address(stuck));
        vm.expectEmit(address(spoke));
        emit IRollup.Claimed(address(stuck), NATIVE, ALICE, 50);
        spoke.claimTo(T(NATIVE), ALICE);
        eq(ALICE.balance, 50, "there");
        eq(spoke.pending(address(stuck), T(NATIVE)), 0, "gone");
    }

    // ----------------------------------------------------------------- helpers

    function _fund() private {
        depositNative(spoke, ALICE, 1e6);
        bytes32[] memory words = Words.deposit(SPOKE, 4, 3, NATIVE, 1e6, padded(ALICE));
        _release(1, words);
        pay(spoke, 1, words);
    }

    /// Block 2 with `count` withdrawals of one coin each, and a deposit.
    function _block(uint256 count) private returns (bytes32[] memory words) {
        _fund();
        depositNative(spoke, ALICE, 5);
        words =
            Words.join(Words.deposit(SPOKE, 4, 3, NATIVE, 5, padded(ALICE)), _withdrawals(count));
        _release(2, words);
    }

    function _withdrawals(uint256 count) private pure returns (bytes32[] memory words) {
        words = new bytes32[](0);
        for (uint256 i = 0; i < count; ++i) {
            words = Words.join(words, Words.withdraw(SPOKE, 4, NATIVE, 1, 0, padded(_receiver(i))));
        }
    }

    function _receiver(uint256 i) private pure returns (address) {
        return address(uint160(0xabc0000 + i));
    }

    function _release(uint32 number, bytes32[] memory words) private {
        commit(spoke, number, words);
        ack(spoke, number);
        relay(hubOracle, spokeOracle, releasePayload(number, GENESIS, spoke.rolling()));
    }

    function _portion(bytes32[] memory words, bytes32[] memory hashes, uint256 from, uint256 count)
        private
        pure
        returns (Portion memory portion)
    {
        bytes32[] memory withdrawals = Words.filter(words, true);
        uint256 end = 64 * (from + count);
        if (end > withdrawals.length) end = withdrawals.length;
        portion.number = N(2);
        portion.rest = Words.hash(Words.filter(words, false));
        portion.before = Words.cut(hashes, 0, from);
        portion.words = Words.cut(withdrawals, 64 * from, end - 64 * from);
        portion.behind = Words.cut(hashes, from + count, hashes.length - from - count);
    }

    function _badPortion(Portion memory portion, uint32 paid) private {
        Portion[] memory portions = new Portion[](1);
        portions[0] = portion;
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadPortion.selector, 2, paid));
        spoke.pay(portions);
    }

    function _mismatch(Portion memory portion) private {
        Portion[] memory portions = new Portion[](1);
        portions[0] = portion;
        vm.expectPartialRevert(IRollup.ContentMismatch.selector);
        spoke.pay(portions);
    }
}
