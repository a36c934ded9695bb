// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
import {IRollup} from "../src/interfaces/IRollup.sol";
import {BlockNumber} from "../src/types/Ids.sol";
import {Prover} from "./base/Prover.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

/// @dev The way of a block through commit, prove, ack, release and pay on both chains, and every
///      wrong turn.
contract StagesTest is World {
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);
    bytes32 private constant ROOT1 = bytes32(uint256(0x7001));
    bytes32 private constant ROOT2 = bytes32(uint256(0x7002));
    bytes32[] private hubWords;
    bytes32[] private spokeWords;
    uint256[4] private inputs;

    /// Block 1: Alice deposits 50 on the spoke and Bob leaves with 20 of them there; 30 and 10 on
    /// the hub.
    function setUp() public override {
        super.setUp();
        depositUsd(spoke, ALICE, 50);
        depositNative(hub, ALICE, 30);
        spokeWords = Words.join(
            Words.deposit(SPOKE, 4, 3, USD, 50e12, padded(ALICE)),
            Words.withdraw(SPOKE, 4, USD, 20, 12, padded(BOB))
        );
        hubWords = Words.join(
            Words.deposit(HUB, 4, 3, NATIVE, 30, padded(ALICE)),
            Words.withdraw(HUB, 4, NATIVE, 10, 0, padded(BOB))
        );
    }

    function testABlockIsSettledOnBothChains() public {
        _commitAll();
        prove(1, inputs);
        ack(hub, 1);
        ack(spoke, 1);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        vm.expectEmit(address(hub));
        emit IHub.BlockReleased(1, ROOT1);
        hub.releaseBlock(N(1));
        hub.pay(N(1), hubWords);
        eq(BOB.balance, 10, "paid on the hub");
        eq(
            hubOracle.sentHash(C(SPOKE), 0),
            keccak256(releasePayload(1, ROOT1, spoke.rolling())),
            "the release is on its way"
        );
        relay(hubOracle, spokeOracle, releasePayload(1, ROOT1, spoke.rolling()));
        spoke.pay(N(1), spokeWords);
        eq(usd.balanceOf(BOB), 20, "paid on the spoke");
        eq(BlockNumber.unwrap(hub.lastPaid()), 1, "hub paid");
        eq(BlockNumber.unwrap(spoke.lastPaid()), 1, "spoke paid");
    }

    function testProofsAreCheckedInOrder() public {
        _commitAll();
        bytes memory proof = Prover.prove(inputs);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 2));
        hub.proveBlock(N(2), inputs, proof);
        (bytes32 commitment,,,,) = hub.blockInfo(N(1));
        uint256[4] memory other = [inputs[0], inputs[1], inputs[2], inputs[3] ^ 1];
        bytes memory otherProof = Prover.prove(other);
        bytes32 given =
            keccak256(abi.encode(uint16(1), other[0], other[1], other[2], other[3], ROOT1));
        vm.expectRevert(
            abi.encodeWithSelector(IHub.CommitmentMismatch.selector, 1, commitment, given)
        );
        hub.proveBlock(N(1), other, otherProof);
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRefused.selector, 1));
        hub.proveBlock(N(1), inputs, otherProof);
        hub.proveBlock(N(1), inputs, proof);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 2, 1));
        hub.proveBlock(N(1), inputs, proof);
        // Block 2 is not committed.
        given = keccak256(
            abi.encode(uint16(0), inputs[0], inputs[1], inputs[2], inputs[3], bytes32(0))
        );
        vm.expectRevert(
            abi.encodeWithSelector(IHub.CommitmentMismatch.selector, 2, bytes32(0), given)
        );
        hub.proveBlock(N(2), inputs, proof);
    }

    function testReleaseNeedsTheProofAndEveryAck() public {
        _commitAll();
        vm.expectRevert(abi.encodeWithSelector(IHub.NotProven.selector, 1));
        hub.releaseBlock(N(1));
        prove(1, inputs);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotAcked.selector, 1, HUB));
        hub.releaseBlock(N(1));
        ack(hub, 1);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotAcked.selector, 1, SPOKE));
        hub.releaseBlock(N(1));
        ack(spoke, 1);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 2));
        hub.releaseBlock(N(2));
        hub.releaseBlock(N(1));
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 2, 1));
        hub.releaseBlock(N(1));
    }

    /// What a spoke holds must be what was proven: a sequencer cannot invent a deposit, nor a
    /// withdrawal.
    function testAnAckOfOtherContentReleasesNothing() public {
        commit(spoke, 1, Words.deposit(SPOKE, 4, 3, USD, 50e12, padded(ALICE)));
        commit(hub, 1, hubWords);
        inputs = commitBlock(nextBlock(ROOT1, Words.join(hubWords, spokeWords)));
        prove(1, inputs);
        ack(hub, 1);
        ack(spoke, 1);
        vm.expectEmit(address(hub));
        emit IHub.AckReceived(SPOKE, 1, spoke.rolling(), false);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        vm.expectRevert(abi.encodeWithSelector(IHub.NotAcked.selector, 1, SPOKE));
        hub.releaseBlock(N(1));
    }

    function testAnAckMayComeBeforeTheHubsOwnCommit() public {
        commit(spoke, 1, spokeWords);
        ack(spoke, 1);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        inputs = commitBlock(nextBlock(ROOT1, spokeWords));
        prove(1, inputs);
        hub.releaseBlock(N(1));
        eq(BlockNumber.unwrap(hub.blocksReleased()), 1, "released");
    }

    /// One ack covers all blocks before it, because the rolling content does.
    function testALaterAckCoversEarlierBlocks() public {
        _commitAll();
        bytes32[] memory more = Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB));
        commit(spoke, 2, more);
        uint256[4] memory second = commitBlock(nextBlock(ROOT2, more));
        prove(1, inputs);
        prove(2, second);
        ack(hub, 1);
        ack(spoke, 2);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 2, spoke.rolling()));
        hub.releaseBlock(N(1));
        hub.releaseBlock(N(2));
        (, bytes32 first,) = spoke.recordOf(N(1));
        relay(hubOracle, spokeOracle, releasePayload(1, ROOT1, first));
        relay(hubOracle, spokeOracle, releasePayload(2, ROOT2, spoke.rolling()));
        spoke.pay(N(1), spokeWords);
        spoke.pay(N(2), more);
        eq(usd.balanceOf(BOB), 21, "both paid");
    }

    function testRevertedBlocksCanBeCommittedAnew() public {
        _commitAll();
        bytes32 first = hub.rollingOf(N(1), C(SPOKE));
        bytes32[] memory more = Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB));
        commitBlock(nextBlock(ROOT2, more));
        vm.startPrank(validator);
        hub.revertBlocks(N(1));
        vm.stopPrank();
        eq(hub.root(), ROOT1, "root of block 1");
        (BlockNumber last, bytes32 rolling,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(last), 1, "last block of the spoke");
        eq(rolling, first, "its content");
        eq(hub.rollingOf(N(2), C(SPOKE)), 0, "block 2 is gone");
        vm.prank(validator);
        hub.revertBlocks(N(0));
        (last, rolling,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(last), 0, "none");
        eq(rolling, 0, "empty");
        eq(hub.root(), GENESIS, "genesis");
        inputs = commitBlock(nextBlock(ROOT2, more));
        eq(hub.rollingOf(N(1), C(SPOKE)), Words.roll(0, 1, more), "anew");
        prove(1, inputs);
    }

    function testProvenAndAckedBlocksStay() public {
        _commitAll();
        commitBlock(nextBlock(ROOT2, new bytes32[](0)));
        ack(spoke, 1);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        vm.startPrank(validator);
        vm.expectRevert(abi.encodeWithSelector(IHub.BlocksAreFinal.selector, 1, 0));
        hub.revertBlocks(N(0));
        hub.revertBlocks(N(1));
        vm.stopPrank();
        uint256[4] memory second = commitBlock(nextBlock(ROOT2, new bytes32[](0)));
        prove(1, inputs);
        prove(2, second);
        vm.prank(validator);
        vm.expectRevert(abi.encodeWithSelector(IHub.BlocksAreFinal.selector, 2, 1));
        hub.revertBlocks(N(1));
    }

    /// A block that no chain agrees with must not be stuck; the hub commits what the chain holds.
    function testABlockWithADisagreeingAckCanBeReverted() public {
        commit(spoke, 1, spokeWords);
        ack(spoke, 1);
        commitBlock(nextBlock(ROOT2, Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB))));
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        vm.prank(validator);
        hub.revertBlocks(N(0));
        inputs = commitBlock(nextBlock(ROOT1, spokeWords));
        (,, BlockNumber acked) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(acked), 1, "now they agree");
    }

    /// A block that does not exist has the content zero; an Ack of zero must not agree with it.
    function testAnAckOfNothingAgreesWithNothing() public {
        vm.expectEmit(address(hub));
        emit IHub.AckReceived(SPOKE, 5, 0, false);
        vm.prank(address(hubOracle));
        hub.onMessage(C(SPOKE), ackPayload(SPOKE, 5, 0));
        (,, BlockNumber acked) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(acked), 0, "nothing acknowledged");
    }

    function testMessagesComeOverTheRouteOnly() public {
        _commitAll();
        ack(spoke, 1);
        bytes memory release = releasePayload(1, ROOT1, spoke.rolling());
        vm.expectRevert(abi.encodeWithSelector(IRollup.NotTheRoute.selector, HUB, address(this)));
        spoke.onMessage(C(HUB), release);
        vm.prank(address(spokeOracle));
        vm.expectRevert(
            abi.encodeWithSelector(IRollup.NotTheRoute.selector, 3, address(spokeOracle))
        );
        spoke.onMessage(C(3), release);
        vm.prank(address(0));
        vm.expectRevert(abi.encodeWithSelector(IRollup.NotTheRoute.selector, 3, address(0)));
        spoke.onMessage(C(3), release);
        bytes memory ack = ackPayload(3, 1, spoke.rolling());
        vm.prank(address(hubOracle));
        vm.expectRevert(IRollup.BadMessage.selector);
        hub.onMessage(C(SPOKE), ack);
    }

    function testRefusesMessagesThatItCannotRead() public {
        bytes32 x = bytes32(uint256(1));
        bytes[4] memory bad = [
            bytes(""),
            abi.encode(uint8(1), uint32(1), x, x),
            abi.encode(uint8(2), uint32(1), x),
            bytes.concat(releasePayload(1, x, x), hex"00")
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.prank(address(spokeOracle));
            vm.expectRevert(IRollup.BadMessage.selector);
            spoke.onMessage(C(HUB), bad[i]);
        }
        vm.prank(address(hubOracle));
        vm.expectRevert(IRollup.BadMessage.selector);
        hub.onMessage(C(SPOKE), abi.encode(uint8(2), SPOKE, uint32(1), x));
    }

    function testAReleaseMustEqualTheRecord() public {
        _commitAll();
        bytes32 held = spoke.rolling();
        vm.startPrank(address(spokeOracle));
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 1));
        spoke.onMessage(C(HUB), releasePayload(1, ROOT1, held));
        ack(spoke, 1);
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 2));
        spoke.onMessage(C(HUB), releasePayload(2, ROOT1, held));
        vm.expectRevert(abi.encodeWithSelector(IRollup.ContentMismatch.selector, 1, held, ROOT1));
        spoke.onMessage(C(HUB), releasePayload(1, ROOT1, ROOT1));
        spoke.onMessage(C(HUB), releasePayload(1, ROOT1, held));
        vm.expectRevert(abi.encodeWithSelector(IRollup.WrongRecord.selector, 1));
        spoke.onMessage(C(HUB), releasePayload(1, ROOT1, held));
    }

    function _commitAll() private {
        commit(spoke, 1, spokeWords);
        commit(hub, 1, hubWords);
        inputs = commitBlock(nextBlock(ROOT1, Words.join(hubWords, spokeWords)));
    }
}
