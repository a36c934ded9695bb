// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
import {IRollup} from "../src/interfaces/IRollup.sol";
import {Field} from "../src/libraries/Field.sol";
import {BlockNumber, ShapeId} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

/// @dev What a block must be to be committed on the hub.
contract HubTest is World {
    bytes32 private constant ROOT = bytes32(uint256(0x700f));
    bytes32 private constant OWNER = bytes32(uint256(0xabc));

    function _registerShapes() internal override {
        super._registerShapes();
        vm.startPrank(governor);
        hub.registerShape(S(2), 64, 31, verifier);
        hub.registerShape(S(3), 3, 0, verifier);
        vm.stopPrank();
    }

    function testCommitsABlockOfBothChains() public {
        bytes32[] memory hubWords = Words.withdraw(HUB, 4, USD, 9, 12, OWNER);
        bytes32[] memory first = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER);
        bytes32[] memory second = Words.changePubKey(SPOKE, 4, 0, OWNER, 1, 2);
        bytes32[] memory words = Words.join(first, new bytes32[](1));
        words = Words.join(Words.join(words, hubWords), Words.join(new bytes32[](2), second));
        BlockCommit memory info = nextBlock(ROOT, words);
        uint256[4] memory inputs = commitBlock(info);
        eq(hub.root(), ROOT, "root");
        eq(hub.rootOf(N(0)), GENESIS, "genesis");
        bytes32 hubRolling = Words.roll(0, 1, hubWords);
        bytes32 spokeRolling = Words.roll(0, 1, Words.join(first, second));
        eq(hub.rollingOf(N(1), C(HUB)), hubRolling, "the hub's content");
        eq(hub.rollingOf(N(1), C(SPOKE)), spokeRolling, "the spoke's content");
        _checkInfo(inputs, 1 << HUB | 1 << SPOKE);
        // The next block rolls on, for the chain that is in it.
        commitBlock(nextBlock(bytes32(uint256(0x7010)), hubWords));
        eq(hub.rollingOf(N(2), C(HUB)), Words.roll(hubRolling, 2, hubWords), "rolls on");
        eq(hub.rollingOf(N(2), C(SPOKE)), 0, "not in block 2");
        (BlockNumber last, bytes32 rolling,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(last), 1, "last block of the spoke");
        eq(rolling, spokeRolling, "unchanged");
    }

    function _checkInfo(uint256[4] memory inputs, uint256 expectedChains) private view {
        (bytes32 commitment, bytes32 root, uint64 timestamp, ShapeId shape, uint64 chains) =
            hub.blockInfo(N(1));
        bytes32 expected =
            keccak256(abi.encode(uint16(1), inputs[0], inputs[1], inputs[2], inputs[3], ROOT));
        eq(commitment, expected, "commitment");
        eq(root, ROOT, "root of the block");
        eq(timestamp, block.timestamp, "timestamp");
        eq(ShapeId.unwrap(shape), 1, "shape");
        eq(chains, expectedChains, "chains");
    }

    /// z, yData and yOnchain against the definition, with field arithmetic written out for this
    /// small block.
    function testPublicInputsAreTheSpecifiedOnes() public {
        BlockCommit memory info = nextBlock(ROOT, Words.deposit(SPOKE, 4, 3, USD, 5, OWNER));
        uint256[4] memory inputs = commitBlock(info);
        uint256 r = Field.MODULUS;
        bytes32 onchain = keccak256(abi.encodePacked(info.onchain));
        bytes32 data = keccak256(abi.encodePacked(info.data));
        uint256 z = uint256(keccak256(abi.encodePacked(info.d, onchain, data))) % r;
        eq(inputs[0], info.d, "d");
        eq(inputs[1], z, "z");
        uint256 sum = 0;
        uint256 power = 1;
        for (uint256 i = 0; i < info.onchain.length; ++i) {
            sum = addmod(sum, mulmod(uint256(info.onchain[i]), power, r), r);
            power = mulmod(power, z, r);
        }
        eq(inputs[3], sum, "yOnchain");
        // Only data[1] = 77 is not zero; its root of unity is -1: (z^4096 - 1) / 4096 * 77 * (-1) /
        // (z + 1).
        uint256 vanishing = z;
        for (uint256 i = 0; i < 12; ++i) {
            vanishing = mulmod(vanishing, vanishing, r);
        }
        vanishing = addmod(vanishing, r - 1, r);
        uint256 left = mulmod(mulmod(inputs[2], 4096, r), addmod(z, 1, r), r);
        eq(left, mulmod(vanishing, r - 77, r), "yData");
    }

    function testRefusesAWrongHead() public {
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        bytes32 good = info.onchain[0];
        info.onchain[0] = ROOT;
        _refused(info, abi.encodeWithSelector(IHub.HeadMismatch.selector, 0, GENESIS, ROOT));
        info.onchain[0] = good;
        good = info.onchain[1];
        info.onchain[1] = GENESIS;
        _refused(info, abi.encodeWithSelector(IHub.HeadMismatch.selector, 1, ROOT, GENESIS));
        info.onchain[1] = good;
        good = info.onchain[2];
        for (uint256 bit = 0; bit < 256; bit += 17) {
            info.onchain[2] = good ^ bytes32(1 << bit);
            _refused(
                info, abi.encodeWithSelector(IHub.HeadMismatch.selector, 2, good, info.onchain[2])
            );
        }
        info.onchain[2] = good;
        commitBlock(info);
        info = nextBlock(0, new bytes32[](0));
        _refused(info, abi.encodeWithSelector(IHub.BadRoot.selector, 0));
        info = nextBlock(bytes32(Field.MODULUS), new bytes32[](0));
        _refused(info, abi.encodeWithSelector(IRollup.WordOutOfRange.selector, 1));
    }

    function testRefusesOtherNumbersShapesLengthsAndDigests() public {
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        info.number = N(2);
        _refused(info, abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 2));
        info.number = N(0);
        _refused(info, abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 0));
        info = nextBlock(ROOT, new bytes32[](0));
        info.shape = S(9);
        _refused(info, abi.encodeWithSelector(IHub.UnknownShape.selector, 9));
        info.shape = S(2);
        _refused(info, abi.encodeWithSelector(IHub.VectorLength.selector, 64, ONCHAIN));
        info = nextBlock(ROOT, new bytes32[](0));
        info.data = new bytes32[](DATA + 1);
        _refused(info, abi.encodeWithSelector(IHub.VectorLength.selector, DATA, DATA + 1));
        info = nextBlock(ROOT, new bytes32[](0));
        info.d = Field.MODULUS;
        _refused(info, abi.encodeWithSelector(IHub.DigestOutOfRange.selector, Field.MODULUS));
        info = nextBlock(ROOT, new bytes32[](0));
        info.data[3] = bytes32(Field.MODULUS);
        _refused(info, abi.encodeWithSelector(IRollup.WordOutOfRange.selector, 3));
    }

    function testTimestampsAreNotAheadOfTheClockAndNotBeforeTheLast() public {
        uint64 time = uint64(block.timestamp);
        _commitAt(time - 30 days, time - 30 days, time + 900, false);
        _commitAt(time + 901, time - 30 days, time + 900, true);
        _commitAt(time + 900, time - 30 days, time + 900, false);
        _commitAt(time + 899, time + 900, time + 900, true);
        // However long a block had to wait, it can be committed.
        vm.warp(time + 365 days);
        _commitAt(time + 900, time + 900, time + 365 days + 900, false);
    }

    function _commitAt(uint64 time, uint64 earliest, uint64 latest, bool refused) private {
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        info.timestamp = time;
        info.onchain[2] = Words.head(0, 0, committedBlocks() + 1, time, 1)[2];
        if (!refused) {
            commitBlock(info);
            return;
        }
        bytes4 selector = IHub.BadTimestamp.selector;
        _refused(info, abi.encodeWithSelector(selector, time, earliest, latest));
    }

    function testRefusesOperationsThatItCannotRead() public {
        bytes32[] memory words = Words.deposit(9, 4, 3, USD, 5, OWNER);
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IHub.UnknownChain.selector, 3, 9));
        words = Words.deposit(255, 4, 3, USD, 5, OWNER);
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IHub.UnknownChain.selector, 3, 255));
        words = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER);
        words[0] |= bytes32(uint256(1));
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IRollup.BadWord.selector, 3));
        words = new bytes32[](2);
        words[1] = bytes32(uint256(4) << 240);
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IRollup.BadWord.selector, 4));
        words = new bytes32[](ONCHAIN - 3);
        words[ONCHAIN - 4] = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER)[0];
        _refused(
            nextBlock(ROOT, words),
            abi.encodeWithSelector(IRollup.TruncatedOperation.selector, ONCHAIN - 1)
        );
    }

    /// An operation's own zero words belong to it; only where a code is expected zero means an
    /// empty slot.
    function testZeroWordsInsideAnOperationBelongToIt() public {
        bytes32[] memory words = Words.changePubKey(SPOKE, 4, 0, 0, 0, 0);
        eq(words[1], 0, "three zero words follow");
        commitBlock(nextBlock(ROOT, words));
        eq(hub.rollingOf(N(1), C(SPOKE)), Words.roll(0, 1, words), "content");
    }

    function testABlockWithoutOperationsHasNoContents() public {
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        info.shape = S(3);
        info.onchain = Words.head(GENESIS, ROOT, 1, info.timestamp, 3);
        info.data = new bytes32[](0);
        uint256[4] memory inputs = commitBlock(info);
        (,,,, uint64 chains) = hub.blockInfo(N(1));
        eq(chains, 0, "no chains");
        eq(inputs[2], 0, "no data, no value");
        prove(1, inputs);
        hub.releaseBlock(N(1));
        eq(BlockNumber.unwrap(hub.blocksReleased()), 1, "released");
    }

    function testOnlyTheValidatorCommitsBlocks() public {
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(IRollup.Forbidden.selector, address(this)));
        hub.commitBlock(info);
        vm.expectRevert(abi.encodeWithSelector(IRollup.Forbidden.selector, address(this)));
        hub.revertBlocks(N(0));
    }

    /// Slots in any order, with gaps, of three kinds and two chains: the contents are the chains'
    /// own words.
    function testFuzzContents(uint8[12] memory kinds, uint8[12] memory owners) public {
        bytes32[] memory all = new bytes32[](0);
        bytes32[][3] memory own;
        for (uint256 i = 0; i < 12; ++i) {
            uint8 chain = owners[i] % 2 == 0 ? HUB : SPOKE;
            uint256 kind = kinds[i] % 4;
            bytes32[] memory words = new bytes32[](1);
            bytes32 owner = bytes32(uint256(owners[i]));
            if (kind == 1) words = Words.deposit(chain, 4, 3, USD, kinds[i], owner);
            if (kind == 2) words = Words.withdraw(chain, 4, USD, kinds[i], 12, owner);
            if (kind == 3) words = Words.changePubKey(chain, 4, kinds[i], owner, owners[i], 0);
            all = Words.join(all, words);
            if (kind != 0) own[chain] = Words.join(own[chain], words);
        }
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        info.shape = S(2);
        info.onchain = Words.head(GENESIS, ROOT, 1, info.timestamp, 2);
        info.onchain = Words.padTo(Words.join(info.onchain, all), 64);
        info.data = new bytes32[](31);
        commitBlock(info);
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            bytes32 expected = own[chain].length == 0 ? bytes32(0) : Words.roll(0, 1, own[chain]);
            eq(hub.rollingOf(N(1), C(chain)), expected, "content");
        }
    }

    function _refused(BlockCommit memory info, bytes memory reason) private {
        vm.expectRevert(reason);
        vm.prank(validator);
        hub.commitBlock(info);
    }
}
