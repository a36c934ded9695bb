// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../src/interfaces/IRollup.sol";
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
    bytes32 private constant OWNER = bytes32(uint256(0xf0) << 244 | 0xabc);
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
        spoke.addToken(T(FEE), address(fee), 18);
        spoke.addToken(T(GENEROUS), address(generous), 18);
        spoke.addToken(T(SILENT), address(silent), 18);
        spoke.addToken(T(LYING), address(lying), 18);
        spoke.addToken(T(REENTERING), address(reentering), 18);
        vm.stopPrank();
        _register(hub, hubOracle, SPOKE);
        _register(spoke, spokeOracle, HUB);
        _finish();
    }

    function testNativeDepositIsQueuedAndLocked() public {
        vm.deal(address(this), 5 ether);
        vm.expectEmit(address(spoke));
        emit IRollup.DepositQueued(0, NATIVE, OWNER, 7, 2 ether, address(this));
        spoke.depositNative{value: 2 ether}(OWNER, 7);
        (bytes32 hash, uint64 timestamp) = spoke.deposit(serial(0));
        eq(hash, keccak256(abi.encode(NATIVE, uint8(7), uint128(2 ether), OWNER)), "hash");
        eq(timestamp, block.timestamp, "timestamp");
        eq(spoke.locked(T(NATIVE)), 2 ether, "locked");
        eq(spoke.unconsumed(T(NATIVE)), 2 ether, "unconsumed");
        eq(address(spoke).balance, 2 ether, "balance");
    }

    function testFuzzTokenDepositScalesTo18Decimals(uint64 raw, uint8 sub, bytes32 owner) public {
        vm.assume(raw != 0 && owner != 0);
        sub %= 32;
        usd.mint(address(this), raw);
        usd.approve(address(spoke), raw);
        vm.expectEmit(address(spoke));
        emit IRollup.DepositQueued(0, USD, owner, sub, uint128(raw) * 1e12, address(this));
        spoke.depositERC20(T(USD), raw, owner, sub);
        eq(spoke.locked(T(USD)), raw, "locked is raw");
        eq(spoke.unconsumed(T(USD)), raw, "unconsumed is raw");
        eq(spoke.deposited(T(USD)), uint256(raw) * 1e12, "deposited is scaled");
        eq(usd.balanceOf(address(spoke)), raw, "the vault has it");
    }

    function testSerialsHaveNoGap() public {
        for (uint256 i = 0; i < 5; ++i) {
            depositUsd(spoke, address(0xabc), 1);
            vm.expectRevert(IRollup.ZeroAmount.selector);
            spoke.depositNative{value: 0}(OWNER, 0);
            depositNative(spoke, address(0xabc), 1);
        }
        eq(SerialId.unwrap(spoke.queueTail()), 10, "tail");
        for (uint256 i = 0; i < 10; ++i) {
            (bytes32 hash,) = spoke.deposit(serial(i));
            vm.assertTrue(hash != 0, "entry");
        }
        (bytes32 beyond,) = spoke.deposit(serial(10));
        eq(beyond, 0, "nothing beyond the tail");
    }

    function testRefusesBadArguments() public {
        vm.deal(address(this), 1 ether);
        vm.expectRevert(IRollup.ZeroOwner.selector);
        spoke.depositNative{value: 1}(0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadSubAccount.selector, 32));
        spoke.depositNative{value: 1}(OWNER, 32);
        vm.expectRevert(abi.encodeWithSelector(IRollup.UnknownToken.selector, 99));
        spoke.depositERC20(T(99), 1, OWNER, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.UnknownToken.selector, NATIVE));
        spoke.depositERC20(T(NATIVE), 1, OWNER, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.TransferInFailed.selector, address(usd)));
        spoke.depositERC20(T(USD), 1, OWNER, 0);
        (bool ok,) = address(spoke).call{value: 1}("");
        vm.assertFalse(ok, "coins without an owner are refused");
    }

    function testTheCapHoldsOverAllDeposits() public {
        uint256 cap = 1 << 120;
        wide.mint(address(this), cap + 1);
        wide.approve(address(spoke), type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositCap.selector, WIDE, cap + 1));
        spoke.depositERC20(T(WIDE), cap + 1, OWNER, 0);
        spoke.depositERC20(T(WIDE), cap - 1, OWNER, 0);
        spoke.depositERC20(T(WIDE), 1, OWNER, 0);
        eq(spoke.deposited(T(WIDE)), cap, "the cap itself is allowed");
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositCap.selector, WIDE, cap + 1));
        spoke.depositERC20(T(WIDE), 1, OWNER, 0);
        uint256 raw = cap / 1e12 + 1;
        usd.mint(address(this), raw);
        usd.approve(address(spoke), raw);
        vm.expectRevert(abi.encodeWithSelector(IRollup.DepositCap.selector, USD, raw * 1e12));
        spoke.depositERC20(T(USD), raw, OWNER, 0);
    }

    function testFuzzFeeTokenIsCreditedByWhatArrives(uint96 amount) public {
        vm.assume(amount != 0);
        fee.mint(address(this), amount);
        fee.approve(address(spoke), amount);
        uint256 arrives = uint256(amount) - uint256(amount) / 100;
        spoke.depositERC20(T(FEE), amount, OWNER, 0);
        eq(spoke.locked(T(FEE)), arrives, "locked");
        eq(fee.balanceOf(address(spoke)), arrives, "balance");
    }

    function testNoMoreIsCreditedThanWasAskedFor() public {
        generous.mint(address(this), 16);
        spoke.depositERC20(T(GENEROUS), 8, OWNER, 0);
        eq(spoke.locked(T(GENEROUS)), 8, "locked");
        eq(generous.balanceOf(address(spoke)), 16, "the rest is a gift");
    }

    function testTokenWithoutAnAnswerIsAccepted() public {
        silent.mint(address(this), 8);
        silent.approve(address(spoke), 8);
        spoke.depositERC20(T(SILENT), 8, OWNER, 0);
        eq(spoke.locked(T(SILENT)), 8, "locked");
    }

    function testTokenThatLiesAboutATransferCreditsNothing() public {
        vm.expectRevert(IRollup.ZeroAmount.selector);
        spoke.depositERC20(T(LYING), 8, OWNER, 0);
        lying.refuse();
        vm.expectRevert(abi.encodeWithSelector(IRollup.TransferInFailed.selector, address(lying)));
        spoke.depositERC20(T(LYING), 8, OWNER, 0);
    }

    /// Without the guard, the inner deposit's coins would be counted twice, by the inner and the
    /// outer call.
    function testTokenCannotReenter() public {
        reentering.mint(address(this), 10);
        reentering.approve(address(spoke), 10);
        reentering.arm(
            address(spoke), abi.encodeCall(IRollup.depositERC20, (T(REENTERING), 5, OWNER, 0))
        );
        spoke.depositERC20(T(REENTERING), 5, OWNER, 0);
        eq(bytes32(reentering.lastError()), bytes32(IRollup.Reentered.selector), "refused");
        eq(spoke.locked(T(REENTERING)), 5, "locked once");
    }
}
