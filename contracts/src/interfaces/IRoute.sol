// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ChainId} from "../types/Ids.sol";

/// @title A message channel from this chain to other chains of the deployment
interface IRoute {
    /// @notice Hands over a message for the contract of chain `destination`.
    /// @dev The route accepts it from the bound rollup only, and delivers messages in the order of
    ///      sending.
    function send(ChainId destination, bytes calldata payload) external;
}

/// @title What a route delivers to
interface IMessageReceiver {
    /// @notice Takes a message that the contract of chain `source` sent.
    /// @dev Callable by the route that is registered for `source` only.
    function onMessage(ChainId source, bytes calldata payload) external;

    /// @notice The protocol number of the chain that the receiver lives on.
    function chain() external view returns (ChainId);
}
