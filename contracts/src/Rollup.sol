// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Endpoint} from "./Endpoint.sol";
import {EndpointParams, IEndpoint} from "./interfaces/IEndpoint.sol";
import {IKeyRecorder} from "./interfaces/IKeyRecorder.sol";
import {IRollup, OperationsCommit, Portion} from "./interfaces/IRollup.sol";
import {IRoute} from "./interfaces/IRoute.sol";
import {Ledger, Queue, Record, Settlement, TokenEntry} from "./Layout.sol";
import {Ask} from "./libraries/Ask.sol";
import {Contents} from "./libraries/Contents.sol";
import {Deposits} from "./libraries/Deposits.sol";
import {Erc20} from "./libraries/Erc20.sol";
import {Messages} from "./libraries/Messages.sol";
import {Operations} from "./libraries/Operations.sol";
import {ITokenSender, Payouts} from "./libraries/Payouts.sol";
import {Records} from "./libraries/Records.sol";
import {BlockNumber, ChainId, SerialId, TokenId} from "./types/Ids.sol";

/// @title The rollup's contract on one chain
/// @dev Every outgoing call has a fixed form: a plain transfer of coins or a registered token to
///      the owner of a payout, a pull of a registered token from the depositor, a question to the
///      key recorder, or a message to the route of the hub.
contract Rollup is Endpoint, IRollup, ITokenSender {
    using Deposits for Queue;
    using Deposits for Ledger;
    using Payouts for Ledger;
    using Records for Settlement;

    Queue private _queue;
    Ledger private _ledger;
    Settlement private _settlement;
    IKeyRecorder private _recorder;

    constructor(EndpointParams memory params) Endpoint(params) {
        _ledger.marks[address(this)].own = true;
    }

    // ------------------------------------------------------------------ setup

    /// @inheritdoc IRollup
    function addToken(TokenId id, address addr, uint8 decimals, uint80 least) external duringSetup {
        uint16 raw = TokenId.unwrap(id);
        bool taken = _ledger.tokens[id].listed || TokenId.unwrap(_ledger.marks[addr].token) != 0;
        // A contract of the system as a token would make its own calls mean something else.
        bool unusable = _ledger.marks[addr].own || (addr != address(0) && addr.code.length == 0);
        if (raw == 0 || taken || unusable) revert BadToken(raw, addr);
        if (decimals > Deposits.DECIMALS) revert BadDecimals(raw, decimals);
        if (addr != address(0)) {
            (bool known, uint256 own) = Erc20.decimals(addr);
            if (known && own != decimals) revert BadDecimals(raw, own);
        }
        if (least == 0) least = 1;
        TokenEntry storage entry = _ledger.tokens[id];
        (entry.addr, entry.decimals, entry.listed, entry.least) = (addr, decimals, true, least);
        _ledger.marks[addr].token = id;
        emit TokenAdded(raw, addr, decimals, least);
    }

    /// @inheritdoc IRollup
    function setKeyRecorder(address recorder) external duringSetup {
        uint256 self = uint160(address(this));
        bool fits = Ask.says(recorder, abi.encodeCall(IKeyRecorder.rollup, ()), self)
            && Ask.says(recorder, abi.encodeCall(IKeyRecorder.chain, ()), ChainId.unwrap(chain));
        if (address(_recorder) != address(0) || !fits) revert BadKeyRecorder(recorder);
        _recorder = IKeyRecorder(recorder);
        _ledger.marks[recorder].own = true;
        emit KeyRecorderSet(recorder);
    }

    // --------------------------------------------------------------- deposits

    /// @inheritdoc IRollup
    function depositNative(bytes32 owner, uint8 home, uint8 subAccount) external payable guarded {
        TokenId id = _ledger.marks[address(0)].token;
        if (TokenId.unwrap(id) == 0) revert UnknownToken(0);
        _queueDeposit(id, msg.value, owner, home, subAccount);
    }

    /// @inheritdoc IRollup
    function depositERC20(TokenId id, uint256 amount, bytes32 owner, uint8 home, uint8 subAccount)
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
        _queueDeposit(id, arrived, owner, home, subAccount);
    }

    /// @inheritdoc IRollup
    function refund(
        BlockNumber number,
        bytes32[] calldata words,
        bytes32[] calldata chunks,
        uint256 first,
        address[] calldata payers
    ) external guarded {
        bytes32[] calldata none = words[0:0];
        bytes32 content = Contents.join(Contents.hash(words), chunks, none, none);
        uint32 index = _settlement.checkReleased(number, content);
        SerialId cursor_ = _settlement.records[index - 1].cursor;
        Operations.refund(_queue, _ledger, cursor_, words, first, payers);
    }

    // ------------------------------------------------------------- settlement

    /// @inheritdoc IRollup
    function commit(bytes32 previousRolling, OperationsCommit[] calldata blocks)
        external
        onlyValidator
        guarded
    {
        if (blocks.length == 0) revert NoBlocks();
        // A transaction may be mined on another branch of the chain than the one that it was made
        // for, where the record before it is missing or is another one.
        bytes32 last = rolling();
        if (previousRolling != last) revert WrongPredecessor(last, previousRolling);
        for (uint256 i = 0; i < blocks.length; ++i) {
            _commit(blocks[i]);
        }
    }

    /// @inheritdoc IRollup
    function ack(BlockNumber number, bytes32 content) external payable guarded {
        _settlement.acknowledge(number, content);
        emit OperationsAcked(BlockNumber.unwrap(number), content);
        _send(hub, Messages.encodeAck(chain, number, content));
    }

    /// @inheritdoc IRollup
    function revertCommits(BlockNumber downTo, bytes32[][] calldata words)
        external
        onlyValidator
        guarded
    {
        uint32 kept = _settlement.lastKept(downTo);
        unchecked {
            uint32 count = _settlement.committed - kept;
            if (words.length != count) revert RevertCount(count, words.length);
            // The last one first: each record is checked against the one before it.
            for (uint32 i = count; i > 0; --i) {
                bytes32[] calldata gone = words[i - 1];
                _settlement.checkContent(kept + i, Operations.contentOf(gone, chain));
                Operations.restore(_ledger, gone);
                delete _settlement.records[kept + i];
            }
        }
        _settlement.committed = kept;
        emit CommitsReverted(BlockNumber.unwrap(downTo));
    }

    /// @inheritdoc IRollup
    function pay(Portion[] calldata portions) external guarded {
        for (uint256 i = 0; i < portions.length; ++i) {
            Portion calldata portion = portions[i];
            uint32 chunks = _settlement.settle(portion);
            _ledger.payAll(portion.number, portion.words);
            if (chunks == 0) emit OperationsPaid(BlockNumber.unwrap(portion.number));
            else emit ChunksPaid(BlockNumber.unwrap(portion.number), chunks);
        }
    }

    /// @inheritdoc IRollup
    function claim(address owner, TokenId id) external guarded {
        _ledger.claim(owner, id, owner);
    }

    /// @inheritdoc IRollup
    function claimTo(TokenId id, address to) external guarded {
        _ledger.claim(msg.sender, id, to);
    }

    /// @inheritdoc ITokenSender
    function sendToken(address addr, address to, uint256 amount) external {
        if (msg.sender != address(this)) revert Forbidden(msg.sender);
        Payouts.transferChecked(addr, to, amount);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IRollup
    function payGas(uint256 portions, uint256 withdrawals) external pure returns (uint256) {
        return
            Payouts.GAS_BASE + portions * Payouts.GAS_PORTION + withdrawals * Payouts.GAS_WITHDRAWAL;
    }

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
    function chunksPaid() external view returns (uint32) {
        return _settlement.chunks;
    }

    /// @inheritdoc IRollup
    function rolling() public view returns (bytes32) {
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
    function queued(SerialId serial)
        external
        view
        returns (bytes26 hash, uint64 timestamp, uint8 state)
    {
        uint256 entry = _queue.entries[serial];
        return (bytes26(bytes32(entry)), uint40(entry >> 8), uint8(entry));
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
    function pending(address owner, TokenId id) external view returns (uint256) {
        return _ledger.pending[owner][id];
    }

    /// @inheritdoc IRollup
    function token(TokenId id)
        external
        view
        returns (address addr, uint8 decimals, bool listed, uint80 least)
    {
        TokenEntry storage entry = _ledger.tokens[id];
        return (entry.addr, entry.decimals, entry.listed, entry.least);
    }

    /// @inheritdoc IRollup
    function tokenIdOf(address addr) external view returns (TokenId) {
        return _ledger.marks[addr].token;
    }

    /// @inheritdoc IRollup
    function keyRecorder() external view returns (address) {
        return address(_recorder);
    }

    // --------------------------------------------------------------- internal

    /// @inheritdoc Endpoint
    function _serves(ChainId other) internal view override returns (bool) {
        return other == hub;
    }

    /// @inheritdoc Endpoint
    function _routeAdded(address route) internal override {
        // A token that is a route as well would have been refused as one of the two.
        if (TokenId.unwrap(_ledger.marks[route].token) != 0) revert BadRoute(route);
        _ledger.marks[route].own = true;
        address other = IRoute(route).peer(address(this));
        if (other != address(0)) _ledger.marks[other].own = true;
    }

    /// @inheritdoc Endpoint
    function _checkComplete() internal view override {
        if (_registry.routes[hub] == address(0)) revert BadRoute(address(0));
        if (address(_recorder) == address(0)) revert BadKeyRecorder(address(0));
    }

    /// @inheritdoc Endpoint
    function _receive(ChainId, bytes calldata payload) internal override {
        (BlockNumber number, bytes32 root, bytes32 content) = Messages.decodeRelease(payload);
        _settlement.release(number, content);
        emit OperationsReleased(BlockNumber.unwrap(number), root, content);
    }

    function _commit(OperationsCommit calldata info) private {
        // Before the operations are looked at, so that a wrong order is called so.
        _settlement.checkNumber(info.number);
        bytes32 content = Operations.contentOf(info.words, chain);
        SerialId next = Operations.take(_queue, _ledger, _recorder, queueHead(), info);
        bytes32 after_ = _settlement.append(info.number, content, next);
        emit OperationsCommitted(BlockNumber.unwrap(info.number), after_, SerialId.unwrap(next));
    }

    function _queueDeposit(TokenId id, uint256 raw, bytes32 owner, uint8 home, uint8 subAccount)
        private
    {
        _ledger.checkOwner(chain, owner, home);
        (SerialId serial, uint128 amount) =
            _queue.append(_ledger.tokens[id], id, raw, owner, home, subAccount);
        emit DepositQueued(
            SerialId.unwrap(serial), TokenId.unwrap(id), owner, home, subAccount, amount, msg.sender
        );
    }
}
