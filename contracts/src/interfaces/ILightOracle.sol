// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ChainId} from "../types/Ids.sol";
import {IRoute} from "./IRoute.sol";

/// @title The light oracle: a route whose messages k of n attesters sign
interface ILightOracle is IRoute {
    /// @notice A message left this chain; attesters sign it once the chain's finality rule holds.
    event MessageSent(uint8 indexed destination, uint64 indexed sequence, bytes payload);
    /// @notice A message of another chain was accepted and handed to the endpoint.
    event MessageDelivered(uint8 indexed source, uint64 indexed sequence, bytes payload);

    /// @notice The caller may not do this.
    error Forbidden(address caller);
    /// @notice The constructor's arguments name no usable oracle.
    error BadConfiguration();
    /// @notice A message cannot go to, or come from, this chain number.
    error BadChain(uint8 chain);
    /// @notice This route asks for no fee; coins sent along would be lost.
    error NoFee(uint256 given);
    /// @notice Messages are delivered in the order of their sequence numbers.
    error OutOfOrder(uint8 source, uint64 expected, uint64 given);
    /// @notice One list of signatures for each payload, and at least one payload.
    error ListLength(uint256 payloads, uint256 signatures);
    /// @notice Fewer signatures than the threshold.
    error NotEnoughSignatures(uint256 given, uint256 threshold);
    /// @notice The signature at `index` is not of an attester.
    error NotAnAttester(uint256 index, address signer);
    /// @notice Signers must ascend strictly, so that each counts once.
    error SignersNotAscending(uint256 index, address signer);

    /// @notice Delivers messages of chain `source` in order, each with the signatures of at least
    ///         `threshold` attesters.
    /// @param first The number that the sending oracle gave to the first one; each source counts
    ///        from 0 without a gap.
    /// @param signatures For each payload: 65 bytes each (r, s, v), in strictly ascending order of
    ///        the signers' addresses.
    function deliver(
        ChainId source,
        uint64 first,
        bytes[] calldata payloads,
        bytes[][] calldata signatures
    ) external;

    /// @notice What an attester signs for a message to this chain.
    /// @dev keccak256 of the words keccak256("zkLink LightOracle"), deploymentId, this oracle's
    ///      address, source, this chain, sequence, keccak256(payload).
    function digest(ChainId source, uint64 sequence, bytes calldata payload)
        external
        view
        returns (bytes32);

    /// @notice keccak256 of the payload sent as (`destination`, `sequence`), or zero.
    function sentHash(ChainId destination, uint64 sequence) external view returns (bytes32);
    /// @notice How many messages were sent to `destination`; also the next sequence number.
    function sentCount(ChainId destination) external view returns (uint64);
    /// @notice keccak256 of the payload delivered as (`source`, `sequence`), or zero.
    function deliveredHash(ChainId source, uint64 sequence) external view returns (bytes32);
    /// @notice How many messages of `source` were delivered; also the next sequence number.
    function deliveredCount(ChainId source) external view returns (uint64);
    /// @notice How many attesters must sign.
    function threshold() external view returns (uint256);
    /// @notice All attesters, in ascending order.
    function attesters() external view returns (address[] memory);
    /// @notice Whether `account` is an attester.
    function isAttester(address account) external view returns (bool);
    /// @notice The contract of this chain that the oracle serves: a Rollup, or the Hub.
    function endpoint() external view returns (address);
}
