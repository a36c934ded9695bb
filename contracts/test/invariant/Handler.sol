// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup} from "../../src/interfaces/IRollup.sol";
import {BlockNumber, SerialId} from "../../src/types/Ids.sol";
import {World} from "../base/World.sol";
import {Words} from "../base/Words.sol";
import {Recipient} from "../hostile/Recipients.sol";
import {MoodyToken} from "../hostile/Tokens.sol";

/// @dev Plays depositors, an honest validator, provers, attesters and hostile receivers in any
///      order, and keeps its own account of what must be true. Every action that is allowed at its
///      moment must succeed.
contract Handler is World {
    uint16 internal constant MOODY = 10;

    struct Deposit {
        uint16 token;
        uint128 raw;
    }

    struct Plan {
        bytes32 root;
        uint256[4] inputs;
        bytes32[][3] words;
        uint256[3] cursors;
        uint256[3][11] pools;
    }

    struct Ack {
        uint32 number;
        bytes32 rolling;
    }

    MoodyToken public moody = new MoodyToken();
    Recipient public recipient = new Recipient();
    address internal constant PLAIN = address(0xb0b);
    uint16[3] public tokens = [NATIVE, USD, MOODY];
    /// Blocks that stand on the hub; index 0 is genesis.
    Plan[] internal plans;
    Deposit[][3] internal deposits;
    Ack[][3] internal acks;
    uint32[3] public relayed;
    uint32[3] public delivered;
    uint256 internal rootCount = 100;
    mapping(uint256 chain => mapping(uint16 token => uint256)) public cameIn;
    mapping(uint256 chain => mapping(uint16 token => uint256)) public wentOut;

    function setUp() public override {
        vm.warp(1_700_000_000);
        _prepare();
        vm.startPrank(governor);
        hub.addToken(T(MOODY), address(moody), 18);
        spoke.addToken(T(MOODY), address(moody), 18);
        vm.stopPrank();
        _register(hub, hubOracle, SPOKE);
        _register(spoke, spokeOracle, HUB);
        _registerShapes();
        _finish();
        plans.push();
        plans[0].root = GENESIS;
    }

    function rollupOf(uint256 chain) public view returns (IRollup) {
        return chain == HUB ? IRollup(address(hub)) : spoke;
    }

    function depositCount(uint256 chain) external view returns (uint256) {
        return deposits[chain].length;
    }

    function depositAt(uint256 chain, uint256 i) external view returns (uint16, uint128) {
        return (deposits[chain][i].token, deposits[chain][i].raw);
    }

    function ackCount(uint256 chain) external view returns (uint256) {
        return acks[chain].length;
    }

    function ackAt(uint256 chain, uint256 i) external view returns (uint32, bytes32) {
        return (acks[chain][i].number, acks[chain][i].rolling);
    }

    function hubAddress() external view returns (address) {
        return address(hub);
    }

    function usdAddress() external view returns (address) {
        return address(usd);
    }

    // ---------------------------------------------------------------- actions

    function deposit(uint256 chain, uint256 which, uint256 raw) external {
        chain = _chain(chain);
        uint16 id = tokens[which % 3];
        raw = bound(raw, 1, 1e9);
        IRollup rollup = rollupOf(chain);
        if (id == NATIVE) {
            depositNative(rollup, PLAIN, raw);
        } else if (id == USD) {
            depositUsd(rollup, PLAIN, raw);
        } else {
            moody.mint(address(this), raw);
            rollup.depositERC20(T(MOODY), raw, padded(PLAIN), 3);
        }
        deposits[chain].push(Deposit(id, uint128(raw)));
        cameIn[chain][id] += raw;
    }

    /// The next block: per chain up to two open deposits and a withdrawal of what the chain owes.
    function commitBlock(uint256 seed) external {
        Plan memory last = plans[plans.length - 1];
        Plan storage plan = plans.push();
        plan.cursors = last.cursors;
        plan.pools = last.pools;
        bytes32[] memory all = new bytes32[](0);
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            plan.words[chain] =
                _operations(plan, chain, uint256(keccak256(abi.encode(seed, chain))));
            all = Words.join(all, plan.words[chain]);
        }
        plan.root = bytes32(++rootCount);
        plan.inputs = commitBlock(nextBlock(plan.root, all));
    }

    function commitOperations(uint256 chain) external {
        chain = _chain(chain);
        IRollup rollup = rollupOf(chain);
        uint32 number = BlockNumber.unwrap(rollup.lastCommitted()) + 1;
        while (number < plans.length && plans[number].words[chain].length == 0) ++number;
        if (number >= plans.length) return;
        commit(rollup, number, plans[number].words[chain]);
    }

    /// A commit of any block, made for a chain that holds all blocks before it: after reverts it
    /// may be mined on one that does not, and must then be refused.
    function commitOutOfTurn(uint256 chain, uint256 seed) external {
        chain = _chain(chain);
        uint32 number = uint32(bound(seed, 0, plans.length - 1));
        bytes32[] memory words = plans[number].words[chain];
        if (words.length == 0) return;
        bytes32 previous = plannedRolling(chain, number - 1);
        vm.prank(validator);
        try rollupOf(chain).commit(N(number), previous, words, new bytes[](0)) {} catch {}
    }

    /// What a chain must hold after block `number`.
    function plannedRolling(uint256 chain, uint32 number) public view returns (bytes32 rolling) {
        for (uint32 i = 1; i <= number; ++i) {
            bytes32[] memory words = plans[i].words[chain];
            if (words.length != 0) rolling = Words.roll(rolling, i, words);
        }
    }

    function acknowledge(uint256 chain) external {
        chain = _chain(chain);
        IRollup rollup = rollupOf(chain);
        uint32 number = BlockNumber.unwrap(rollup.lastCommitted());
        if (number == BlockNumber.unwrap(rollup.lastAcked())) return;
        bytes32 rolling = rollup.rolling();
        rollup.ack(N(number), rolling);
        acks[chain].push(Ack(number, rolling));
    }

    function relayAck() external {
        if (relayed[SPOKE] == acks[SPOKE].length) return;
        Ack memory next = acks[SPOKE][relayed[SPOKE]++];
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, next.number, next.rolling));
    }

    function proveBlock() external {
        uint32 number = BlockNumber.unwrap(hub.blocksProven()) + 1;
        if (number < plans.length) prove(number, plans[number].inputs);
    }

    function releaseBlock() external {
        uint32 number = BlockNumber.unwrap(hub.blocksReleased()) + 1;
        if (number > BlockNumber.unwrap(hub.blocksProven())) return;
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            (,, BlockNumber acked) = hub.chainInfo(C(chain));
            bool takesPart = plans[number].words[chain].length != 0;
            if (takesPart && BlockNumber.unwrap(acked) < number) return;
        }
        hub.releaseBlock(N(number));
    }

    function relayRelease() external {
        uint32 number = delivered[SPOKE] + 1;
        while (number < plans.length && plans[number].words[SPOKE].length == 0) ++number;
        if (number > BlockNumber.unwrap(hub.blocksReleased())) return;
        delivered[SPOKE] = number;
        bytes32 rolling = hub.rollingOf(N(number), C(SPOKE));
        relay(hubOracle, spokeOracle, releasePayload(number, plans[number].root, rolling));
    }

    function pay(uint256 chain) external {
        chain = _chain(chain);
        IRollup rollup = rollupOf(chain);
        uint32 number = BlockNumber.unwrap(rollup.lastPaid()) + 1;
        while (number < plans.length && plans[number].words[chain].length == 0) ++number;
        if (number > BlockNumber.unwrap(rollup.lastReleased())) return;
        uint256[3] memory before = _held(chain);
        rollup.pay(N(number), plans[number].words[chain]);
        _note(chain, before);
    }

    function claim(uint256 chain, uint256 which, bool plain) external {
        chain = _chain(chain);
        uint16 id = tokens[which % 3];
        address owner = plain ? PLAIN : address(recipient);
        uint256[3] memory before = _held(chain);
        // A receiver in a bad mood makes the claim fail, and nothing else.
        try rollupOf(chain).claim{gas: 1_000_000}(owner, T(id)) {} catch {}
        _note(chain, before);
    }

    function revertOperations(uint256 chain, uint256 seed) external {
        chain = _chain(chain);
        IRollup rollup = rollupOf(chain);
        uint256 low = BlockNumber.unwrap(rollup.lastAcked());
        uint256 high = BlockNumber.unwrap(rollup.lastCommitted());
        vm.prank(validator);
        rollup.revertCommits(N(bound(seed, low, high)));
    }

    /// Blocks that a chain has acknowledged stay, also while the message is on its way.
    function revertBlocks(uint256 seed) external {
        uint256 low = BlockNumber.unwrap(hub.blocksProven());
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            uint256 acked = BlockNumber.unwrap(rollupOf(chain).lastAcked());
            if (acked > low) low = acked;
        }
        uint256 downTo = bound(seed, low, plans.length - 1);
        vm.startPrank(validator);
        hub.revertBlocks(N(downTo));
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            rollupOf(chain).revertCommits(N(downTo));
        }
        vm.stopPrank();
        while (plans.length > downTo + 1) {
            plans.pop();
        }
    }

    function changeMoods(uint256 token, uint256 receiver) external {
        moody.become(MoodyToken.Mood(token % 6));
        recipient.become(Recipient.Mood(receiver % 5));
    }

    // --------------------------------------------------------------- internal

    function _chain(uint256 seed) private pure returns (uint256) {
        return seed % 2 == 0 ? HUB : SPOKE;
    }

    function _operations(Plan storage plan, uint8 chain, uint256 seed)
        private
        returns (bytes32[] memory words)
    {
        words = new bytes32[](0);
        for (uint256 i = 0; i < seed % 3 && plan.cursors[chain] < deposits[chain].length; ++i) {
            Deposit memory next = deposits[chain][plan.cursors[chain]++];
            uint128 amount = next.token == USD ? next.raw * 1e12 : next.raw;
            words = Words.join(words, Words.deposit(chain, 4, 3, next.token, amount, padded(PLAIN)));
            plan.pools[next.token][chain] += next.raw;
        }
        uint16 id = tokens[(seed >> 8) % 3];
        uint256 amountOut = bound(seed >> 16, 0, plan.pools[id][chain]);
        plan.pools[id][chain] -= amountOut;
        address owner = seed & 128 == 0 ? PLAIN : address(recipient);
        if (amountOut == 0 && seed & 64 == 0) return words;
        uint8 scale = id == USD ? 12 : 0;
        return
            Words.join(
                words, Words.withdraw(chain, 4, id, uint128(amountOut), scale, padded(owner))
            );
    }

    /// What both receivers hold of each token together.
    function _held(uint256) private view returns (uint256[3] memory held) {
        address other = address(recipient);
        held[0] = PLAIN.balance + other.balance;
        held[1] = usd.balanceOf(PLAIN) + usd.balanceOf(other);
        held[2] = moody.balanceOf(PLAIN) + moody.balanceOf(other);
    }

    function _note(uint256 chain, uint256[3] memory before) private {
        uint256[3] memory afterwards = _held(chain);
        for (uint256 i = 0; i < 3; ++i) {
            wentOut[chain][tokens[i]] += afterwards[i] - before[i];
        }
    }
}
