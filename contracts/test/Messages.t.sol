// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {IHub} from "../src/interfaces/IHub.sol";
import {BlockNumber} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";

/// @dev What hub and rollup make of messages that came over the right route.
contract MessagesTest is World {
    /// A block that does not exist has the content zero; an Ack of zero must not agree with it.
    function testAnAckOfNothingAgreesWithNothing() public {
        vm.expectEmit(address(hub));
        emit IHub.AckReceived(SPOKE, 5, 0, false);
        vm.prank(address(hubOracle));
        hub.onMessage(C(SPOKE), ackPayload(SPOKE, 5, 0));
        (,, BlockNumber acked,,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(acked), 0, "nothing acknowledged");
    }

    function testRefusesMessagesThatItCannotRead() public {
        bytes32 x = bytes32(uint256(1));
        bytes[5] memory bad = [
            bytes(""),
            abi.encode(uint8(1), uint32(1), x, x),
            abi.encode(uint8(2), uint32(1), x),
            abi.encode(uint8(2), uint64(1) << 32, x, x),
            bytes.concat(releasePayload(1, x, x), hex"00")
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.prank(address(spokeOracle));
            vm.expectRevert(IEndpoint.BadMessage.selector);
            spoke.onMessage(C(HUB), bad[i]);
        }
        vm.startPrank(address(hubOracle));
        vm.expectRevert(IEndpoint.BadMessage.selector);
        hub.onMessage(C(SPOKE), abi.encode(uint8(2), SPOKE, uint32(1), x));
        vm.expectRevert(IEndpoint.BadMessage.selector);
        hub.onMessage(C(SPOKE), abi.encode(uint8(1), uint16(256) + SPOKE, uint32(1), x));
    }
}
