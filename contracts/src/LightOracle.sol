// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ILightOracle} from "./interfaces/ILightOracle.sol";
import {IMessageReceiver, IRoute} from "./interfaces/IRoute.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {ChainId} from "./types/Ids.sol";

/// @title The light oracle of one chain
/// @dev Deployed after the contract that it serves. Losing attesters stops messages and endangers
///      nothing else. `threshold` dishonest attesters can release what the validator committed
///      here without a proof; together with the validator, who proves it, they can have a deposit
///      paid that was never made on the chain that they speak for. So they are chosen independent
///      of each other and of the validator.
contract LightOracle is ILightOracle {
    bytes32 private constant TAG = keccak256("zkLink LightOracle");
    uint8 private constant MAX_CHAIN = 63;

    /// @inheritdoc ILightOracle
    address public immutable endpoint;
    /// @inheritdoc IRoute
    ChainId public immutable chain;
    /// @inheritdoc IRoute
    bytes32 public immutable deploymentId;
    /// @inheritdoc ILightOracle
    uint256 public immutable threshold;

    address[] private _attesters;
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

    /// @param attesters_ In strictly ascending order.
    /// @param k How many of them must sign.
    constructor(address endpoint_, address[] memory attesters_, uint256 k) {
        if (endpoint_.code.length == 0 || k == 0 || k > attesters_.length) {
            revert BadConfiguration();
        }
        address last = address(0);
        for (uint256 i = 0; i < attesters_.length; ++i) {
            if (attesters_[i] <= last) revert BadConfiguration();
            last = attesters_[i];
            isAttester[last] = true;
        }
        _attesters = attesters_;
        endpoint = endpoint_;
        threshold = k;
        chain = IMessageReceiver(endpoint_).chain();
        deploymentId = IMessageReceiver(endpoint_).deploymentId();
    }

    /// @inheritdoc IRoute
    function send(ChainId destination, bytes calldata payload) external payable {
        if (msg.sender != endpoint) revert Forbidden(msg.sender);
        if (msg.value != 0) revert NoFee(msg.value);
        _checkChain(destination);
        uint64 sequence = sentCount[destination]++;
        sentHash[destination][sequence] = keccak256(payload);
        emit MessageSent(ChainId.unwrap(destination), sequence, payload);
    }

    /// @inheritdoc ILightOracle
    function deliver(
        ChainId source,
        uint64 first,
        bytes[] calldata payloads,
        bytes[][] calldata signatures
    ) external {
        _checkChain(source);
        if (payloads.length == 0 || payloads.length != signatures.length) {
            revert ListLength(payloads.length, signatures.length);
        }
        uint64 expected = deliveredCount[source];
        if (first != expected) revert OutOfOrder(ChainId.unwrap(source), expected, first);
        deliveredCount[source] = first + uint64(payloads.length);
        for (uint256 i = 0; i < payloads.length; ++i) {
            _deliver(source, first + uint64(i), payloads[i], signatures[i]);
        }
    }

    /// @inheritdoc ILightOracle
    function attesters() external view returns (address[] memory) {
        return _attesters;
    }

    /// @inheritdoc IRoute
    function identity() external view returns (bytes32) {
        return keccak256(abi.encode(TAG, chain, deploymentId, endpoint, threshold, _attesters));
    }

    /// @inheritdoc IRoute
    function connects(address account, bytes32 deployment, ChainId here, ChainId other)
        external
        view
        returns (bool)
    {
        bool own = deployment == deploymentId && here == chain && account == endpoint;
        return own && _isOther(other);
    }

    /// @inheritdoc IRoute
    function peer(address) external pure returns (address) {
        return address(0);
    }

    /// @inheritdoc ILightOracle
    /// @dev With this oracle's own address in it a signature is worth nothing in any other one,
    ///      though it has the same deployment id and the same attesters.
    function digest(ChainId source, uint64 sequence, bytes calldata payload)
        public
        view
        returns (bytes32)
    {
        bytes32 content = keccak256(payload);
        return
            keccak256(
                abi.encode(TAG, deploymentId, address(this), source, chain, sequence, content)
            );
    }

    function _deliver(
        ChainId source,
        uint64 sequence,
        bytes calldata payload,
        bytes[] calldata signatures
    ) private {
        _checkSignatures(digest(source, sequence, payload), signatures);
        deliveredHash[source][sequence] = keccak256(payload);
        emit MessageDelivered(ChainId.unwrap(source), sequence, payload);
        // A refusal undoes the delivery, which can then be tried again.
        IMessageReceiver(endpoint).onMessage(source, payload);
    }

    function _isOther(ChainId other) private view returns (bool) {
        uint8 id = ChainId.unwrap(other);
        return id != 0 && id <= MAX_CHAIN && other != chain;
    }

    function _checkChain(ChainId other) private view {
        if (!_isOther(other)) revert BadChain(ChainId.unwrap(other));
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
