// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ILocalRoute} from "./interfaces/ILocalRoute.sol";
import {IMessageReceiver, IRoute} from "./interfaces/IRoute.sol";
import {ChainId} from "./types/Ids.sol";

/// @title The route between the Hub and the Rollup of the hub's own chain
/// @dev Deployed after both. It connects its own chain with itself and nothing else, so that it
///      cannot be registered for another chain by mistake.
contract LocalRoute is ILocalRoute {
    bytes32 private constant TAG = keccak256("zkLink LocalRoute");

    /// @inheritdoc ILocalRoute
    address public immutable hub;
    /// @inheritdoc ILocalRoute
    address public immutable rollup;
    /// @inheritdoc IRoute
    ChainId public immutable chain;
    /// @inheritdoc IRoute
    bytes32 public immutable deploymentId;

    constructor(address hub_, address rollup_) {
        if (hub_ == rollup_ || hub_.code.length == 0 || rollup_.code.length == 0) {
            revert BadConfiguration();
        }
        (IMessageReceiver one, IMessageReceiver two) =
            (IMessageReceiver(hub_), IMessageReceiver(rollup_));
        if (one.chain() != two.chain() || one.deploymentId() != two.deploymentId()) {
            revert BadConfiguration();
        }
        (hub, rollup) = (hub_, rollup_);
        (chain, deploymentId) = (one.chain(), one.deploymentId());
    }

    /// @inheritdoc IRoute
    function send(ChainId destination, bytes calldata payload) external payable {
        address target = peer(msg.sender);
        if (target == address(0)) revert Forbidden(msg.sender);
        if (destination != chain) revert BadChain(ChainId.unwrap(destination));
        if (msg.value != 0) revert NoFee(msg.value);
        IMessageReceiver(target).onMessage(chain, payload);
    }

    /// @inheritdoc IRoute
    function connects(address endpoint, bytes32 deployment, ChainId here, ChainId other)
        external
        view
        returns (bool)
    {
        bool own = deployment == deploymentId && here == chain && other == chain;
        return own && peer(endpoint) != address(0);
    }

    /// @inheritdoc IRoute
    function identity() external view returns (bytes32) {
        return keccak256(abi.encode(TAG, chain, deploymentId, hub, rollup));
    }

    /// @inheritdoc IRoute
    function peer(address endpoint) public view returns (address) {
        if (endpoint == hub) return rollup;
        return endpoint == rollup ? hub : address(0);
    }
}
