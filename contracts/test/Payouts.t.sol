// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {IRollup, Portion} from "../src/interfaces/IRollup.sol";
import {ITokenSender} from "../src/libraries/Payouts.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";
import {Recipient} from "./hostile/Recipients.sol";
import {
    FeeToken,
    MoodyToken,
    ReenteringToken,
    SeizableToken,
    SurchargeToken
} from "./hostile/Tokens.sol";

contract PayoutsTest is World {
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);
    bytes32 private constant ROOT = bytes32(uint256(0x700f));
    uint16 private constant FEE = 10;
    uint16 private constant SURCHARGE = 11;
    uint16 private constant MOODY = 12;
    uint16 private constant REENTERING = 13;
    uint16 private constant SEIZABLE = 14;
    FeeToken private fee = new FeeToken();
    SurchargeToken private surcharge = new SurchargeToken();
    MoodyToken private moody = new MoodyToken();
    ReenteringToken private reentering = new ReenteringToken();
    SeizableToken private seizable = new SeizableToken();
    Recipient private recipient = new Recipient();
    uint32 private number;

    function setUp() public override {
        vm.warp(1_700_000_000);
        _prepare();
        vm.startPrank(governor);
        spoke.addToken(T(FEE), address(fee), 18, 0);
        spoke.addToken(T(SURCHARGE), address(surcharge), 18, 0);
        spoke.addToken(T(MOODY), address(moody), 18, 0);
        spoke.addToken(T(REENTERING), address(reentering), 18, 0);
        spoke.addToken(T(SEIZABLE), address(seizable), 18, 0);
        vm.stopPrank();
        _registerAll();
        _finish();
        _fund();
    }

    function testPaysCoinsAndTokens() public {
        bytes32[] memory words = Words.join(_coins(BOB, 3), _usd(BOB, 4));
        _release(words);
        vm.expectEmit(address(spoke));
        emit IRollup.Paid(number, NATIVE, BOB, 3);
        vm.expectEmit(address(spoke));
        emit IRollup.Paid(number, USD, BOB, 4);
        vm.expectEmit(address(spoke));
        emit IRollup.OperationsPaid(number);
        pay(spoke, number, words);
        eq(BOB.balance, 3, "coins");
        eq(usd.balanceOf(BOB), 4, "tokens");
        eq(spoke.locked(T(NATIVE)), 997, "locked coins");
        eq(spoke.locked(T(USD)), 996, "locked tokens");
    }

    function testPaysOnce() public {
        bytes32[] memory words = _coins(BOB, 3);
        _release(words);
        pay(spoke, number, words);
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, number));
        pay(spoke, number, words);
    }

    function testPaysOnlyTheCommittedWords() public {
        bytes32[] memory words = _coins(BOB, 3);
        _release(words);
        bytes32 expected = spoke.rolling();
        bytes32 before = _rollingBefore();
        bytes32[] memory other = _coins(BOB, 4);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRollup.ContentMismatch.selector,
                number,
                expected,
                Words.roll(before, number, other)
            )
        );
        pay(spoke, number, other);
        bytes32[] memory none = new bytes32[](0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRollup.ContentMismatch.selector, number, expected, Words.roll(before, number, none)
            )
        );
        pay(spoke, number, none);
    }

    function testPaysInOrderAndOnlyWhatIsReleased() public {
        bytes32[] memory words = _coins(BOB, 3);
        commit(spoke, 50, words);
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 50));
        pay(spoke, 50, words);
        ack(spoke, 50);
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 50));
        pay(spoke, 50, words);
        commit(spoke, 60, words);
        ack(spoke, 60);
        relay(hubOracle, spokeOracle, releasePayload(60, ROOT, spoke.rolling()));
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 60));
        pay(spoke, 60, words);
        pay(spoke, 50, words);
        pay(spoke, 60, words);
        eq(BOB.balance, 6, "both");
    }

    function testARecipientThatFailsIsDeferred() public {
        for (uint256 mood = 1; mood < 5; ++mood) {
            recipient.become(Recipient.Mood(mood));
            bytes32[] memory words = Words.join(_coins(address(recipient), 5), _coins(BOB, 1));
            _release(words);
            vm.expectEmit(address(spoke));
            if (mood == uint256(Recipient.Mood.Flood)) {
                // A long answer is no failure: nobody reads it.
                emit IRollup.Paid(number, NATIVE, address(recipient), 5);
            } else {
                emit IRollup.PayoutDeferred(number, NATIVE, address(recipient), 5);
            }
            uint256 bob = BOB.balance;
            uint256 before = gasleft();
            pay(spoke, number, words);
            vm.assertLe(before - gasleft(), 300_000, "the failure has a bounded price");
            eq(BOB.balance, bob + 1, "the next one is paid");
        }
        eq(spoke.pending(address(recipient), T(NATIVE)), 15, "pending");
        eq(spoke.pendingTotal(T(NATIVE)), 15, "pending total");
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.ClaimFailed.selector, address(recipient), NATIVE)
        );
        spoke.claim{gas: 3_000_000}(address(recipient), T(NATIVE));
        recipient.become(Recipient.Mood.Take);
        vm.expectEmit(address(spoke));
        emit IRollup.Claimed(address(recipient), NATIVE, address(recipient), 15);
        spoke.claim(address(recipient), T(NATIVE));
        eq(address(recipient).balance, 20, "claimed");
        eq(spoke.pendingTotal(T(NATIVE)), 0, "none pending");
        eq(spoke.locked(T(NATIVE)), address(spoke).balance, "locked is what is there");
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.NothingToClaim.selector, address(recipient), NATIVE)
        );
        spoke.claim(address(recipient), T(NATIVE));
    }

    function testATokenThatFailsIsDeferred() public {
        for (uint256 mood = 1; mood < 6; ++mood) {
            moody.become(MoodyToken.Mood(mood));
            bytes32[] memory words = Words.join(_token(MOODY, BOB, 5), _usd(BOB, 1));
            _release(words);
            vm.expectEmit(address(spoke));
            emit IRollup.PayoutDeferred(number, MOODY, BOB, 5);
            pay(spoke, number, words);
        }
        eq(usd.balanceOf(BOB), 5, "the others are paid");
        eq(moody.balanceOf(BOB), 0, "nothing left the vault");
        eq(spoke.locked(T(MOODY)), 1000, "still owed");
        moody.become(MoodyToken.Mood.Good);
        spoke.claim(BOB, T(MOODY));
        eq(moody.balanceOf(BOB), 25, "claimed");
        eq(spoke.locked(T(MOODY)), 975, "locked");
    }

    /// A token that takes more from the vault than is owed would eat other users' coins.
    function testATokenThatTakesMoreIsDeferred() public {
        bytes32[] memory words = _token(SURCHARGE, BOB, 500);
        _release(words);
        vm.expectEmit(address(spoke));
        emit IRollup.PayoutDeferred(number, SURCHARGE, BOB, 500);
        pay(spoke, number, words);
        eq(surcharge.balanceOf(address(spoke)), 1000, "untouched");
        words = _token(SURCHARGE, BOB, 50);
        _release(words);
        pay(spoke, number, words);
        eq(surcharge.balanceOf(BOB), 50, "without a surcharge it is paid");
    }

    function testAFeeOnPayoutsIsTheReceivers() public {
        bytes32[] memory words = _token(FEE, BOB, 500);
        _release(words);
        pay(spoke, number, words);
        eq(fee.balanceOf(BOB), 495, "received");
        eq(spoke.locked(T(FEE)), 490, "locked");
        eq(fee.balanceOf(address(spoke)), 490, "balance");
    }

    /// When an issuer takes coins out of the vault, the last to leave wait, and can still claim.
    function testSeizedCoinsDeferPayouts() public {
        seizable.seize(address(spoke), 600);
        bytes32[] memory words = _token(SEIZABLE, BOB, 500);
        _release(words);
        vm.expectEmit(address(spoke));
        emit IRollup.PayoutDeferred(number, SEIZABLE, BOB, 500);
        pay(spoke, number, words);
        vm.expectRevert(abi.encodeWithSelector(IRollup.ClaimFailed.selector, BOB, SEIZABLE));
        spoke.claim(BOB, T(SEIZABLE));
        seizable.mint(address(spoke), 600);
        spoke.claim(BOB, T(SEIZABLE));
        eq(seizable.balanceOf(BOB), 500, "claimed");
    }

    function testNobodyReenters() public {
        bytes32[] memory words = _coins(address(recipient), 5);
        bytes[6] memory attacks = [
            abi.encodeCall(IRollup.pay, (whole(number + 1, words))),
            abi.encodeCall(IRollup.claim, (address(recipient), T(NATIVE))),
            abi.encodeCall(IRollup.ack, (N(1), 0)),
            abi.encodeCall(IRollup.depositNative, (bytes32(uint256(1)), 0, 0)),
            abi.encodeCall(IRollup.depositERC20, (T(USD), 1, bytes32(uint256(1)), 0, 0)),
            abi.encodeWithSignature("onMessage(uint8,bytes)", HUB, "")
        ];
        for (uint256 i = 0; i < attacks.length; ++i) {
            recipient.arm(address(spoke), attacks[i]);
            _release(words);
            pay(spoke, number, words);
            // The guard answers before anything else; an allowance of 50,000 is enough for that.
            eq(bytes32(recipient.lastError()), bytes32(IEndpoint.Reentered.selector), "refused");
        }
        reentering.arm(address(spoke), abi.encodeCall(IRollup.claim, (BOB, T(NATIVE))));
        words = _token(REENTERING, BOB, 5);
        _release(words);
        pay(spoke, number, words);
        eq(bytes32(reentering.lastError()), bytes32(IEndpoint.Reentered.selector), "token refused");
    }

    /// With just too little gas a caller could otherwise make good payouts fail and be deferred.
    function testTooLittleGasUndoesTheWholeCall() public {
        bytes32[] memory words = Words.join(_usd(BOB, 5), _coins(address(recipient), 5));
        _release(words);
        for (uint256 gasGiven = 60_000; gasGiven < 700_000; gasGiven += 1_000) {
            (bool ok,) = address(spoke).call{gas: gasGiven}(
                abi.encodeCall(IRollup.pay, (whole(number, words)))
            );
            if (!ok) continue;
            eq(address(recipient).balance, 5, "paid");
            eq(usd.balanceOf(BOB), 5, "paid too");
            eq(spoke.pendingTotal(T(NATIVE)), 0, "not deferred");
            vm.assertGe(recipient.gasSeen(), 50_000, "the full allowance");
            return;
        }
        vm.assertTrue(false, "never paid");
    }

    /// The limit is the allowance, the 63rd part of it that a call keeps back, and what booking a
    /// deferral takes; one unit of gas less, and nothing is done.
    function testTheGasThatMustBeLeftIsStated() public {
        bytes32[] memory coins = _coins(address(recipient), 5);
        bytes32[] memory tokens = _usd(BOB, 5);
        uint256[2] memory needed = [uint256(50_000 + 793 + 120_000), 200_000 + 3174 + 120_000];
        for (uint256 i = 0; i < 2; ++i) {
            bytes32[] memory words = i == 0 ? coins : tokens;
            _release(words);
            bytes memory data = abi.encodeCall(IRollup.pay, (whole(number, words)));
            bytes memory reason = abi.encodeWithSelector(IRollup.GasTooLow.selector, needed[i]);
            uint256 low = 60_000;
            uint256 high = 800_000;
            while (high - low > 1) {
                uint256 middle = (low + high) / 2;
                (bool ok, bytes memory answer) = _try(data, middle);
                if (ok) {
                    high = middle;
                    continue;
                }
                low = middle;
                if (middle > 100_000) eq(keccak256(answer), keccak256(reason), "the reason");
            }
            (bool paid,) = address(spoke).call{gas: high}(data);
            vm.assertTrue(paid, "with the gas that is asked for");
        }
        vm.assertGe(recipient.gasSeen(), 49_500, "the whole allowance, at the least gas");
        eq(spoke.pendingTotal(T(NATIVE)) + spoke.pendingTotal(T(USD)), 0, "nothing deferred");
    }

    function _try(bytes memory data, uint256 gasGiven) private returns (bool, bytes memory) {
        try this.probe(data, gasGiven) {
            revert("a probe always reverts");
        } catch (bytes memory answer) {
            return abi.decode(answer, (bool, bytes));
        }
    }

    /// Calls and undoes it.
    function probe(bytes memory data, uint256 gasGiven) external {
        (bool ok, bytes memory answer) = address(spoke).call{gas: gasGiven}(data);
        bytes memory both = abi.encode(ok, answer);
        assembly {
            revert(add(both, 32), mload(both))
        }
    }

    /// While the coins are on their way they are not owed any more: nobody sees them as both.
    function testCoinsOnTheirWayAreNotLocked() public {
        recipient.look(address(spoke), abi.encodeCall(IRollup.locked, (T(NATIVE))));
        bytes32[] memory words = _coins(address(recipient), 5);
        _release(words);
        pay(spoke, number, words);
        eq(recipient.seen(), 995, "locked during the call");
    }

    function testPayoutsCannotTouchOpenDepositsAndClaims() public {
        recipient.become(Recipient.Mood.Refuse);
        bytes32[] memory words = _coins(address(recipient), 400);
        _release(words);
        pay(spoke, number, words);
        depositNative(spoke, ALICE, 500);
        words = _coins(BOB, 601);
        _release(words);
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.InsufficientLocked.selector, NATIVE, 600, 601)
        );
        pay(spoke, number, words);
        eq(spoke.locked(T(NATIVE)), 1500, "all is still there");
    }

    function testEmptyWithdrawalsMoveNothing() public {
        bytes32[] memory words = _usd(BOB, 0);
        _release(words);
        vm.recordLogs();
        pay(spoke, number, words);
        eq(vm.getRecordedLogs().length, 1, "only the block's own event");
    }

    function testDepositsAndKeysPayNothing() public {
        depositUsd(spoke, ALICE, 5);
        vm.prank(ALICE, ALICE);
        spokeKeys.setAuthPubKey(0, 1, 2, 0);
        bytes32[] memory words = Words.join(
            Words.deposit(SPOKE, 4, 3, USD, 5e12, padded(ALICE)),
            Words.changePubKey(SPOKE, 4, 0, padded(ALICE), 1, 2)
        );
        words = Words.join(words, _usd(BOB, 7));
        _releaseWith(words, new bytes[](1));
        pay(spoke, number, words);
        eq(usd.balanceOf(BOB), 7, "the withdrawal");
        eq(spoke.locked(T(USD)), 998, "locked");
    }

    function testOnlyTheVaultSendsTokens() public {
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.Forbidden.selector, address(this)));
        ITokenSender(address(spoke)).sendToken(address(usd), BOB, 1);
    }

    // ---------------------------------------------------------------- helpers

    function _fund() private {
        depositNative(spoke, ALICE, 1000);
        depositUsd(spoke, ALICE, 1000);
        bytes32[] memory words = Words.join(
            Words.deposit(SPOKE, 4, 3, NATIVE, 1000, padded(ALICE)),
            Words.deposit(SPOKE, 4, 3, USD, 1000e12, padded(ALICE))
        );
        uint16[5] memory ids = [FEE, SURCHARGE, MOODY, REENTERING, SEIZABLE];
        for (uint256 i = 0; i < ids.length; ++i) {
            (address addr,,,) = spoke.token(T(ids[i]));
            MoodyToken(addr).mint(address(this), 1000);
            MoodyToken(addr).approve(address(spoke), 1000);
            spoke.depositERC20(T(ids[i]), 1000, padded(ALICE), 0, 3);
            uint128 arrived = ids[i] == FEE ? 990 : 1000;
            words = Words.join(words, Words.deposit(SPOKE, 4, 3, ids[i], arrived, padded(ALICE)));
        }
        _release(words);
        pay(spoke, number, words);
    }

    /// Commits, acknowledges and releases `words` as the next block.
    function _release(bytes32[] memory words) private {
        _releaseWith(words, new bytes[](0));
    }

    function _releaseWith(bytes32[] memory words, bytes[] memory witnesses) private {
        commitWith(spoke, ++number, words, witnesses);
        ack(spoke, number);
        relay(hubOracle, spokeOracle, releasePayload(number, ROOT, spoke.rolling()));
    }

    function _rollingBefore() private view returns (bytes32 rolling) {
        (, rolling,) = spoke.recordOf(N(number - 1));
    }

    function _coins(address to, uint128 amount) private pure returns (bytes32[] memory) {
        return Words.withdraw(SPOKE, 4, NATIVE, amount, 0, padded(to));
    }

    function _usd(address to, uint128 amount) private pure returns (bytes32[] memory) {
        return Words.withdraw(SPOKE, 4, USD, amount, 12, padded(to));
    }

    function _token(uint16 id, address to, uint128 amount) private pure returns (bytes32[] memory) {
        return Words.withdraw(SPOKE, 4, id, amount, 0, padded(to));
    }
}
