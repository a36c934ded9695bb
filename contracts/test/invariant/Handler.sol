// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup, OperationsCommit} from "../../src/interfaces/IRollup.sol";
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
        bool refunded;
    }

    struct Plan {
        bytes32 root;
        uint256[4] inputs;
        bytes32[][3] words;
        uint256[3] cursors;
        uint256[3][11] pools;
        /// The places of the refused deposits in the queue.
        uint256[][3] refused;
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
    uint32[] internal releases;
    uint256 internal delivered;
    uint256 internal rootCount = 100;
    mapping(uint256 chain => mapping(uint16 token => uint256)) public cameIn;
    mapping(uint256 chain => mapping(uint16 token => uint256)) public wentOut;
    /// Refunds that became claims of this contract.
    mapping(uint256 chain => mapping(uint16 token => uint256)) public claims;

    function setUp() public override {
        vm.warp(1_700_000_000);
        _prepare();
        vm.startPrank(governor);
        near.addToken(T(MOODY), address(moody), 18, 0);
        spoke.addToken(T(MOODY), address(moody), 18, 0);
        vm.stopPrank();
        _registerAll();
        _finish();
        plans.push();
        plans[0].root = GENESIS;
    }

    function rollupOf(uint256 chain) public view returns (IRollup) {
        return chain == HUB ? near : spoke;
    }

    function depositCount(uint256 chain) external view returns (uint256) {
        return deposits[chain].length;
    }

    function depositAt(uint256 chain, uint256 i) external view returns (uint16, uint128, bool) {
        Deposit storage one_ = deposits[chain][i];
        return (one_.token, one_.raw, one_.refunded);
    }

    /// Whether a record that stands on the chain refused the deposit at place `i` of its queue.
    function isRefused(uint256 chain, uint256 i) external view returns (bool) {
        uint32 last = BlockNumber.unwrap(rollupOf(chain).lastCommitted());
        for (uint32 n = 1; n <= last; ++n) {
            for (uint256 k = 0; k < plans[n].refused[chain].length; ++k) {
                if (plans[n].refused[chain][k] == i) return true;
            }
        }
        return false;
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
            rollup.depositERC20(T(MOODY), raw, padded(PLAIN), 0, 3);
        }
        deposits[chain].push(Deposit(id, uint128(raw), false));
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
        OperationsCommit[] memory blocks = one(number, words, new bytes[](0));
        vm.prank(validator);
        try rollupOf(chain).commit(previous, blocks) {} catch {}
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

    function releaseBlock(uint256 seed) external {
        uint32 number = BlockNumber.unwrap(hub.blocksReleased()) + 1;
        if (number > BlockNumber.unwrap(hub.blocksProven())) return;
        // Up to three blocks at once.
        uint32 last = number + uint32(seed % 3);
        if (last > BlockNumber.unwrap(hub.blocksProven())) last = number;
        for (uint32 n = number; n <= last; ++n) {
            for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
                (,, BlockNumber acked,,) = hub.chainInfo(C(chain));
                bool takesPart = plans[n].words[chain].length != 0;
                if (takesPart && BlockNumber.unwrap(acked) < n) return;
            }
        }
        hub.releaseBlocks(N(last));
    }

    /// Tells a chain; that of the hub at once, the spoke by a message that waits.
    function sendRelease(uint256 chain) external {
        chain = _chain(chain);
        (,,, BlockNumber released, BlockNumber sent) = hub.chainInfo(C(chain));
        if (released == sent) return;
        hub.sendRelease(C(chain));
        if (chain == SPOKE) releases.push(BlockNumber.unwrap(released));
    }

    function relayRelease() external {
        if (delivered == releases.length) return;
        uint32 number = releases[delivered++];
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
        pay(rollup, number, plans[number].words[chain]);
        _note(chain, before);
    }

    function claim(uint256 chain, uint256 which, uint256 who) external {
        chain = _chain(chain);
        uint16 id = tokens[which % 3];
        address owner = [PLAIN, address(recipient), address(this)][who % 3];
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
        _revert(chain, uint32(bound(seed, low, high)));
    }

    /// Blocks that a chain has acknowledged stay, also while the message is on its way.
    function revertBlocks(uint256 seed) external {
        uint256 low = BlockNumber.unwrap(hub.blocksProven());
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            uint256 acked = BlockNumber.unwrap(rollupOf(chain).lastAcked());
            if (acked > low) low = acked;
        }
        uint256 downTo = bound(seed, low, plans.length - 1);
        vm.prank(validator);
        hub.revertBlocks(N(downTo));
        for (uint8 chain = HUB; chain <= SPOKE; ++chain) {
            _revert(chain, uint32(downTo));
        }
        while (plans.length > downTo + 1) {
            plans.pop();
        }
    }

    function changeMoods(uint256 token, uint256 receiver) external {
        moody.become(MoodyToken.Mood(token % 7));
        recipient.become(Recipient.Mood(receiver % 5));
    }

    /// Anyone turns refused deposits of a released block into claims.
    function refund(uint256 chain, uint256 seed) external {
        chain = _chain(chain);
        IRollup rollup = rollupOf(chain);
        uint32 last = BlockNumber.unwrap(rollup.lastReleased());
        if (last == 0) return;
        uint32 number = uint32(bound(seed, 1, last));
        bytes32[] memory words = plans[number].words[chain];
        if (words.length == 0) return;
        bytes32[] memory rest = Words.filter(words, false);
        bytes32[] memory chunks = Words.chunks(Words.filter(words, true));
        rollup.refund(N(number), rest, chunks, 0, payersOf(words));
        for (uint256 i = 0; i < plans[number].refused[chain].length; ++i) {
            uint256 place = plans[number].refused[chain][i];
            Deposit storage refused = deposits[chain][place];
            if (refused.refunded) continue;
            refused.refunded = true;
            claims[chain][refused.token] += refused.raw;
        }
    }

    // --------------------------------------------------------------- internal

    /// Takes back all records of a chain above `downTo`.
    function _revert(uint256 chain, uint32 downTo) private {
        IRollup rollup = rollupOf(chain);
        uint32 last = BlockNumber.unwrap(rollup.lastCommitted());
        uint256 count = 0;
        for (uint32 n = downTo + 1; n <= last; ++n) {
            if (plans[n].words[chain].length != 0) ++count;
        }
        bytes32[][] memory words = new bytes32[][](count);
        count = 0;
        for (uint32 n = downTo + 1; n <= last; ++n) {
            if (plans[n].words[chain].length != 0) words[count++] = plans[n].words[chain];
        }
        revertTo(rollup, downTo, words);
    }

    function _chain(uint256 seed) private pure returns (uint256) {
        return seed % 2 == 0 ? HUB : SPOKE;
    }

    function _operations(Plan storage plan, uint8 chain, uint256 seed)
        private
        returns (bytes32[] memory words)
    {
        words = new bytes32[](0);
        for (uint256 i = 0; i < seed % 3 && plan.cursors[chain] < deposits[chain].length; ++i) {
            uint256 place = plan.cursors[chain]++;
            Deposit memory next = deposits[chain][place];
            uint128 amount = next.token == USD ? next.raw * 1e12 : next.raw;
            // One in four is refused.
            uint8 outcome = (seed >> (32 + 2 * i)) % 4 == 0 ? 1 : 0;
            words = Words.join(
                words,
                Words.depositOf(
                    chain, outcome == 1 ? 0 : 4, 3, next.token, amount, padded(PLAIN), 0, outcome
                )
            );
            if (outcome == 0) plan.pools[next.token][chain] += next.raw;
            else plan.refused[chain].push(place);
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
        held[0] = PLAIN.balance + other.balance + address(this).balance;
        held[1] = usd.balanceOf(PLAIN) + usd.balanceOf(other) + usd.balanceOf(address(this));
        held[2] = moody.balanceOf(PLAIN) + moody.balanceOf(other) + moody.balanceOf(address(this));
    }

    function _note(uint256 chain, uint256[3] memory before) private {
        uint256[3] memory afterwards = _held(chain);
        for (uint256 i = 0; i < 3; ++i) {
            wentOut[chain][tokens[i]] += afterwards[i] - before[i];
        }
    }
}
