// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
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
        registerShape(2, 14, 31);
        registerShape(3, 3, 0);
    }

    function testCommitsABlockOfBothChains() public {
        bytes32[] memory nearWords = Words.withdraw(HUB, 4, USD, 9, 12, OWNER);
        bytes32[] memory first = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER);
        bytes32[] memory second = Words.changePubKey(SPOKE, 4, 0, OWNER, 1, 2);
        bytes32[] memory words = Words.join(Words.join(first, nearWords), second);
        uint256[4] memory inputs = commitBlock(nextBlock(ROOT, words));
        eq(hub.root(), ROOT, "root");
        eq(hub.rootOf(N(0)), GENESIS, "genesis");
        bytes32 nearRolling = Words.roll(0, 1, nearWords);
        bytes32 spokeRolling = Words.roll(0, 1, Words.join(first, second));
        eq(hub.rollingOf(N(1), C(HUB)), nearRolling, "the content of the hub's chain");
        eq(hub.rollingOf(N(1), C(SPOKE)), spokeRolling, "the spoke's content");
        _checkInfo(inputs, 1 << HUB | 1 << SPOKE);
        // The next block rolls on, for the chain that is in it.
        commitBlock(nextBlock(bytes32(uint256(0x7010)), nearWords));
        eq(hub.rollingOf(N(2), C(HUB)), Words.roll(nearRolling, 2, nearWords), "rolls on");
        eq(hub.rollingOf(N(2), C(SPOKE)), 0, "not in block 2");
        (BlockNumber last, bytes32 rolling,,,) = hub.chainInfo(C(SPOKE));
        eq(BlockNumber.unwrap(last), 1, "last block of the spoke");
        eq(rolling, spokeRolling, "unchanged");
    }

    function _checkInfo(uint256[4] memory inputs, uint256 expectedChains) private view {
        (bytes32 commitment, bytes32 root, uint64 timestamp, ShapeId shape, uint64 chains) =
            hub.blockInfo(N(1));
        uint256 hash = uint256(keccak256(abi.encode(inputs)));
        eq(commitment, bytes32(uint256(1) << 240 | hash >> 16), "commitment");
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
        // Only data[1] = 77 is not zero; its root of unity is w: (z^4096 - 1) / 4096 * 77 * w / (z -
        // w).
        uint256 vanishing = z;
        for (uint256 i = 0; i < 12; ++i) {
            vanishing = mulmod(vanishing, vanishing, r);
        }
        vanishing = addmod(vanishing, r - 1, r);
        uint256 left = mulmod(mulmod(inputs[2], 4096, r), addmod(z, r - Field.ROOT, r), r);
        eq(left, mulmod(mulmod(vanishing, 77, r), Field.ROOT, r), "yData");
    }

    /// The data polynomial has word k at the k-th power of the root, so the order of words counts.
    function testBlocksInOneCallEqualBlocksInSeveral() public {
        BlockCommit[] memory blocks = _three();
        uint256[4][] memory inputs = commitBlocks(blocks);
        eq(inputs.length, 3, "three events");
        bytes32 rolling = hub.rollingOf(N(3), C(SPOKE));
        eq(hub.root(), bytes32(uint256(0x7103)), "root");
        vm.prank(validator);
        hub.revertBlocks(N(0));
        for (uint256 i = 0; i < 3; ++i) {
            uint256[4] memory alone = commitBlock(blocks[i]);
            eq(keccak256(abi.encode(alone)), keccak256(abi.encode(inputs[i])), "inputs");
        }
        eq(hub.rollingOf(N(3), C(SPOKE)), rolling, "rolling");
    }

    function _three() private view returns (BlockCommit[] memory blocks) {
        blocks = new BlockCommit[](3);
        bytes32 old = GENESIS;
        for (uint32 i = 0; i < 3; ++i) {
            bytes32 root = bytes32(uint256(0x7101) + i);
            bytes32[] memory words = Words.withdraw(SPOKE, 4, USD, 5 + i, 12, OWNER);
            blocks[i] = blockAfter(i, old, root, words);
            old = root;
        }
    }

    /// One bad block in a range refuses the whole range.
    function testARangeIsAllOrNothing() public {
        BlockCommit[] memory blocks = _three();
        blocks[2].data[0] = bytes32(uint256(1) << 248);
        vm.prank(validator);
        vm.expectRevert(abi.encodeWithSelector(IHub.WordOutOfRange.selector, 0));
        hub.commitBlocks(blocks);
        vm.prank(validator);
        vm.expectRevert(abi.encodeWithSelector(IHub.BlockCount.selector, 1, 0));
        hub.commitBlocks(new BlockCommit[](0));
        eq(committedBlocks(), 0, "nothing");
    }

    function testRefusesAWrongHead() public {
        BlockCommit memory info = nextBlock(ROOT, new bytes32[](0));
        bytes32 good = info.onchain[0];
        info.onchain[0] = ROOT;
        _refused(info, abi.encodeWithSelector(IHub.HeadMismatch.selector, GENESIS, ROOT));
        info.onchain[0] = good;
        good = info.onchain[2];
        for (uint256 bit = 0; bit < 136; bit += 15) {
            info.onchain[2] = good ^ bytes32(1 << bit);
            _refused(info, abi.encodeWithSelector(IHub.BadWord.selector, 2));
        }
        info.onchain[2] = good | bytes32(uint256(1) << 248);
        _refused(info, abi.encodeWithSelector(IHub.BadWord.selector, 2));
        info.onchain[2] = good;
        commitBlock(info);
        info = nextBlock(0, new bytes32[](0));
        _refused(info, abi.encodeWithSelector(IHub.BadRoot.selector, 0));
        info = nextBlock(bytes32(Field.MODULUS), new bytes32[](0));
        _refused(info, abi.encodeWithSelector(IHub.WordOutOfRange.selector, 1));
    }

    function testRefusesOtherNumbersShapesLengthsAndDigests() public {
        BlockCommit memory info = _with(2, uint64(block.timestamp), 1);
        _refused(info, abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 2));
        info = _with(0, uint64(block.timestamp), 1);
        _refused(info, abi.encodeWithSelector(IHub.NotTheNextBlock.selector, 1, 0));
        info = _with(1, uint64(block.timestamp), 9);
        _refused(info, abi.encodeWithSelector(IHub.UnknownShape.selector, 9));
        info = _with(1, uint64(block.timestamp), 2);
        info.onchain = Words.join(info.onchain, new bytes32[](12));
        _refused(info, abi.encodeWithSelector(IHub.VectorLength.selector, 14, 15));
        info.onchain = new bytes32[](2);
        _refused(info, abi.encodeWithSelector(IHub.VectorLength.selector, 3, 2));
        info = nextBlock(ROOT, new bytes32[](0));
        info.data = new bytes32[](DATA + 1);
        _refused(info, abi.encodeWithSelector(IHub.VectorLength.selector, DATA, DATA + 1));
        info.data = new bytes32[](DATA);
        _refused(info, abi.encodeWithSelector(IHub.TrailingZero.selector));
        info = nextBlock(ROOT, new bytes32[](0));
        info.d = Field.MODULUS;
        _refused(info, abi.encodeWithSelector(IHub.DigestOutOfRange.selector, Field.MODULUS));
        info = nextBlock(ROOT, new bytes32[](0));
        info.data[1] = bytes32(uint256(1) << 248);
        _refused(info, abi.encodeWithSelector(IHub.WordOutOfRange.selector, 1));
    }

    /// Both bounds: 15 minutes ahead of the clock, 14 days behind it, and never before the last.
    function testTimestampsStayNearTheClock() public {
        uint64 time = uint64(block.timestamp);
        _commitAt(time - 14 days - 1, time - 14 days, time + 900, true);
        _commitAt(time - 14 days, time - 14 days, time + 900, false);
        _commitAt(time + 901, time - 14 days, time + 900, true);
        _commitAt(time - 14 days - 1, time - 14 days, time + 900, true);
        _commitAt(time + 900, time - 14 days, time + 900, false);
        _commitAt(time + 899, time + 900, time + 900, true);
        vm.warp(time + 20 days);
        _commitAt(time + 900, time + 6 days, time + 20 days + 900, true);
        _commitAt(time + 6 days, time + 6 days, time + 20 days + 900, false);
    }

    function _commitAt(uint64 time, uint64 earliest, uint64 latest, bool refused) private {
        BlockCommit memory info = _with(committedBlocks() + 1, time, 1);
        if (!refused) {
            commitBlock(info);
            return;
        }
        bytes4 selector = IHub.BadTimestamp.selector;
        _refused(info, abi.encodeWithSelector(selector, time, earliest, latest));
    }

    function _with(uint32 number, uint64 time, uint16 shape)
        private
        view
        returns (BlockCommit memory info)
    {
        info = nextBlock(ROOT, new bytes32[](0));
        info.onchain = Words.head(hub.root(), ROOT, number, time, shape);
    }

    function testRefusesOperationsThatItCannotRead() public {
        bytes32[] memory words = Words.deposit(9, 4, 3, USD, 5, OWNER);
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IHub.UnknownChain.selector, 3, 9));
        words = Words.deposit(255, 4, 3, USD, 5, OWNER);
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IHub.UnknownChain.selector, 3, 255));
        words = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER);
        words[0] |= bytes32(uint256(1));
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IHub.BadWord.selector, 3));
        words = new bytes32[](1);
        words[0] = bytes32(uint256(4) << 240);
        _refused(nextBlock(ROOT, words), abi.encodeWithSelector(IHub.BadWord.selector, 3));
        words[0] = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER)[0];
        bytes memory reason = abi.encodeWithSelector(IHub.TruncatedOperation.selector, 3);
        _refused(nextBlock(ROOT, words), reason);
    }

    /// There are no empty slots: a zero word where an operation begins is an error.
    function testRefusesZeroWordsBetweenAndBehindOperations() public {
        bytes32[] memory gap = new bytes32[](1);
        bytes32[] memory words = Words.deposit(SPOKE, 4, 3, USD, 5, OWNER);
        bytes memory reason = abi.encodeWithSelector(IHub.BadWord.selector, 5);
        _refused(nextBlock(ROOT, Words.join(words, gap)), reason);
        _refused(nextBlock(ROOT, Words.join(Words.join(words, gap), words)), reason);
        reason = abi.encodeWithSelector(IHub.BadWord.selector, 3);
        _refused(nextBlock(ROOT, Words.join(gap, words)), reason);
    }

    function testZeroWordsInsideAnOperationBelongToIt() public {
        bytes32[] memory words = Words.changePubKey(SPOKE, 4, 0, 0, 0, 0);
        eq(words[1], 0, "three zero words follow");
        commitBlock(nextBlock(ROOT, words));
        eq(hub.rollingOf(N(1), C(SPOKE)), Words.roll(0, 1, words), "content");
    }

    function testABlockWithoutOperationsHasNoContents() public {
        BlockCommit memory info = _with(1, uint64(block.timestamp), 3);
        info.data = new bytes32[](0);
        uint256[4] memory inputs = commitBlock(info);
        (,,,, uint64 chains) = hub.blockInfo(N(1));
        eq(chains, 0, "no chains");
        eq(inputs[2], 0, "no data, no value");
        prove(1, inputs);
        hub.releaseBlocks(N(1));
        eq(BlockNumber.unwrap(hub.blocksReleased()), 1, "released");
    }

    function testOnlyTheValidatorCommitsBlocks() public {
        BlockCommit[] memory blocks = _three();
        bytes memory refused = abi.encodeWithSelector(IEndpoint.Forbidden.selector, address(this));
        vm.expectRevert(refused);
        hub.commitBlocks(blocks);
        vm.expectRevert(refused);
        hub.commitAndProve(blocks, new bytes[](3));
        vm.expectRevert(refused);
        hub.revertBlocks(N(0));
    }

    /// Operations of three kinds and two chains in any order: the contents are the chains' own.
    function testFuzzContents(uint8[12] memory kinds, uint8[12] memory owners) public {
        bytes32[] memory all = new bytes32[](0);
        bytes32[][3] memory own;
        for (uint256 i = 0; i < 12; ++i) {
            uint8 chain = owners[i] % 2 == 0 ? HUB : SPOKE;
            uint256 kind = kinds[i] % 4;
            if (kind == 0) continue;
            bytes32[] memory words;
            bytes32 owner = bytes32(uint256(owners[i]));
            if (kind == 1) words = Words.deposit(chain, 4, 3, USD, kinds[i], owner);
            if (kind == 2) words = Words.withdraw(chain, 4, USD, kinds[i], 12, owner);
            if (kind == 3) words = Words.changePubKey(chain, 4, kinds[i], owner, owners[i], 0);
            all = Words.join(all, words);
            own[chain] = Words.join(own[chain], words);
        }
        commitBlock(nextBlock(ROOT, all));
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            bytes32 expected = own[chain].length == 0 ? bytes32(0) : Words.roll(0, 1, own[chain]);
            eq(hub.rollingOf(N(1), C(chain)), expected, "content");
        }
    }

    function _refused(BlockCommit memory info, bytes memory reason) private {
        BlockCommit[] memory blocks = new BlockCommit[](1);
        blocks[0] = info;
        vm.expectRevert(reason);
        vm.prank(validator);
        hub.commitBlocks(blocks);
    }
}
