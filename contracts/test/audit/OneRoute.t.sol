// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IHub} from "../../src/interfaces/IHub.sol";
import {BlockNumber, ChainId} from "../../src/types/Ids.sol";
import {World} from "../base/World.sol";
import {Words} from "../base/Words.sol";

/// @dev A route of the hub to chain 3 that can be paused, wants a fee, or attacks while it sends.
contract HostileRoute {
    error Paused();
    error Fee();

    enum Mood {
        Paused,
        WantsFee,
        Attacks
    }

    Mood public mood;
    address private immutable _hub;
    bytes32 private immutable _deployment;
    bytes4 public lastError;
    bytes4 public secondError;

    constructor(address hub, bytes32 deployment) {
        (_hub, _deployment) = (hub, deployment);
    }

    function become(Mood next) external {
        mood = next;
    }

    function send(ChainId destination, bytes calldata) external payable {
        if (mood == Mood.Paused) revert Paused();
        if (mood == Mood.WantsFee && msg.value != 7) revert Fee();
        if (mood != Mood.Attacks) return;
        (bool ok, bytes memory answer) = _hub.call(abi.encodeCall(IHub.sendRelease, (destination)));
        if (!ok) lastError = bytes4(answer);
        (ok, answer) = _hub.call(abi.encodeCall(IHub.releaseBlocks, (BlockNumber.wrap(9))));
        if (!ok) secondError = bytes4(answer);
        (ok,) = _hub.call(
            abi.encodeWithSignature("onMessage(uint8,bytes)", destination, abi.encode(1, 3, 1, 1))
        );
        require(!ok, "the hub was open");
    }

    function connects(address endpoint, bytes32 deployment, ChainId here, ChainId other)
        external
        view
        returns (bool)
    {
        return endpoint == _hub && deployment == _deployment && ChainId.unwrap(here) == 1
            && ChainId.unwrap(other) == 3;
    }

    function identity() external pure returns (bytes32) {
        return keccak256("hostile");
    }

    function ack(bytes calldata payload) external {
        (bool ok,) = _hub.call(abi.encodeWithSignature("onMessage(uint8,bytes)", 3, payload));
        require(ok);
    }
}

/// @dev Fault 4: one route that could not send stopped the payouts of all chains, and routes that
///      need a fee could not be paid.
contract OneRouteTest is World {
    HostileRoute private route;
    address private constant BOB = address(0xb0b);

    function _registerAll() internal override {
        super._registerAll();
        route = new HostileRoute(address(hub), DEPLOYMENT);
        vm.prank(governor);
        hub.addChain(C(3), address(route), keccak256("hostile"));
    }

    function testARouteThatCannotSendHoldsUpNobodyElse() public {
        bytes32[] memory own = _released();
        vm.expectRevert(HostileRoute.Paused.selector);
        hub.sendRelease(C(3));
        hub.sendRelease(C(HUB));
        pay(near, 1, own);
        eq(BOB.balance, 5, "the hub's chain is paid");
        hub.sendRelease(C(SPOKE));
        eq(hubOracle.sentCount(C(SPOKE)), 1, "the spoke is told");
        // Whoever comes with the fee later can send it.
        route.become(HostileRoute.Mood.WantsFee);
        vm.deal(address(this), 7);
        vm.expectRevert(HostileRoute.Fee.selector);
        hub.sendRelease(C(3));
        hub.sendRelease{value: 7}(C(3));
        (,,, BlockNumber released, BlockNumber sent) = hub.chainInfo(C(3));
        eq(BlockNumber.unwrap(released), 1, "released");
        eq(BlockNumber.unwrap(sent), 1, "sent");
        eq(address(hub).balance, 0, "the hub keeps nothing");
    }

    function testARouteCannotReenter() public {
        _released();
        route.become(HostileRoute.Mood.Attacks);
        hub.sendRelease(C(3));
        bytes32 reason = bytes32(bytes4(keccak256("Reentered()")));
        eq(bytes32(route.lastError()), reason, "no second message");
        eq(bytes32(route.secondError()), reason, "no release");
    }

    function _released() private returns (bytes32[] memory own) {
        depositNative(near, BOB, 5);
        own = Words.join(
            Words.deposit(HUB, 4, 3, NATIVE, 5, padded(BOB)),
            Words.withdraw(HUB, 4, NATIVE, 5, 0, padded(BOB))
        );
        bytes32[] memory second = Words.withdraw(SPOKE, 4, USD, 0, 12, padded(BOB));
        bytes32[] memory third = Words.withdraw(3, 4, USD, 0, 12, padded(BOB));
        bytes32 root = bytes32(uint256(7));
        uint256[4] memory inputs =
            commitBlock(nextBlock(root, Words.join(Words.join(own, second), third)));
        commit(near, 1, own);
        commit(spoke, 1, second);
        prove(1, inputs);
        ack(near, 1);
        ack(spoke, 1);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        route.ack(ackPayload(3, 1, Words.roll(0, 1, third)));
        hub.releaseBlocks(N(1));
    }
}
