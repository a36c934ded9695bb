// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ChainId} from "../types/Ids.sol";
import {IMessageReceiver} from "./IRoute.sol";

/// @notice What is fixed when a Hub or a Rollup is deployed.
struct EndpointParams {
    /// This chain's number, 1 to 63.
    ChainId chain;
    /// The number of the hub's chain. Equal to `chain` for the Hub and for the Rollup beside it.
    ChainId hub;
    /// 31 bytes that bind signatures and messages to this deployment; the top byte is zero.
    bytes32 deploymentId;
    /// May register tokens, chains and shapes until the setup is finished; afterwards new shapes
    /// only, which can be used after a delay.
    address governor;
    /// May commit, and revert what is not acknowledged.
    address validator;
}

/// @title What Hub and Rollup have in common: roles, setup, the guard, messages
interface IEndpoint is IMessageReceiver {
    /// @notice A chain and the route to it were registered.
    event ChainAdded(uint8 indexed chain, address route);
    /// @notice The setup is closed for ever; the contract works from now on.
    event SetupFinished();

    /// @notice The caller may not do this.
    error Forbidden(address caller);
    /// @notice The constructor's arguments contradict each other or are out of range.
    error BadConfiguration();
    /// @notice The contract does not work before the governor finishes the setup.
    error SetupNotFinished();
    /// @notice The setup is finished; this cannot be changed any more.
    error SetupAlreadyFinished();
    /// @notice The chain is already registered, is out of range, or is not served by this contract.
    error BadChain(uint8 chain);
    /// @notice The route has no code, serves another contract, chain or deployment, or has not the
    ///         identity that was named.
    error BadRoute(address route);
    /// @notice A call came in while another one was running.
    error Reentered();
    /// @notice A message came from an address that is not the route of `chain`.
    error NotTheRoute(uint8 chain, address caller);
    /// @notice The message cannot be read, or is not for this contract.
    error BadMessage();

    /// @notice Registers a chain and the route over which messages go to it and come from it. By
    ///         the governor, before the setup is finished. A Rollup takes the hub's chain only; the
    ///         Hub takes all chains, its own included.
    /// @param identity What `route.identity()` must be.
    function addChain(ChainId chain, address route, bytes32 identity) external;

    /// @notice Ends the setup. Irreversible.
    function finishSetup() external;

    /// @notice The number of the hub's chain.
    function hub() external view returns (ChainId);
    /// @notice Who may set up.
    function governor() external view returns (address);
    /// @notice Who may commit and revert.
    function validator() external view returns (address);
    /// @notice Whether the setup is closed.
    function setupFinished() external view returns (bool);
    /// @notice The route to a chain, or zero.
    function routeOf(ChainId chain) external view returns (address);
}
