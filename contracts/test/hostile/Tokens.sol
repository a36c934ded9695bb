// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @dev Balances without any check of allowances: these tokens are there to hurt the vault, not
///      their owners.
abstract contract LooseToken {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function _move(address from, address to, uint256 amount) internal {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @dev Keeps one per cent of what the receiver should get.
contract FeeToken is LooseToken {
    function transfer(address to, uint256 amount) external returns (bool) {
        return transferFrom(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public returns (bool) {
        _move(from, to, amount);
        balanceOf[to] -= amount / 100;
        return true;
    }
}

/// @dev Takes one per cent more from the sender than was asked for.
contract SurchargeToken is LooseToken {
    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        balanceOf[msg.sender] -= amount / 100;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, amount);
        return true;
    }
}

/// @dev Moves twice what was asked for.
contract GenerousToken is LooseToken {
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, 2 * amount);
        return true;
    }
}

/// @dev Answers nothing, like some of the oldest tokens.
contract SilentToken is LooseToken {
    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _move(from, to, amount);
    }
}

/// @dev Says yes and moves nothing; after `refuse`, says no.
contract LyingToken is LooseToken {
    bool private _no;

    function refuse() external {
        _no = true;
    }

    function transfer(address, uint256) external view returns (bool) {
        return !_no;
    }

    function transferFrom(address, address, uint256) external view returns (bool) {
        return !_no;
    }
}

/// @dev Calls somebody before it moves anything, and remembers the error that it got.
contract ReenteringToken is LooseToken {
    address private _target;
    bytes private _data;
    bytes4 public lastError;

    function arm(address target, bytes calldata data) external {
        (_target, _data) = (target, data);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _attack();
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _attack();
        _move(from, to, amount);
        return true;
    }

    function _attack() private {
        (bool ok, bytes memory answer) = _target.call(_data);
        if (!ok && answer.length >= 4) lastError = bytes4(answer);
    }
}

/// @dev Works until it is told how to fail; deposits always work.
contract MoodyToken is LooseToken {
    enum Mood {
        Good,
        Revert,
        SayNo,
        Flood,
        BurnGas,
        AnswerTwo,
        Pretend
    }

    Mood public mood;

    function become(Mood next) external {
        mood = next;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (mood == Mood.Revert) revert("moody");
        if (mood == Mood.SayNo) return false;
        // Says yes and moves nothing, as some tokens do with a denied address.
        if (mood == Mood.Pretend) return true;
        if (mood == Mood.Flood) {
            assembly {
                revert(0, 100000)
            }
        }
        if (mood == Mood.BurnGas) {
            while (true) {}
        }
        _move(msg.sender, to, amount);
        if (mood == Mood.AnswerTwo) {
            assembly {
                mstore(0, 2)
                return(0, 32)
            }
        }
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, amount);
        return true;
    }
}

/// @dev Takes and gives like a good token, but its issuer can take coins away from anybody.
contract SeizableToken is LooseToken {
    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _move(from, to, amount);
        return true;
    }

    function seize(address from, uint256 amount) external {
        balanceOf[from] -= amount;
    }
}
