// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../../src/interfaces/IEndpoint.sol";
import {ILightOracle} from "../../src/interfaces/ILightOracle.sol";
import {IRollup} from "../../src/interfaces/IRollup.sol";
import {World} from "../base/World.sol";
import {Words} from "../base/Words.sol";

contract Factory2 {
    function make(bytes memory creation) external returns (address made) {
        assembly {
            made := create2(0, add(creation, 32), mload(creation), 7)
        }
        require(made != address(0));
    }
}

/// @dev Faults 6, 7, 9 and 10: hidden attesters, foreign routes, oracles that could not be bound,
///      messages that another deployment took too, owners on the wrong side, a cap that was used up.
contract SetupFaultsTest is World {
    function testAForeignOracleAndATokenAreNoRoutes() public {
        IRollup fresh = IRollup(deploy("Rollup", abi.encode(params(SPOKE))));
        bytes32 identity = spokeOracle.identity();
        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadRoute.selector, address(spokeOracle)));
        fresh.addChain(C(HUB), address(spokeOracle), identity);
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadRoute.selector, address(usd)));
        fresh.addChain(C(HUB), address(usd), identity);
        vm.stopPrank();
    }

    function testAnOracleMadeByAFactoryWorks() public {
        IRollup fresh = IRollup(deploy("Rollup", abi.encode(params(SPOKE))));
        bytes memory creation = bytes.concat(
            creationCode("LightOracle"), abi.encode(address(fresh), attesterList(), 2)
        );
        ILightOracle oracle = ILightOracle(new Factory2().make(creation));
        bytes32 identity = oracle.identity();
        vm.prank(governor);
        fresh.addChain(C(HUB), address(oracle), identity);
    }

    /// Keys besides the agreed ones can be seen, and the setup refuses them.
    function testNoAttesterIsHidden() public {
        address[] memory five = new address[](5);
        (five[0], five[1]) = (address(1), address(2));
        address[] memory three = attesterList();
        for (uint256 i = 0; i < 3; ++i) {
            five[2 + i] = three[i];
        }
        IRollup fresh = IRollup(deploy("Rollup", abi.encode(params(SPOKE))));
        ILightOracle oracle =
            ILightOracle(deploy("LightOracle", abi.encode(address(fresh), five, 2)));
        eq(oracle.attesters().length, 5, "all are listed");
        bytes32 agreed = keccak256(
            abi.encode(keccak256("zkLink LightOracle"), SPOKE, DEPLOYMENT, address(fresh), 2, three)
        );
        vm.prank(governor);
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadRoute.selector, address(oracle)));
        fresh.addChain(C(HUB), address(oracle), agreed);
    }

    /// A second deployment with the same id and the same attesters does not take the first's
    /// signatures.
    function testMessagesAreForOneOracle() public {
        ILightOracle other = oracleFor(address(spoke));
        bytes memory payload = releasePayload(1, GENESIS, 0);
        bytes[] memory signatures = sign(spokeOracle.digest(C(HUB), 0, payload), 2);
        (bytes[] memory payloads, bytes[][] memory lists) = oneMessage(payload, signatures);
        vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
        other.deliver(C(HUB), 0, payloads, lists);
    }

    function testALeftAlignedOwnerIsRefusedWhereItEnters() public {
        bytes32 wrong = bytes32(bytes20(address(0xa11ce00000000000000000000000000000000001)));
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(IRollup.OwnerNotAnAddress.selector, wrong));
        spoke.depositNative{value: 1}(wrong, 0, 0);
    }

    /// The cap counts what is there: going round does not use it up.
    function testGoingRoundLeavesTheCap() public {
        uint128 supply = 420e33;
        wide.mint(address(this), supply);
        wide.approve(address(spoke), type(uint256).max);
        for (uint32 number = 1; number <= 5; ++number) {
            spoke.depositERC20(T(WIDE), supply, padded(address(0xb0b)), 0, 3);
            bytes32[] memory words = Words.join(
                Words.deposit(SPOKE, 4, 3, WIDE, supply, padded(address(0xb0b))),
                Words.withdraw(SPOKE, 4, WIDE, supply, 0, padded(address(this)))
            );
            commit(spoke, number, words);
            ack(spoke, number);
            relay(hubOracle, spokeOracle, releasePayload(number, GENESIS, spoke.rolling()));
            pay(spoke, number, words);
        }
        eq(spoke.locked(T(WIDE)), 0, "nothing is in the vault");
    }

    /// Fault 7 is no fault of the contracts but what the attesters are trusted for, and the
    /// documents say so: k of them, together with the validator who proves the block, can have a
    /// deposit paid that was never made. With neither of the two alone it cannot happen.
    function testWhatAttestersAndValidatorTogetherCanDo() public {
        address thief = address(0xbad);
        depositUsd(near, address(0xa11ce), 1000);
        bytes32[] memory own = Words.join(
            Words.deposit(HUB, 4, 3, USD, 1000e12, padded(address(0xa11ce))),
            Words.withdraw(HUB, 5, USD, 1000, 12, padded(thief))
        );
        bytes32[] memory invented = Words.deposit(SPOKE, 5, 3, USD, 1000e12, padded(thief));
        uint256[4] memory inputs =
            commitBlock(nextBlock(bytes32(uint256(7)), Words.join(invented, own)));
        commit(near, 1, own);
        prove(1, inputs);
        ack(near, 1);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, Words.roll(0, 1, invented)));
        hub.releaseBlocks(N(1));
        hub.sendRelease(C(HUB));
        pay(near, 1, own);
        eq(usd.balanceOf(thief), 1000, "what the trust is about");
    }
}
