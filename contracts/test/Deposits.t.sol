// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {IRollup} from "../src/interfaces/IRollup.sol";
import {ILightOracle} from "../src/interfaces/ILightOracle.sol";
import {SerialId} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";
import {
    FeeToken,
    GenerousToken,
    LyingToken,
    ReenteringToken,
    SilentToken
} from "./hostile/Tokens.sol";

contract DepositsTest is World {
    bytes32 private constant OWNER = bytes32(uint256(0xabc));
    uint16 private constant FEE = 10;
    uint16 private constant SILENT = 11;
    uint16 private constant LYING = 12;
    uint16 private constant REENTERING = 13;
    uint16 private constant GENEROUS = 14;
    FeeToken private fee;
    GenerousToken private generous;
    SilentToken private silent;
    LyingToken private lying;
    ReenteringToken private reentering;

    function setUp() public override {
        vm.warp(1_700_000_000);
        _prepare();
        fee = new FeeToken();
        generous = new GenerousToken();
        silent = new SilentToken();
        lying = new LyingToken();
        reentering = new ReenteringToken();
        vm.startPrank(governor);
        spoke.addToken(T(FEE), address(fee), 18, 0);
        spoke.addToken(T(GENEROUS), address(generous), 18, 0);
        spoke.addToken(T(SILENT), address(silent), 18, 0);
        spoke.addToken(T(LYING), address(lying), 18, 0);
        spoke.addToken(T(REENTERING), address(reentering), 18, 0);
        vm.stopPrank();
        _registerAll();
        _finish();
    }

    function testNativeDepositIsQueuedAndLocked() public {
        vm.deal(address(this), 5 ether);
        vm.expectEmit(address(spoke));
        emit IRollup.DepositQueued(0, NATIVE, OWNER, 0, 7, 2 ether, address(this));
        spoke.depositNative{value: 2 ether}(OWNER, 0, 7);
        (bytes26 hash, uint64 timestamp, uint8 state) = spoke.queued(serial(0));
        address me = address(this);
        bytes memory fields =
            abi.encode(1, NATIVE, uint8(7), uint8(0), uint128(2 ether), OWNER, me, me);
        eq(bytes32(hash), bytes32(bytes26(keccak256(fields))), "hash");
        eq(timestamp, block.timestamp, "timestamp");
        eq(state, 1, "an open deposit");
        eq(spoke.locked(T(NATIVE)), 2 ether, "locked");
        eq(spoke.unconsumed(T(NATIVE)), 2 ether, "unconsumed");
        eq(address(spoke).balance, 2 ether, "balance");
    }

    function testFuzzTokenDepositScalesTo18Decimals(uint64 raw, uint8 sub, bytes32 owner) public {
        vm.assume(raw != 0 && owner != 0);
        sub %= 32;
        uint8 home = 1 + uint8(raw % 63);
        // On its own chain, which is the spoke, an owner is an address.
        if (home == SPOKE) home = 0;
        if (home == 0) owner = bytes32(uint256(uint160(uint256(owner)) | 1 << 150));
        usd.mint(address(this), raw);
        usd.approve(address(spoke), raw);
        vm.expectEmit(address(spoke));
        emit IRollup.DepositQueued(0, USD, owner, home, sub, uint128(raw) * 1e12, address(this));
        spoke.depositERC20(T(USD), raw, owner, home, sub);
        eq(spoke.locked(T(USD)), raw, "locked is raw");
        eq(spoke.unconsumed(T(USD)), raw, "unconsumed is raw");
        eq(usd.balanceOf(address(spoke)), raw, "the vault has it");
    }

    function testSerialsHaveNoGap() public {
        for (uint256 i = 0; i < 5; ++i) {
            depositUsd(spoke, address(0xabc), 1);
            vm.expectRevert(abi.encodeWithSelector(IRollup.BelowLeast.selector, 1, 0));
            spoke.depositNative{value: 0}(OWNER, 0, 0);
            depositNative(spoke, address(0xabc), 1);
        }
        eq(SerialId.unwrap(spoke.queueTail()), 10, "tail");
        for (uint256 i = 0; i < 10; ++i) {
            (bytes26 hash,,) = spoke.queued(serial(i));
            vm.assertTrue(hash != 0, "entry");
        }
        (bytes26 beyond,, uint8 state) = spoke.queued(serial(10));
        eq(bytes32(beyond), 0, "nothing beyond the tail");
        eq(state, 0, "no state");
    }

    function testRefusesBadArguments() public {
        vm.deal(address(this), 1 ether);
        vm.expectRevert(IRollup.ZeroOwner.selector);
        spoke.depositNative{value: 1}(0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadSubAccount.selector, 32));
        spoke.depositNative{value: 1}(OWNER, 0, 32);
        vm.expectRevert(abi.encodeWithSelector(IRollup.UnknownToken.selector, 99));
        spoke.depositERC20(T(99), 1, OWNER, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.UnknownToken.selector, NATIVE));
        spoke.depositERC20(T(NATIVE), 1, OWNER, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.TransferInFailed.selector, address(usd)));
        spoke.depositERC20(T(USD), 1, OWNER, 0, 0);
        (bool ok,) = address(spoke).call{value: 1}("");
        vm.assertFalse(ok, "coins without an owner are refused");
    }

    function testRefusesOwnersThatCanNeverUseAnAccount() public {
        address[5] memory own =
            [address(spoke), address(usd), address(wide), address(spokeOracle), address(spokeKeys)];
        for (uint256 i = 0; i < 5; ++i) {
            for (uint8 home = 0; home <= SPOKE; home += SPOKE) {
                _refusedOwner(spoke, padded(own[i]), home, IRollup.ForbiddenOwner.selector);
            }
        }
        _refusedOwner(near, padded(address(hub)), 0, IRollup.ForbiddenOwner.selector);
        _refusedOwner(near, padded(address(localRoute)), HUB, IRollup.ForbiddenOwner.selector);
        bytes32 wrongSide = bytes32(bytes20(address(0xa11ce00000000000000000000000000000000001)));
        _refusedOwner(spoke, wrongSide, 0, IRollup.OwnerNotAnAddress.selector);
        _refusedOwner(spoke, wrongSide, SPOKE, IRollup.OwnerNotAnAddress.selector);
        _refusedOwner(spoke, bytes32(uint256(1) << 160), 0, IRollup.OwnerNotAnAddress.selector);
        vm.deal(address(this), 2);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadHome.selector, 64));
        spoke.depositNative{value: 1}(OWNER, 64, 0);
        // Of other chains nothing is known: there the same 20 bytes may be anybody.
        spoke.depositNative{value: 1}(padded(address(usd)), 63, 0);
        spoke.depositNative{value: 1}(wrongSide, HUB, 0);
    }

    function _refusedOwner(IRollup rollup, bytes32 owner, uint8 home, bytes4 reason) private {
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(reason, owner));
        rollup.depositNative{value: 1}(owner, home, 0);
    }

    function testTheLeastAmountIsThatOfTheListing() public {
        IRollup fresh = IRollup(deploy("Rollup", abi.encode(params(SPOKE))));
        vm.startPrank(governor);
        fresh.addToken(T(NATIVE), address(0), 18, 1000);
        fresh.setKeyRecorder(deploy("KeyRecorder", abi.encode(address(fresh))));
        ILightOracle route = oracleFor(address(fresh));
        fresh.addChain(C(HUB), address(route), route.identity());
        fresh.finishSetup();
        vm.stopPrank();
        vm.deal(address(this), 1999);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BelowLeast.selector, 1000, 999));
        fresh.depositNative{value: 999}(OWNER, 0, 0);
        fresh.depositNative{value: 1000}(OWNER, 0, 0);
    }

    function testTheCapHoldsOverAllDeposits() public {
        uint256 cap = 1 << 120;
        wide.mint(address(this), cap + 1);
        wide.approve(address(spoke), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositCap.selector, WIDE, cap + 1));
        spoke.depositERC20(T(WIDE), cap + 1, OWNER, 0, 0);
        spoke.depositERC20(T(WIDE), cap - 1, OWNER, 0, 0);
        spoke.depositERC20(T(WIDE), 1, OWNER, 0, 0);
        eq(spoke.locked(T(WIDE)), cap, "the cap itself is allowed");
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositCap.selector, WIDE, cap + 1));
        spoke.depositERC20(T(WIDE), 1, OWNER, 0, 0);
        uint256 raw = cap / 1e12 + 1;
        usd.mint(address(this), raw);
        usd.approve(address(spoke), raw);
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositCap.selector, USD, raw * 1e12));
        spoke.depositERC20(T(USD), raw, OWNER, 0, 0);
    }

    function testFuzzFeeTokenIsCreditedByWhatArrives(uint96 amount) public {
        vm.assume(amount != 0);
        fee.mint(address(this), amount);
        fee.approve(address(spoke), amount);
        uint256 arrives = uint256(amount) - uint256(amount) / 100;
        spoke.depositERC20(T(FEE), amount, OWNER, 0, 0);
        eq(spoke.locked(T(FEE)), arrives, "locked");
        eq(fee.balanceOf(address(spoke)), arrives, "balance");
    }

    function testNoMoreIsCreditedThanWasAskedFor() public {
        generous.mint(address(this), 16);
        spoke.depositERC20(T(GENEROUS), 8, OWNER, 0, 0);
        eq(spoke.locked(T(GENEROUS)), 8, "locked");
        eq(generous.balanceOf(address(spoke)), 16, "the rest is a gift");
    }

    function testTokenWithoutAnAnswerIsAccepted() public {
        silent.mint(address(this), 8);
        silent.approve(address(spoke), 8);
        spoke.depositERC20(T(SILENT), 8, OWNER, 0, 0);
        eq(spoke.locked(T(SILENT)), 8, "locked");
    }

    function testTokenThatLiesAboutATransferCreditsNothing() public {
        vm.expectRevert(abi.encodeWithSelector(IRollup.BelowLeast.selector, 1, 0));
        spoke.depositERC20(T(LYING), 8, OWNER, 0, 0);
        lying.refuse();
        vm.expectRevert(abi.encodeWithSelector(IRollup.TransferInFailed.selector, address(lying)));
        spoke.depositERC20(T(LYING), 8, OWNER, 0, 0);
    }

    /// Without the guard, the inner deposit's coins would be counted twice, by the inner and the
    /// outer call.
    function testTokenCannotReenter() public {
        reentering.mint(address(this), 10);
        reentering.approve(address(spoke), 10);
        reentering.arm(
            address(spoke), abi.encodeCall(IRollup.depositERC20, (T(REENTERING), 5, OWNER, 0, 0))
        );
        spoke.depositERC20(T(REENTERING), 5, OWNER, 0, 0);
        eq(bytes32(reentering.lastError()), bytes32(IEndpoint.Reentered.selector), "refused");
        eq(spoke.locked(T(REENTERING)), 5, "locked once");
    }
}
