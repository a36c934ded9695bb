// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {BlockCommit, BlockProof, IHub} from "../src/interfaces/IHub.sol";
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
    bytes32[] private nearWords;
    bytes32[] private spokeWords;
    uint256[4] private inputs;

    /// Block 1: Alice deposits 50 on the spoke and Bob leaves with 20 of them there; 30 and 10 on
    /// the hub's chain.
    function setUp() public override {
        super.setUp();
        depositUsd(spoke, ALICE, 50);
        depositNative(near, ALICE, 30);
        spokeWords = Words.join(
            Words.deposit(SPOKE, 4, 3, USD, 50e12, padded(ALICE)),
            Words.withdraw(SPOKE, 4, USD, 20, 12, padded(BOB))
        );
        nearWords = Words.join(
            Words.deposit(HUB, 4, 3, NATIVE, 30, padded(ALICE)),
            Words.withdraw(HUB, 4, NATIVE, 10, 0, padded(BOB))
        );
    }

    function testABlockIsSettledOnBothChains() public {
        _commitAll();
        prove(1, inputs);
        ack(near, 1);
        ack(spoke, 1);
        _relayAck(1);
        vm.expectEmit(address(hub));
        emit IHub.BlocksReleased(1, ROOT1);
        hub.releaseBlocks(N(1));
        eq(BlockNumber.unwrap(near.lastReleased()), 0, "a mark sends nothing");
        vm.expectEmit(address(hub));
        emit IHub.ReleaseSent(HUB, 1, near.rolling());
        hub.sendRelease(C(HUB));
        pay(near, 1, nearWords);
        eq(BOB.balance, 10, "paid on the hub's chain");
        hub.sendRelease(C(SPOKE));
        eq(
            hubOracle.sentHash(C(SPOKE), 0),
            keccak256(releasePayload(1, ROOT1, spoke.rolling())),
            "the release is on its way"
        );
        relay(hubOracle, spokeOracle, releasePayload(1, ROOT1, spoke.rolling()));
        pay(spoke, 1, spokeWords);
        eq(usd.balanceOf(BOB), 20, "paid on the spoke");
        eq(BlockNumber.unwrap(near.lastPaid()), 1, "hub's chain paid");
        eq(BlockNumber.unwrap(spoke.lastPaid()), 1, "spoke paid");
    }

    function testProofsAreCheckedInOrder() public {
        _commitAll();
        bytes memory proof = Prover.prove(inputs);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 2));
        hub.proveBlocks(N(2), oneProof(inputs, proof));
        vm.expectRevert(abi.encodeWithSelector(IHub.BlockCount.selector, 1, 0));
        hub.proveBlocks(N(1), new BlockProof[](0));
        (bytes32 commitment,,,,) = hub.blockInfo(N(1));
        uint256[4] memory other = [inputs[0], inputs[1], inputs[2], inputs[3] ^ 1];
        bytes memory otherProof = Prover.prove(other);
        bytes32 given = bytes32(uint256(1) << 240 | uint256(keccak256(abi.encode(other))) >> 16);
        vm.expectRevert(
            abi.encodeWithSelector(IHub.CommitmentMismatch.selector, 1, commitment, given)
        );
        hub.proveBlocks(N(1), oneProof(other, otherProof));
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRefused.selector, 1));
        hub.proveBlocks(N(1), oneProof(inputs, otherProof));
        hub.proveBlocks(N(1), oneProof(inputs, proof));
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 2, 1));
        hub.proveBlocks(N(1), oneProof(inputs, proof));
        // Block 2 is not committed.
        given = bytes32(uint256(keccak256(abi.encode(inputs))) >> 16);
        vm.expectRevert(
            abi.encodeWithSelector(IHub.CommitmentMismatch.selector, 2, bytes32(0), given)
        );
        hub.proveBlocks(N(2), oneProof(inputs, proof));
    }

    /// Four blocks in one call; one false proof among them, and all are refused.
    function testManyBlocksAreProvenAtOnce() public {
        (BlockProof[] memory proofs,) = _fourBlocks();
        bytes memory good = proofs[2].proof;
        proofs[2].proof = proofs[1].proof;
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRefused.selector, 1));
        hub.proveBlocks{gas: 10_000_000}(N(1), proofs);
        (proofs[1].proof, proofs[2].proof) = (good, proofs[1].proof);
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRefused.selector, 1));
        hub.proveBlocks{gas: 10_000_000}(N(1), proofs);
        (proofs[1].proof, proofs[2].proof) = (proofs[2].proof, good);
        vm.expectEmit(address(hub));
        emit IHub.BlocksProven(4);
        hub.proveBlocks(N(1), proofs);
        eq(BlockNumber.unwrap(hub.blocksProven()), 4, "all four");
        hub.releaseBlocks(N(4));
        eq(BlockNumber.unwrap(hub.blocksReleased()), 4, "released");
    }

    function testBlocksAreCommittedAndProvenInOneCall() public {
        (BlockProof[] memory proofs, BlockCommit[] memory blocks) = _fourBlocks();
        bytes[] memory bare = new bytes[](4);
        for (uint256 i = 0; i < 4; ++i) {
            bare[i] = proofs[i].proof;
        }
        vm.startPrank(validator);
        // Unproven blocks stand before the new ones.
        vm.expectRevert(abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 5));
        hub.commitAndProve(blocks, bare);
        hub.revertBlocks(N(0));
        vm.expectRevert(abi.encodeWithSelector(IHub.BlockCount.selector, 4, 3));
        hub.commitAndProve(blocks, new bytes[](3));
        (bare[0], bare[1]) = (bare[1], bare[0]);
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRefused.selector, 1));
        hub.commitAndProve{gas: 10_000_000}(blocks, bare);
        (bare[0], bare[1]) = (bare[1], bare[0]);
        hub.commitAndProve(blocks, bare);
        eq(BlockNumber.unwrap(hub.blocksProven()), 4, "proven");
        eq(hub.root(), bytes32(uint256(0x7104)), "root");
        (bytes32 commitment, bytes32 root, uint64 timestamp,,) = hub.blockInfo(N(2));
        eq(root, 0, "of blocks in the middle without operations nothing is kept");
        (commitment, root, timestamp,,) = hub.blockInfo(N(4));
        eq(commitment, 0, "no commitment");
        eq(root, bytes32(uint256(0x7104)), "root of block 4");
        eq(timestamp, block.timestamp, "its time");
        vm.expectRevert(abi.encodeWithSelector(IHub.BlocksAreFinal.selector, 4, 3));
        hub.revertBlocks(N(3));
        vm.stopPrank();
    }

    /// Four committed blocks without operations, and their proofs.
    function _fourBlocks()
        private
        returns (BlockProof[] memory proofs, BlockCommit[] memory blocks)
    {
        blocks = new BlockCommit[](4);
        bytes32 old = GENESIS;
        for (uint32 i = 0; i < 4; ++i) {
            bytes32 root = bytes32(uint256(0x7101) + i);
            blocks[i] = blockAfter(i, old, root, new bytes32[](0));
            old = root;
        }
        uint256[4][] memory all = commitBlocks(blocks);
        proofs = new BlockProof[](4);
        for (uint256 i = 0; i < 4; ++i) {
            proofs[i] = BlockProof(all[i], Prover.prove(all[i]));
        }
    }

    function testReleaseNeedsTheProofAndEveryAck() public {
        _commitAll();
        vm.expectRevert(abi.encodeWithSelector(IHub.NotProven.selector, 1));
        hub.releaseBlocks(N(1));
        prove(1, inputs);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotAcked.selector, 1, HUB));
        hub.releaseBlocks(N(1));
        ack(near, 1);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotAcked.selector, 1, SPOKE));
        hub.releaseBlocks(N(1));
        vm.expectRevert(abi.encodeWithSelector(IHub.NothingToRelease.selector, 0));
        hub.sendRelease(C(SPOKE));
        ack(spoke, 1);
        _relayAck(1);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotProven.selector, 2));
        hub.releaseBlocks(N(2));
        hub.releaseBlocks(N(1));
        vm.expectRevert(abi.encodeWithSelector(IHub.NothingToRelease.selector, 1));
        hub.releaseBlocks(N(1));
        hub.sendRelease(C(SPOKE));
        vm.expectRevert(abi.encodeWithSelector(IHub.NothingToRelease.selector, 1));
        hub.sendRelease(C(SPOKE));
    }

    /// What a spoke holds must be what was proven: a sequencer cannot invent a deposit, nor a
    /// withdrawal.
    function testAnAckOfOtherContentReleasesNothing() public {
        commit(spoke, 1, Words.deposit(SPOKE, 4, 3, USD, 50e12, padded(ALICE)));
        commit(near, 1, nearWords);
        inputs = commitBlock(nextBlock(ROOT1, Words.join(nearWords, spokeWords)));
        prove(1, inputs);
        ack(near, 1);
        ack(spoke, 1);
        vm.expectEmit(address(hub));
        emit IHub.AckReceived(SPOKE, 1, spoke.rolling(), false);
        _relayAck(1);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotAcked.selector, 1, SPOKE));
        hub.releaseBlocks(N(1));
    }

    function testAnAckMayComeBeforeTheHubsOwnCommit() public {
        commit(spoke, 1, spokeWords);
        ack(spoke, 1);
        _relayAck(1);
        inputs = commitBlock(nextBlock(ROOT1, spokeWords));
        prove(1, inputs);
        hub.releaseBlocks(N(1));
        eq(BlockNumber.unwrap(hub.blocksReleased()), 1, "released");
    }

    /// One ack and one release cover all blocks before them, because the rolling content does.
    function testALaterAckAndReleaseCoverEarlierBlocks() public {
        _commitAll();
        bytes32[] memory more = Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB));
        commit(spoke, 2, more);
        uint256[4] memory second = commitBlock(nextBlock(ROOT2, more));
        prove(1, inputs);
        prove(2, second);
        ack(near, 1);
        ack(spoke, 2);
        _relayAck(2);
        hub.releaseBlocks(N(2));
        hub.sendRelease(C(HUB));
        hub.sendRelease(C(SPOKE));
        eq(hubOracle.sentCount(C(SPOKE)), 1, "one message for both blocks");
        relay(hubOracle, spokeOracle, releasePayload(2, ROOT2, spoke.rolling()));
        pay(spoke, 1, spokeWords);
        pay(spoke, 2, more);
        pay(near, 1, nearWords);
        eq(usd.balanceOf(BOB), 21, "both paid");
        (BlockNumber last,, BlockNumber acked, BlockNumber released, BlockNumber sent) =
            hub.chainInfo(C(HUB));
        eq(BlockNumber.unwrap(last), 1, "last of the hub's chain");
        eq(BlockNumber.unwrap(acked), 1, "acked");
        eq(BlockNumber.unwrap(released), 1, "released");
        eq(BlockNumber.unwrap(sent), 1, "sent");
    }

    function testRevertedBlocksCanBeCommittedAnew() public {
        _commitAll();
        bytes32 first = hub.rollingOf(N(1), C(SPOKE));
        bytes32[] memory more = Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB));
        commitBlock(nextBlock(ROOT2, more));
        vm.prank(validator);
        hub.revertBlocks(N(1));
        eq(hub.root(), ROOT1, "root of block 1");
        (BlockNumber last, bytes32 rolling,,,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(last), 1, "last block of the spoke");
        eq(rolling, first, "its content");
        eq(hub.rollingOf(N(2), C(SPOKE)), 0, "block 2 is gone");
        vm.prank(validator);
        hub.revertBlocks(N(0));
        (last, rolling,,,) = hub.chainInfo(C(SPOKE));
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
        _relayAck(1);
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

    /// Messages of several routes come in any order: an older ack, or one of another chain, makes
    /// nothing revertible again and takes nothing back.
    function testHeightsDoNotFall() public {
        bytes32[] memory later = Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB));
        commit(near, 1, nearWords);
        commitBlock(nextBlock(ROOT1, Words.join(nearWords, spokeWords)));
        commitBlock(nextBlock(ROOT2, later));
        bytes32 first = Words.roll(0, 1, spokeWords);
        bytes32 second = Words.roll(first, 2, later);
        vm.startPrank(address(hubOracle));
        hub.onMessage(C(SPOKE), ackPayload(SPOKE, 2, second));
        hub.onMessage(C(SPOKE), ackPayload(SPOKE, 1, first));
        vm.stopPrank();
        ack(near, 1);
        (,, BlockNumber acked,,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(acked), 2, "the chain's height stays");
        vm.prank(validator);
        vm.expectRevert(abi.encodeWithSelector(IHub.BlocksAreFinal.selector, 2, 1));
        hub.revertBlocks(N(1));
    }

    /// A block that no chain agrees with must not be stuck; the hub commits what the chain holds.
    function testABlockWithADisagreeingAckCanBeReverted() public {
        commit(spoke, 1, spokeWords);
        ack(spoke, 1);
        commitBlock(nextBlock(ROOT2, Words.withdraw(SPOKE, 4, USD, 1, 12, padded(BOB))));
        _relayAck(1);
        vm.prank(validator);
        hub.revertBlocks(N(0));
        inputs = commitBlock(nextBlock(ROOT1, spokeWords));
        (,, BlockNumber acked,,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(acked), 1, "now they agree");
    }

    function testMessagesComeOverTheRouteOnly() public {
        _commitAll();
        ack(spoke, 1);
        bytes memory release = releasePayload(1, ROOT1, spoke.rolling());
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.NotTheRoute.selector, HUB, address(this)));
        spoke.onMessage(C(HUB), release);
        vm.prank(address(spokeOracle));
        vm.expectRevert(
            abi.encodeWithSelector(IEndpoint.NotTheRoute.selector, 3, address(spokeOracle))
        );
        spoke.onMessage(C(3), release);
        vm.prank(address(0));
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.NotTheRoute.selector, 3, address(0)));
        spoke.onMessage(C(3), release);
        bytes memory other = ackPayload(3, 1, spoke.rolling());
        vm.prank(address(hubOracle));
        vm.expectRevert(IEndpoint.BadMessage.selector);
        hub.onMessage(C(SPOKE), other);
        // The route of the hub's chain speaks for that chain only, and the oracle not for it.
        other = ackPayload(SPOKE, 1, spoke.rolling());
        vm.prank(address(localRoute));
        vm.expectRevert(
            abi.encodeWithSelector(IEndpoint.NotTheRoute.selector, SPOKE, address(localRoute))
        );
        hub.onMessage(C(SPOKE), other);
        vm.prank(address(hubOracle));
        vm.expectRevert(
            abi.encodeWithSelector(IEndpoint.NotTheRoute.selector, HUB, address(hubOracle))
        );
        hub.onMessage(C(HUB), other);
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

    function _relayAck(uint32 number) private {
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, number, spoke.rolling()));
    }

    function _commitAll() private {
        commit(spoke, 1, spokeWords);
        commit(near, 1, nearWords);
        inputs = commitBlock(nextBlock(ROOT1, Words.join(nearWords, spokeWords)));
    }
}
