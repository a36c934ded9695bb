// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IHub} from "../../src/interfaces/IHub.sol";
import {IRollup} from "../../src/interfaces/IRollup.sol";
import {BlockNumber, SerialId} from "../../src/types/Ids.sol";
import {Base} from "../base/Base.sol";
import {Handler} from "./Handler.sol";

interface IBalances {
    function balanceOf(address owner) external view returns (uint256);
}

contract InvariantsTest is Base {
    Handler private handler;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        handler = new Handler();
        handler.setUp();
    }

    /// Which functions the fuzzer may call; deposits and blocks come often, reverts and moods
    /// seldom.
    function targetSelectors() external view returns (FuzzSelector[] memory list) {
        list = new FuzzSelector[](1);
        bytes4[] memory s = new bytes4[](16);
        s[0] = Handler.deposit.selector;
        s[1] = bytes4(keccak256("commitBlock(uint256)"));
        s[2] = Handler.commitOperations.selector;
        s[3] = Handler.acknowledge.selector;
        s[4] = Handler.relayAck.selector;
        s[5] = Handler.proveBlock.selector;
        s[6] = Handler.releaseBlock.selector;
        s[7] = Handler.relayRelease.selector;
        s[8] = Handler.pay.selector;
        s[9] = Handler.claim.selector;
        s[10] = Handler.revertOperations.selector;
        s[11] = Handler.changeMoods.selector;
        s[12] = Handler.revertBlocks.selector;
        s[13] = Handler.commitOutOfTurn.selector;
        s[14] = Handler.sendRelease.selector;
        s[15] = Handler.refund.selector;
        list[0] = FuzzSelector(address(handler), s);
    }

    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(handler);
    }

    /// One long walk, to be sure that the actions do reach every stage on both chains; the same
    /// invariants hold.
    function testALongWalkReachesEveryStage() public {
        for (uint256 i = 0; i < 1500; ++i) {
            uint256 seed = uint256(keccak256(abi.encode("walk", i)));
            _step(seed % 31, seed >> 8);
            if (i % 50 != 0) continue;
            invariantSolvency();
            invariantPendingIsTheSumOfClaims();
            invariantStagesAreInOrder();
            invariantQueue();
            invariantNothingAckedIsReverted();
            invariantRecordsHaveNoGaps();
        }
        for (uint256 chain = 1; chain <= 2; ++chain) {
            vm.assertGe(BlockNumber.unwrap(handler.rollupOf(chain).lastPaid()), 15, "paid blocks");
            vm.assertGe(handler.ackCount(chain), 10, "acks");
            for (uint256 i = 0; i < 3; ++i) {
                vm.assertGe(handler.wentOut(chain, handler.tokens(i)), 1, "payouts of each token");
            }
        }
    }

    /// Walks of 500 calls from a random seed; what must hold is looked at after every tenth. The 256
    /// of npm test are more than 10^5 calls, the 2,000 of `node invariants.mjs` 10^6.
    function testFuzzWalk(uint256 seed) public {
        for (uint256 i = 1; i <= 500; ++i) {
            uint256 one = uint256(keccak256(abi.encode(seed, i)));
            _step(one % 31, one >> 8);
            if (i % 10 != 0) continue;
            invariantSolvency();
            invariantPendingIsTheSumOfClaims();
            invariantStagesAreInOrder();
            invariantQueue();
            invariantNothingAckedIsReverted();
            invariantRecordsHaveNoGaps();
        }
    }

    function _step(uint256 action, uint256 seed) private {
        if (action < 3) handler.deposit(seed, seed >> 8, seed >> 16);
        else if (action < 5) handler.commitBlock(seed);
        else if (action < 9) handler.commitOperations(seed);
        else if (action < 11) handler.acknowledge(seed);
        else if (action < 13) handler.relayAck();
        else if (action < 15) handler.proveBlock();
        else if (action < 17) handler.releaseBlock(seed);
        else if (action < 19) handler.relayRelease();
        else if (action < 22) handler.pay(seed);
        else if (action == 22) handler.claim(seed, seed >> 8, seed >> 16);
        else if (action == 23) handler.revertOperations(seed, seed >> 8);
        else if (action == 24) handler.revertBlocks(seed);
        else if (action == 25) handler.changeMoods(seed, seed >> 8);
        else if (action < 28) handler.commitOutOfTurn(seed, seed >> 8);
        else if (action < 30) handler.sendRelease(seed);
        else handler.refund(seed, seed >> 8);
    }

    /// The vault holds what it owes, and owes what came in and did not go out.
    function invariantSolvency() public view {
        for (uint256 chain = 1; chain <= 2; ++chain) {
            IRollup rollup = handler.rollupOf(chain);
            for (uint256 i = 0; i < 3; ++i) {
                uint16 id = handler.tokens(i);
                uint256 locked = rollup.locked(T(id));
                vm.assertGe(_balance(rollup, id), locked, "balance >= locked");
                eq(locked, handler.cameIn(chain, id) - handler.wentOut(chain, id), "locked");
                vm.assertGe(
                    locked,
                    rollup.pendingTotal(T(id)) + rollup.unconsumed(T(id)),
                    "claims and open deposits"
                );
            }
        }
    }

    function invariantPendingIsTheSumOfClaims() public view {
        address plain = address(0xb0b);
        address other = address(handler.recipient());
        for (uint256 chain = 1; chain <= 2; ++chain) {
            IRollup rollup = handler.rollupOf(chain);
            for (uint256 i = 0; i < 3; ++i) {
                uint16 id = handler.tokens(i);
                uint256 sum = rollup.pending(plain, T(id)) + rollup.pending(other, T(id))
                    + rollup.pending(address(handler), T(id));
                eq(rollup.pendingTotal(T(id)), sum, "pending");
            }
        }
    }

    function invariantStagesAreInOrder() public view {
        for (uint256 chain = 1; chain <= 2; ++chain) {
            IRollup rollup = handler.rollupOf(chain);
            vm.assertTrue(!(rollup.lastPaid() > rollup.lastReleased()), "paid <= released");
            vm.assertTrue(!(rollup.lastReleased() > rollup.lastAcked()), "released <= acked");
            vm.assertTrue(!(rollup.lastAcked() > rollup.lastCommitted()), "acked <= committed");
        }
        IHub hub = IHub(handler.hubAddress());
        vm.assertTrue(!(hub.blocksReleased() > hub.blocksProven()), "released <= proven");
        vm.assertTrue(!(hub.blocksProven() > hub.blocksCommitted()), "proven <= committed");
        IRollup spoke = handler.rollupOf(2);
        vm.assertTrue(!(spoke.lastReleased() > hub.blocksReleased()), "spoke <= hub");
    }

    /// The queue's books: head and tail, and the sum of what is open.
    function invariantQueue() public view {
        for (uint256 chain = 1; chain <= 2; ++chain) {
            IRollup rollup = handler.rollupOf(chain);
            uint256 head = SerialId.unwrap(rollup.queueHead());
            uint256 tail = SerialId.unwrap(rollup.queueTail());
            eq(tail, handler.depositCount(chain), "tail counts all deposits");
            vm.assertLe(head, tail, "head <= tail");
            vm.assertLe(SerialId.unwrap(rollup.cursor()), head, "acked cursor <= head");
            uint256[16] memory open;
            for (uint256 i = 0; i < tail; ++i) {
                (uint16 id, uint128 raw, bool refunded) = handler.depositAt(chain, i);
                // Taken ones count no more, unless they were refused and are not refunded.
                if (i < head && (refunded || !handler.isRefused(chain, i))) continue;
                open[id] += raw;
            }
            for (uint256 i = 0; i < 3; ++i) {
                uint16 id = handler.tokens(i);
                eq(rollup.unconsumed(T(id)), open[id], "open deposits");
            }
        }
    }

    /// Whatever is committed in whatever order: a chain holds all operations of the blocks up to
    /// its last record, and nothing else.
    function invariantRecordsHaveNoGaps() public view {
        for (uint256 chain = 1; chain <= 2; ++chain) {
            IRollup rollup = handler.rollupOf(chain);
            uint32 last = BlockNumber.unwrap(rollup.lastCommitted());
            eq(rollup.rolling(), handler.plannedRolling(chain, last), "no gaps");
        }
    }

    function invariantNothingAckedIsReverted() public view {
        for (uint256 chain = 1; chain <= 2; ++chain) {
            for (uint256 i = 0; i < handler.ackCount(chain); ++i) {
                (uint32 number, bytes32 rolling) = handler.ackAt(chain, i);
                (, bytes32 held,) = handler.rollupOf(chain).recordOf(BlockNumber.wrap(number));
                eq(held, rolling, "an acked record stays");
            }
        }
    }

    function _balance(IRollup rollup, uint16 id) private view returns (uint256) {
        (address addr,,,) = rollup.token(T(id));
        if (addr == address(0)) return address(rollup).balance;
        return IBalances(addr).balanceOf(address(rollup));
    }
}
