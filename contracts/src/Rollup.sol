// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRollup, RollupParams} from "./interfaces/IRollup.sol";
import {IMessageReceiver, IRoute} from "./interfaces/IRoute.sol";
import {Keys, Ledger, Queue, Record, Registry, Settlement, TokenEntry} from "./Layout.sol";
import {Deposits} from "./libraries/Deposits.sol";
import {Erc20} from "./libraries/Erc20.sol";
import {KeyChanges} from "./libraries/KeyChanges.sol";
import {Messages} from "./libraries/Messages.sol";
import {Operations} from "./libraries/Operations.sol";
import {ITokenSender, Payouts} from "./libraries/Payouts.sol";
import {Pubdata, WithdrawOp} from "./libraries/Pubdata.sol";
import {Records} from "./libraries/Records.sol";
import {BlockNumber, ChainId, SerialId, TokenId} from "./types/Ids.sol";

/// @title The rollup's contract on a spoke
/// @dev Every outgoing call has a fixed form: a plain transfer of coins or a registered token to
///      the owner of a payout, a pull of a registered token from the depositor, or a message to a
///      registered route.
contract Rollup is IRollup, ITokenSender {
    using Deposits for Queue;
    using KeyChanges for Keys;
    using Payouts for Ledger;
    using Records for Settlement;

    uint8 private constant MAX_CHAIN = 63;

    /// @inheritdoc IMessageReceiver
    ChainId public immutable chain;
    /// @inheritdoc IRollup
    ChainId public immutable hub;
    /// @inheritdoc IRollup
    bytes32 public immutable deploymentId;
    /// @inheritdoc IRollup
    address public immutable governor;
    /// @inheritdoc IRollup
    address public immutable validator;

    Registry internal _registry;
    Queue private _queue;
    Ledger private _ledger;
    Keys private _keys;
    Settlement private _settlement;

    bool private transient _entered;

    modifier onlyValidator() {
        if (msg.sender != validator) revert Forbidden(msg.sender);
        _;
    }

    modifier duringSetup() {
        if (msg.sender != governor) revert Forbidden(msg.sender);
        if (_registry.finished) revert SetupAlreadyFinished();
        _;
    }

    /// The setup is finished, and no other call is running.
    modifier guarded() {
        if (!_registry.finished) revert SetupNotFinished();
        if (_entered) revert Reentered();
        _entered = true;
        _;
        _entered = false;
    }

    constructor(RollupParams memory params) {
        uint8 id = ChainId.unwrap(params.chain);
        uint8 hubId = ChainId.unwrap(params.hub);
        bool ranges = id != 0 && id <= MAX_CHAIN && hubId != 0 && hubId <= MAX_CHAIN;
        bool deployment = params.deploymentId != 0 && params.deploymentId[0] == 0;
        bool roles = params.governor != address(0) && params.validator != address(0);
        if (!ranges || !deployment || !roles || (id == hubId) != _isHub()) {
            revert BadConfiguration();
        }
        chain = params.chain;
        hub = params.hub;
        deploymentId = params.deploymentId;
        governor = params.governor;
        validator = params.validator;
    }

    // ------------------------------------------------------------------ setup

    /// @inheritdoc IRollup
    function addToken(TokenId id, address addr, uint8 decimals) external duringSetup {
        uint16 raw = TokenId.unwrap(id);
        bool taken = _ledger.tokens[id].listed || TokenId.unwrap(_registry.tokenIds[addr]) != 0;
        // The vault's own address would make its self-calls meaningless.
        bool unusable = addr == address(this) || (addr != address(0) && addr.code.length == 0);
        if (raw == 0 || taken || unusable) revert BadToken(raw, addr);
        if (decimals > Deposits.DECIMALS) revert BadDecimals(raw, decimals);
        if (addr != address(0)) {
            (bool known, uint256 own) = Erc20.decimals(addr);
            if (known && own != decimals) revert BadDecimals(raw, own);
        }
        TokenEntry storage entry = _ledger.tokens[id];
        entry.addr = addr;
        entry.decimals = decimals;
        entry.listed = true;
        _registry.tokenIds[addr] = id;
        emit TokenAdded(raw, addr, decimals);
    }

    /// @inheritdoc IRollup
    function addChain(ChainId other, address route) external duringSetup {
        uint8 id = ChainId.unwrap(other);
        bool taken = other == chain || _registry.routes[other] != address(0);
        // A spoke talks to the hub only.
        bool stranger = !_isHub() && other != hub;
        if (id == 0 || id > MAX_CHAIN || taken || stranger) revert BadChain(id);
        if (route.code.length == 0) revert BadRoute(route);
        _registry.routes[other] = route;
        emit ChainAdded(id, route);
    }

    /// @inheritdoc IRollup
    function finishSetup() external duringSetup {
        if (!_isHub() && _registry.routes[hub] == address(0)) revert BadRoute(address(0));
        _registry.finished = true;
        emit SetupFinished();
    }

    // --------------------------------------------------------------- deposits

    /// @inheritdoc IRollup
    function depositNative(bytes32 owner, uint8 subAccount) external payable guarded {
        TokenId id = _registry.tokenIds[address(0)];
        if (TokenId.unwrap(id) == 0) revert UnknownToken(0);
        _queueDeposit(id, _ledger.tokens[id], msg.value, owner, subAccount);
    }

    /// @inheritdoc IRollup
    function depositERC20(TokenId id, uint256 amount, bytes32 owner, uint8 subAccount)
        external
        guarded
    {
        TokenEntry storage entry = _ledger.tokens[id];
        address addr = entry.addr;
        if (!entry.listed || addr == address(0)) revert UnknownToken(TokenId.unwrap(id));
        (bool known, uint256 before) = Erc20.balanceOf(addr, address(this));
        bool moved = Erc20.tryTransferFrom(addr, msg.sender, address(this), amount);
        (bool still, uint256 afterwards) = Erc20.balanceOf(addr, address(this));
        if (!known || !moved || !still || afterwards < before) revert TransferInFailed(addr);
        uint256 arrived = afterwards - before;
        // A token that moves more than was asked makes a gift.
        if (arrived > amount) arrived = amount;
        _queueDeposit(id, entry, arrived, owner, subAccount);
    }

    // ------------------------------------------------------------------- keys

    /// @inheritdoc IRollup
    function setAuthPubKey(uint256 keyX, uint256 keyY, uint32 nonce) external {
        // No event for a repetition: a loop of them would flood the readers of this contract's logs.
        if (_keys.authorise(msg.sender, keyX, keyY, nonce)) {
            emit AuthPubKeySet(msg.sender, nonce, keyX, keyY);
        }
    }

    // ------------------------------------------------------------- settlement

    /// @inheritdoc IRollup
    function commit(
        BlockNumber number,
        bytes32 previousRolling,
        bytes32[] calldata words,
        bytes[] calldata keyWitnesses
    ) external onlyValidator guarded {
        if (words.length == 0) revert NoWords();
        // Before the operations are looked at, so that a gap is called a gap.
        _settlement.checkFollows(number, previousRolling);
        SerialId next =
            Operations.take(_queue, _ledger, _keys, chain, queueHead(), words, keyWitnesses);
        bytes32 content = _settlement.append(number, words, next);
        emit OperationsCommitted(BlockNumber.unwrap(number), content, SerialId.unwrap(next));
    }

    /// @inheritdoc IRollup
    function ack(BlockNumber number, bytes32 content) external guarded {
        _settlement.acknowledge(number, content);
        emit OperationsAcked(BlockNumber.unwrap(number), content);
        _sendAck(number, content);
    }

    /// @inheritdoc IRollup
    function revertCommits(BlockNumber downTo) external onlyValidator guarded {
        (SerialId from, SerialId to) = _settlement.removeAbove(downTo);
        _queue.restore(_ledger, from, to);
        emit CommitsReverted(BlockNumber.unwrap(downTo));
    }

    /// @inheritdoc IMessageReceiver
    function onMessage(ChainId source, bytes calldata payload) external guarded {
        address route = _registry.routes[source];
        if (route == address(0) || msg.sender != route) {
            revert NotTheRoute(ChainId.unwrap(source), msg.sender);
        }
        _receive(source, payload);
    }

    /// @inheritdoc IRollup
    function pay(BlockNumber number, bytes32[] calldata words) external guarded {
        _settlement.settle(number, words);
        for (uint256 i = 0; i < words.length;) {
            // The words are those that passed `commit`.
            (uint8 op,, uint256 length) = Pubdata.header(words, i);
            if (op == Pubdata.WITHDRAW) _pay(number, Pubdata.readWithdraw(words, i), i);
            i += length;
        }
        emit OperationsPaid(BlockNumber.unwrap(number));
    }

    /// @inheritdoc IRollup
    function claim(address owner, TokenId id) external guarded {
        uint256 amount = _ledger.claim(owner, id);
        emit Claimed(owner, TokenId.unwrap(id), amount);
    }

    /// @inheritdoc ITokenSender
    function sendToken(address addr, address to, uint256 amount) external {
        if (msg.sender != address(this)) revert Forbidden(msg.sender);
        Payouts.transferChecked(addr, to, amount);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRollup
    function recordOf(BlockNumber number)
        external
        view
        returns (uint32 index, bytes32 content, SerialId next)
    {
        index = _settlement.find(number);
        if (index == 0) revert WrongRecord(BlockNumber.unwrap(number));
        Record storage record = _settlement.records[index];
        return (index, record.rolling, record.cursor);
    }

    /// @inheritdoc IRollup
    function lastCommitted() external view returns (BlockNumber) {
        return _settlement.records[_settlement.committed].number;
    }

    /// @inheritdoc IRollup
    function lastAcked() external view returns (BlockNumber) {
        return _settlement.records[_settlement.acked].number;
    }

    /// @inheritdoc IRollup
    function lastReleased() external view returns (BlockNumber) {
        return _settlement.records[_settlement.released].number;
    }

    /// @inheritdoc IRollup
    function lastPaid() external view returns (BlockNumber) {
        return _settlement.records[_settlement.paid].number;
    }

    /// @inheritdoc IRollup
    function rolling() external view returns (bytes32) {
        return _settlement.records[_settlement.committed].rolling;
    }

    /// @inheritdoc IRollup
    function queueHead() public view returns (SerialId) {
        return _settlement.records[_settlement.committed].cursor;
    }

    /// @inheritdoc IRollup
    function queueTail() external view returns (SerialId) {
        return _queue.tail;
    }

    /// @inheritdoc IRollup
    function cursor() external view returns (SerialId) {
        return _settlement.records[_settlement.acked].cursor;
    }

    /// @inheritdoc IRollup
    function deposit(SerialId serial) external view returns (bytes32 hash, uint64 timestamp) {
        return (_queue.entries[serial].hash, _queue.entries[serial].timestamp);
    }

    /// @inheritdoc IRollup
    function locked(TokenId id) external view returns (uint256) {
        return _ledger.tokens[id].locked;
    }

    /// @inheritdoc IRollup
    function pendingTotal(TokenId id) external view returns (uint256) {
        return _ledger.tokens[id].pendingTotal;
    }

    /// @inheritdoc IRollup
    function unconsumed(TokenId id) external view returns (uint256) {
        return _ledger.tokens[id].unconsumed;
    }

    /// @inheritdoc IRollup
    function deposited(TokenId id) external view returns (uint256) {
        return _ledger.tokens[id].deposited;
    }

    /// @inheritdoc IRollup
    function pending(address owner, TokenId id) external view returns (uint256) {
        return _ledger.pending[owner][id];
    }

    /// @inheritdoc IRollup
    function token(TokenId id) external view returns (address addr, uint8 decimals, bool listed) {
        TokenEntry storage entry = _ledger.tokens[id];
        return (entry.addr, entry.decimals, entry.listed);
    }

    /// @inheritdoc IRollup
    function tokenIdOf(address addr) external view returns (TokenId) {
        return _registry.tokenIds[addr];
    }

    /// @inheritdoc IRollup
    function authPubKey(address owner, uint32 nonce) external view returns (bytes32) {
        return _keys.hashes[owner][nonce];
    }

    /// @inheritdoc IRollup
    function routeOf(ChainId other) external view returns (address) {
        return _registry.routes[other];
    }

    /// @inheritdoc IRollup
    function setupFinished() external view returns (bool) {
        return _registry.finished;
    }

    /// @inheritdoc IRollup
    function domainSeparator() external view returns (bytes32) {
        return KeyChanges.domainSeparator();
    }

    // --------------------------------------------------------------- internal

    /// Whether this is the hub; also asked by the constructor, so it must be pure.
    function _isHub() internal pure virtual returns (bool) {
        return false;
    }

    /// Tells the hub what this chain holds.
    function _sendAck(BlockNumber number, bytes32 content) internal virtual {
        IRoute(_registry.routes[hub]).send(hub, Messages.encodeAck(chain, number, content));
    }

    /// Takes a message that came over the route of `source`, which on a spoke is the hub.
    function _receive(ChainId, bytes calldata payload) internal virtual {
        (BlockNumber number, bytes32 root, bytes32 content) = Messages.decodeRelease(payload);
        _release(number, root, content);
    }

    function _release(BlockNumber number, bytes32 root, bytes32 content) internal {
        _settlement.release(number, content);
        emit OperationsReleased(BlockNumber.unwrap(number), root, content);
    }

    function _queueDeposit(
        TokenId id,
        TokenEntry storage entry,
        uint256 raw,
        bytes32 owner,
        uint8 subAccount
    ) private {
        (SerialId serial, uint128 amount) = _queue.append(entry, id, raw, owner, subAccount);
        emit DepositQueued(
            SerialId.unwrap(serial), TokenId.unwrap(id), owner, subAccount, amount, msg.sender
        );
    }

    function _pay(BlockNumber number, WithdrawOp memory op, uint256 i) private {
        // An empty withdrawal moves nothing, and some tokens refuse to move nothing.
        if (op.amount == 0) return;
        address owner = Pubdata.toAddress(op.owner, i);
        if (_ledger.pay(owner, op.token, op.amount)) {
            emit Paid(BlockNumber.unwrap(number), TokenId.unwrap(op.token), owner, op.amount);
        } else {
            emit PayoutDeferred(
                BlockNumber.unwrap(number), TokenId.unwrap(op.token), owner, op.amount
            );
        }
    }
}
