// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EndpointParams, IEndpoint} from "./interfaces/IEndpoint.sol";
import {IMessageReceiver, IRoute} from "./interfaces/IRoute.sol";
import {Registry} from "./Layout.sol";
import {Ask} from "./libraries/Ask.sol";
import {ChainId} from "./types/Ids.sol";

/// @title What Hub and Rollup have in common: roles, setup, the guard, messages
/// @dev The modifiers call functions, so that their code is there once and not in every function.
abstract contract Endpoint is IEndpoint {
    uint8 internal constant MAX_CHAIN = 63;

    /// @inheritdoc IMessageReceiver
    ChainId public immutable chain;
    /// @inheritdoc IEndpoint
    ChainId public immutable hub;
    /// @inheritdoc IMessageReceiver
    bytes32 public immutable deploymentId;
    /// @inheritdoc IEndpoint
    address public immutable governor;
    /// @inheritdoc IEndpoint
    address public immutable validator;

    Registry internal _registry;
    bool private transient _entered;

    modifier onlyValidator() {
        _checkCaller(validator);
        _;
    }

    modifier onlyGovernor() {
        _checkCaller(governor);
        _;
    }

    modifier duringSetup() {
        _checkSetup();
        _;
    }

    /// The setup is finished, and no other call is running.
    modifier guarded() {
        _enter();
        _;
        _entered = false;
    }

    constructor(EndpointParams memory params) {
        uint8 id = ChainId.unwrap(params.chain);
        uint8 hubId = ChainId.unwrap(params.hub);
        bool ranges = id != 0 && id <= MAX_CHAIN && hubId != 0 && hubId <= MAX_CHAIN;
        bool deployment = params.deploymentId != 0 && params.deploymentId[0] == 0;
        bool roles = params.governor != address(0) && params.validator != address(0);
        if (!ranges || !deployment || !roles) revert BadConfiguration();
        // A chain without transient storage would take the deployment and refuse every guarded call
        // afterwards: there the next instructions are invalid, and the deployment fails.
        _entered = true;
        if (!_entered) revert BadConfiguration();
        _entered = false;
        chain = params.chain;
        hub = params.hub;
        deploymentId = params.deploymentId;
        governor = params.governor;
        validator = params.validator;
    }

    /// @inheritdoc IEndpoint
    function addChain(ChainId other, address route, bytes32 identity) external duringSetup {
        uint8 id = ChainId.unwrap(other);
        if (id == 0 || id > MAX_CHAIN || _registry.routes[other] != address(0) || !_serves(other)) {
            revert BadChain(id);
        }
        bytes memory question =
            abi.encodeCall(IRoute.connects, (address(this), deploymentId, chain, other));
        bool fits = Ask.says(route, question, 1)
            && Ask.says(route, abi.encodeCall(IRoute.identity, ()), uint256(identity));
        if (!fits) revert BadRoute(route);
        _registry.routes[other] = route;
        _registry.chains |= uint64(1 << id);
        _routeAdded(route);
        emit ChainAdded(id, route);
    }

    /// @inheritdoc IEndpoint
    function finishSetup() external duringSetup {
        _checkComplete();
        _registry.finished = true;
        emit SetupFinished();
    }

    /// @inheritdoc IMessageReceiver
    function onMessage(ChainId source, bytes calldata payload) external guarded {
        address route = _registry.routes[source];
        if (route == address(0) || msg.sender != route) {
            revert NotTheRoute(ChainId.unwrap(source), msg.sender);
        }
        _receive(source, payload);
    }

    /// @inheritdoc IEndpoint
    function setupFinished() external view returns (bool) {
        return _registry.finished;
    }

    /// @inheritdoc IEndpoint
    function routeOf(ChainId other) external view returns (address) {
        return _registry.routes[other];
    }

    /// Whether this contract exchanges messages with chain `other`.
    function _serves(ChainId other) internal view virtual returns (bool);

    function _routeAdded(address route) internal virtual {}

    /// Refuses to finish a setup in which something is missing.
    function _checkComplete() internal view virtual {}

    /// Takes a message that came over the route of `source`.
    function _receive(ChainId source, bytes calldata payload) internal virtual;

    /// Sends a message, with the coins that came along, over the route to `target`.
    function _send(ChainId target, bytes memory payload) internal {
        IRoute(_registry.routes[target]).send{value: msg.value}(target, payload);
    }

    function _checkCaller(address expected) private view {
        if (msg.sender != expected) revert Forbidden(msg.sender);
    }

    function _checkSetup() private view {
        _checkCaller(governor);
        if (_registry.finished) revert SetupAlreadyFinished();
    }

    function _enter() private {
        if (!_registry.finished) revert SetupNotFinished();
        if (_entered) revert Reentered();
        _entered = true;
    }
}
