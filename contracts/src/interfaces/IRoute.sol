// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ChainId} from "../types/Ids.sol";

/// @title A way for messages from the contract of one chain to those of other chains
/// @notice Every message that was sent arrives at most once, unchanged, at the contract of its
///         destination. A route serves contracts that are fixed when it is deployed.
interface IRoute {
    /// @notice Hands over a message for the contract of chain `destination`.
    /// @dev The route accepts it from an endpoint of its own only. What a message costs is sent
    ///      along; a route that wants less or more refuses.
    function send(ChainId destination, bytes calldata payload) external payable;

    /// @notice Whether this route is of deployment `deployment` on chain `here`, and carries
    ///         messages between `endpoint` there and chain `other`.
    function connects(address endpoint, bytes32 deployment, ChainId here, ChainId other)
        external
        view
        returns (bool);

    /// @notice The contract of this same chain at the other end of `endpoint`, or zero where the
    ///         other end is on another chain.
    function peer(address endpoint) external view returns (address);

    /// @notice A digest of all that decides whose word the route takes: compared at the setup with
    ///         the digest of what was agreed.
    function identity() external view returns (bytes32);

    /// @notice The protocol number of this chain.
    function chain() external view returns (ChainId);

    /// @notice The deployment that this route serves.
    function deploymentId() external view returns (bytes32);
}

/// @title What a route delivers to
interface IMessageReceiver {
    /// @notice Takes a message that the contract of chain `source` sent.
    /// @dev Callable by the route that is registered for `source` only.
    function onMessage(ChainId source, bytes calldata payload) external;

    /// @notice The protocol number of the chain that the receiver lives on.
    function chain() external view returns (ChainId);

    /// @notice 31 bytes that bind signatures and messages to this deployment; the top byte is zero.
    function deploymentId() external view returns (bytes32);
}
