// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../../src/interfaces/IRollup.sol";
import {World} from "../base/World.sol";
import {Words} from "../base/Words.sol";

/// @dev A token that, like some with a deny list or a "frozen" mode, answers true and moves nothing.
contract QuietDenyToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => bool) public denied;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function deny(address who, bool yes) external {
        denied[who] = yes;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (denied[to] || denied[msg.sender]) return true;
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// @dev Fault 5: a payout, or a claim, that moved nothing was booked as paid.
contract LyingPayoutTest is World {
    address private constant BOB = address(0xb0b);
    QuietDenyToken private token = new QuietDenyToken();

    function _registerAll() internal override {
        super._registerAll();
        vm.prank(governor);
        spoke.addToken(T(20), address(token), 18, 0);
    }

    function testAPayoutThatMovedNothingStaysADebt() public {
        token.deny(BOB, true);
        _payOut();
        eq(token.balanceOf(BOB), 0, "bob got nothing");
        eq(spoke.locked(T(20)), 100, "and is owed it");
        eq(spoke.pending(BOB, T(20)), 100, "as a claim");
        token.deny(BOB, false);
        spoke.claim(BOB, T(20));
        eq(token.balanceOf(BOB), 100, "paid later");
    }

    function testAClaimThatMovedNothingStays() public {
        token.deny(BOB, true);
        _payOut();
        vm.prank(address(0xbad));
        vm.expectRevert(abi.encodeWithSelector(IRollup.ClaimFailed.selector, BOB, 20));
        spoke.claim(BOB, T(20));
        eq(spoke.pending(BOB, T(20)), 100, "the claim stands");
        vm.prank(BOB);
        spoke.claimTo(T(20), address(0xb0c));
        eq(token.balanceOf(address(0xb0c)), 100, "its owner can have it elsewhere");
    }

    function _payOut() private {
        token.mint(address(this), 100);
        spoke.depositERC20(T(20), 100, padded(BOB), 0, 3);
        bytes32[] memory words = Words.join(
            Words.deposit(SPOKE, 4, 3, 20, 100, padded(BOB)),
            Words.withdraw(SPOKE, 4, 20, 100, 0, padded(BOB))
        );
        commit(spoke, 1, words);
        ack(spoke, 1);
        relay(hubOracle, spokeOracle, releasePayload(1, GENESIS, spoke.rolling()));
        vm.expectEmit(address(spoke));
        emit IRollup.PayoutDeferred(1, 20, BOB, 100);
        pay(spoke, 1, words);
    }
}
