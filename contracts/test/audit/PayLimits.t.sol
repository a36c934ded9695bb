// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup, Portion} from "../../src/interfaces/IRollup.sol";
import {BlockNumber} from "../../src/types/Ids.sol";
import {World} from "../base/World.sol";
import {Words} from "../base/Words.sol";

contract Switch {
    bool public burn;

    function set(bool yes) external {
        burn = yes;
    }
}

contract Toggle {
    Switch private immutable _switch;

    constructor(Switch s) {
        _switch = s;
    }

    receive() external payable {
        if (_switch.burn()) while (true) {}
    }
}

/// @dev Faults 2 and 3: a block with many payouts fitted no transaction, and receivers that were
///      cheap while the gas was estimated made the payment fail when it was mined.
contract PayLimitsTest is World {
    uint256 private constant CAP = 1 << 24;
    address private constant BOB = address(0xb0b);

    function testABlockWithManyPayoutsIsPaidChunkByChunk() public {
        _fund();
        bytes32[] memory words = new bytes32[](2 * 430);
        for (uint256 i = 0; i < 430; ++i) {
            bytes32[] memory op = _coin(address(uint160(0xabc0000 + i)));
            (words[2 * i], words[2 * i + 1]) = (op[0], op[1]);
        }
        _block(2, words);
        bytes32[] memory hashes = Words.chunks(words);
        for (uint256 i = 0; i < hashes.length; ++i) {
            uint256 left = words.length - 64 * i;
            Portion[] memory portions = new Portion[](1);
            portions[0].number = N(2);
            portions[0].rest = keccak256("");
            portions[0].before = Words.cut(hashes, 0, i);
            portions[0].words = Words.cut(words, 64 * i, left < 64 ? left : 64);
            portions[0].behind = Words.cut(hashes, i + 1, hashes.length - i - 1);
            uint256 limit = spoke.payGas(1, 32);
            vm.assertLe(limit, CAP, "below the cap of a transaction");
            spoke.pay{gas: limit - 21_000}(portions);
        }
        eq(BlockNumber.unwrap(spoke.lastPaid()), 2, "paid");
        eq(address(uint160(0xabc0000 + 429)).balance, 1, "the last one");
    }

    function testReceiversThatFlipChangeNothing() public {
        _fund();
        Switch s = new Switch();
        bytes32[] memory words = new bytes32[](0);
        for (uint256 i = 0; i < 8; ++i) {
            words = Words.join(words, _coin(address(new Toggle(s))));
        }
        _block(2, words);
        s.set(true);
        Portion[] memory portions = whole(2, words);
        spoke.pay{gas: spoke.payGas(1, 8) - 21_000}(portions);
        eq(spoke.pendingTotal(T(NATIVE)), 8, "deferred, and the block is paid");
    }

    function _fund() private {
        depositNative(spoke, BOB, 1e18);
        bytes32[] memory words = Words.deposit(SPOKE, 4, 3, NATIVE, 1e18, padded(BOB));
        _block(1, words);
        pay(spoke, 1, words);
    }

    function _coin(address to) private pure returns (bytes32[] memory) {
        return Words.withdraw(SPOKE, 4, NATIVE, 1, 0, padded(to));
    }

    function _block(uint32 number, bytes32[] memory words) private {
        commit(spoke, number, words);
        ack(spoke, number);
        relay(hubOracle, spokeOracle, releasePayload(number, GENESIS, spoke.rolling()));
    }
}
