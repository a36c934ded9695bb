// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @dev Takes coins, or misbehaves in one of several ways.
contract Recipient {
    enum Mood {
        Take,
        Refuse,
        BurnGas,
        Flood,
        FloodError,
        Call,
        Look
    }

    Mood public mood;
    address private _target;
    bytes private _data;
    bytes4 public lastError;
    uint256 public gasSeen;
    /// What a question was answered while the coins came in.
    uint256 public seen;

    function become(Mood next) external {
        mood = next;
    }

    function arm(address target, bytes calldata data) external {
        (mood, _target, _data) = (Mood.Call, target, data);
    }

    function look(address target, bytes calldata data) external {
        (mood, _target, _data) = (Mood.Look, target, data);
    }

    receive() external payable {
        uint256 start = gasleft();
        if (mood == Mood.Refuse) revert("no");
        if (mood == Mood.BurnGas) {
            while (true) {}
        }
        if (mood == Mood.Flood) {
            assembly {
                return(0, 100000)
            }
        }
        if (mood == Mood.FloodError) {
            assembly {
                revert(0, 100000)
            }
        }
        if (mood == Mood.Look) {
            (bool known, bytes memory answer) = _target.staticcall(_data);
            if (known) seen = abi.decode(answer, (uint256));
            return;
        }
        if (mood == Mood.Call) {
            (bool ok, bytes memory answer) = _target.call(_data);
            if (!ok && answer.length >= 4) lastError = bytes4(answer);
            return;
        }
        gasSeen = start;
    }
}
