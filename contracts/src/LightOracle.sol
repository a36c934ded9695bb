// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ILightOracle} from "./interfaces/ILightOracle.sol";
import {IMessageReceiver, IRoute} from "./interfaces/IRoute.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {ChainId} from "./types/Ids.sol";

/// @title The light oracle of one chain
/// @dev Losing attesters stops messages and endangers nothing else: what a message may release was
///      proven on the hub and committed here. `threshold` dishonest attesters can release what the
///      validator committed here without a proof, so they are chosen independent of each other and
///      of the validator.
contract LightOracle is ILightOracle {
    bytes32 private constant TAG = keccak256("zkLink LightOracle");
    uint8 private constant MAX_CHAIN = 63;

    /// @inheritdoc ILightOracle
    ChainId public immutable chain;
    /// @inheritdoc ILightOracle
    bytes32 public immutable deploymentId;
    /// @inheritdoc ILightOracle
    uint256 public immutable threshold;
    address private immutable _deployer;

    /// @inheritdoc ILightOracle
    address public rollup;
    /// @inheritdoc ILightOracle
    mapping(address account => bool) public isAttester;
    /// @inheritdoc ILightOracle
    mapping(ChainId destination => uint64) public sentCount;
    /// @inheritdoc ILightOracle
    mapping(ChainId source => uint64) public deliveredCount;
    /// @inheritdoc ILightOracle
    mapping(ChainId destination => mapping(uint64 sequence => bytes32)) public sentHash;
    /// @inheritdoc ILightOracle
    mapping(ChainId source => mapping(uint64 sequence => bytes32)) public deliveredHash;

    constructor(ChainId localChain, bytes32 deployment, address[] memory attesters, uint256 k) {
        uint8 id = ChainId.unwrap(localChain);
        if (id == 0 || id > MAX_CHAIN || deployment == 0 || k == 0 || k > attesters.length) {
            revert BadConfiguration();
        }
        for (uint256 i = 0; i < attesters.length; ++i) {
            if (attesters[i] == address(0) || isAttester[attesters[i]]) revert BadConfiguration();
            isAttester[attesters[i]] = true;
        }
        chain = localChain;
        deploymentId = deployment;
        threshold = k;
        _deployer = msg.sender;
    }

    /// @inheritdoc ILightOracle
    function bind(address target) external {
        if (msg.sender != _deployer) revert Forbidden(msg.sender);
        if (rollup != address(0)) revert AlreadyBound(rollup);
        if (target.code.length == 0 || IMessageReceiver(target).chain() != chain) {
            revert NotBound();
        }
        rollup = target;
        emit RollupBound(target);
    }

    /// @inheritdoc IRoute
    function send(ChainId destination, bytes calldata payload) external {
        if (msg.sender != rollup) revert Forbidden(msg.sender);
        _checkChain(destination);
        uint64 sequence = sentCount[destination]++;
        sentHash[destination][sequence] = keccak256(payload);
        emit MessageSent(ChainId.unwrap(destination), sequence, payload);
    }

    /// @inheritdoc ILightOracle
    function deliver(
        ChainId source,
        uint64 sequence,
        bytes calldata payload,
        bytes[] calldata signatures
    ) external {
        if (rollup == address(0)) revert NotBound();
        _checkChain(source);
        uint64 expected = deliveredCount[source];
        if (sequence != expected) revert OutOfOrder(ChainId.unwrap(source), expected, sequence);
        _checkSignatures(digest(source, sequence, payload), signatures);
        deliveredCount[source] = sequence + 1;
        deliveredHash[source][sequence] = keccak256(payload);
        emit MessageDelivered(ChainId.unwrap(source), sequence, payload);
        // A refusal by the rollup undoes the delivery, which can then be tried again.
        IMessageReceiver(rollup).onMessage(source, payload);
    }

    /// @inheritdoc ILightOracle
    function digest(ChainId source, uint64 sequence, bytes calldata payload)
        public
        view
        returns (bytes32)
    {
        bytes32 content = keccak256(payload);
        return keccak256(abi.encode(TAG, deploymentId, source, chain, sequence, content));
    }

    function _checkChain(ChainId other) private view {
        uint8 id = ChainId.unwrap(other);
        if (id == 0 || id > MAX_CHAIN || other == chain) revert BadChain(id);
    }

    /// Signers ascend strictly, so each counts once; zero, which a bad signature gives, is never an
    /// attester.
    function _checkSignatures(bytes32 hash, bytes[] calldata signatures) private view {
        if (signatures.length < threshold) {
            revert NotEnoughSignatures(signatures.length, threshold);
        }
        address last = address(0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = Signatures.recover(hash, signatures[i]);
            if (!isAttester[signer]) revert NotAnAttester(i, signer);
            if (signer <= last) revert SignersNotAscending(i, signer);
            last = signer;
        }
    }
}
