// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRoute} from "./IRoute.sol";

/// @title The route between the Hub and the Rollup of the hub's own chain
/// @notice A message is delivered in the transaction that sends it.
interface ILocalRoute is IRoute {
    /// @notice The caller is neither of the two endpoints.
    error Forbidden(address caller);
    /// @notice The two contracts are not of one chain and one deployment.
    error BadConfiguration();
    /// @notice Messages go to this chain only.
    error BadChain(uint8 chain);
    /// @notice This route asks for no fee; coins sent along would be lost.
    error NoFee(uint256 given);

    /// @notice One endpoint.
    function hub() external view returns (address);
    /// @notice The other endpoint.
    function rollup() external view returns (address);
}
