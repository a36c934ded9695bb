// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockNumber, ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {IMessageReceiver} from "./IRoute.sol";

/// @notice What is fixed when a rollup contract is deployed.
struct RollupParams {
    /// This chain's number, 1 to 63.
    ChainId chain;
    /// The hub's number; equal to `chain` for the hub itself.
    ChainId hub;
    /// 31 bytes that bind signatures and messages to this deployment; the top byte is zero.
    bytes32 deploymentId;
    /// May register tokens, chains and shapes until the setup is finished, and nothing afterwards.
    address governor;
    /// May commit, and revert what is not acknowledged.
    address validator;
}

/// @title The rollup's contract on one chain: vault, deposit queue and settlement of this chain's
/// operations
/// @notice Amounts named `amount` in deposits have 18 decimals; amounts of payouts, claims and the
///         ledger views are in the token's own units ("raw").
interface IRollup is IMessageReceiver {
    // ------------------------------------------------------------------ setup

    /// @notice A token was registered.
    event TokenAdded(uint16 indexed id, address token, uint8 decimals);
    /// @notice A chain and the route to it were registered.
    event ChainAdded(uint8 indexed chain, address route);
    /// @notice The setup is closed for ever; the rollup works from now on.
    event SetupFinished();

    /// @notice The caller may not do this.
    error Forbidden(address caller);
    /// @notice The constructor's arguments contradict each other or are out of range.
    error BadConfiguration();
    /// @notice The rollup does not work before the governor finishes the setup.
    error SetupNotFinished();
    /// @notice The setup is finished; nothing can be registered any more.
    error SetupAlreadyFinished();
    /// @notice The id or the address is already registered, or is not allowed.
    error BadToken(uint16 id, address token);
    /// @notice The token's decimals are above 18, or the token itself states others.
    error BadDecimals(uint16 id, uint256 decimals);
    /// @notice The chain is already registered, is this chain, or is out of range.
    error BadChain(uint8 chain);
    /// @notice The route has no code.
    error BadRoute(address route);
    /// @notice A call came in while another one was running.
    error Reentered();

    /// @notice Registers a token: zero address for the native coin.
    function addToken(TokenId id, address token, uint8 decimals) external;

    /// @notice Registers a chain and the route over which messages go to it and come from it.
    function addChain(ChainId chain, address route) external;

    /// @notice Ends the setup. Irreversible.
    function finishSetup() external;

    // --------------------------------------------------------------- deposits

    /// @notice A deposit waits for the rollup. `amount` has 18 decimals.
    event DepositQueued(
        uint64 indexed serial,
        uint16 indexed token,
        bytes32 indexed owner,
        uint8 subAccount,
        uint128 amount,
        address from
    );

    /// @notice No token has this id here, or the call is for another kind of token.
    error UnknownToken(uint16 id);
    /// @notice The deposit has no owner.
    error ZeroOwner();
    /// @notice The deposit is empty; for a token with a transfer fee, nothing arrived.
    error ZeroAmount();
    /// @notice Sub-accounts are 0 to 31.
    error BadSubAccount(uint8 subAccount);
    /// @notice The sum of all deposits of a token may not pass 2^120 (18 decimals).
    error DepositCap(uint16 id, uint256 total);
    /// @notice The token refused the transfer to the vault.
    error TransferInFailed(address token);

    /// @notice Deposits the sent coins for `owner`: an address padded on the left, or a felt.
    function depositNative(bytes32 owner, uint8 subAccount) external payable;

    /// @notice Deposits up to `amount` raw units that the caller approved; what arrives is
    ///         credited.
    function depositERC20(TokenId token, uint256 amount, bytes32 owner, uint8 subAccount) external;

    // ------------------------------------------------------------------- keys

    /// @notice The owner authorised an L2 key for one account nonce.
    event AuthPubKeySet(address indexed owner, uint32 indexed nonce, uint256 keyX, uint256 keyY);

    /// @notice The owner has already authorised another key for this nonce; it cannot be changed.
    error KeyAlreadySet(address owner, uint32 nonce);

    /// @notice Authorises the L2 key (keyX, keyY) for the caller's account at `nonce`. Final for
    ///         that nonce.
    function setAuthPubKey(uint256 keyX, uint256 keyY, uint32 nonce) external;

    // ------------------------------------------------------------- settlement

    /// @notice This chain's operations of block `number` are recorded; `cursor` is the next open
    ///         deposit.
    event OperationsCommitted(uint32 indexed number, bytes32 rolling, uint64 cursor);
    /// @notice All records above `number` were taken back.
    event CommitsReverted(uint32 indexed number);
    /// @notice The record, and all before it, can no longer be taken back.
    event OperationsAcked(uint32 indexed number, bytes32 rolling);
    /// @notice The hub has proven the block; its payouts may be made.
    event OperationsReleased(uint32 indexed number, bytes32 root, bytes32 rolling);
    /// @notice All payouts of the block were made or deferred.
    event OperationsPaid(uint32 indexed number);
    /// @notice A withdrawal reached its owner.
    event Paid(uint32 indexed number, uint16 indexed token, address indexed owner, uint256 amount);
    /// @notice A withdrawal could not be delivered; the owner's claim stands until it is paid.
    event PayoutDeferred(
        uint32 indexed number, uint16 indexed token, address indexed owner, uint256 amount
    );
    /// @notice A deferred withdrawal reached its owner.
    event Claimed(address indexed owner, uint16 indexed token, uint256 amount);

    /// @notice A commit names a block that is not above the last one.
    error NumberNotIncreasing(uint32 last, uint32 given);
    /// @notice A commit names another content before it than that of the last record (0 before the
    ///         first): a block in between is missing here, or this chain holds another one.
    error WrongPredecessor(bytes32 expected, bytes32 given);
    /// @notice A commit without operations.
    error NoWords();
    /// @notice The word at `index` is no operation of this protocol, or its padding is not zero.
    error BadWord(uint256 index);
    /// @notice The operation at `index` needs more words than there are.
    error TruncatedOperation(uint256 index);
    /// @notice The operation at `index` belongs to another chain.
    error ForeignOperation(uint256 index, uint8 chain);
    /// @notice A raw word is not below the field's modulus, or an owner does not fit 31 bytes.
    error WordOutOfRange(uint256 index);
    /// @notice The deposit at `index` is not the next one of the queue.
    error DepositMismatch(uint256 index, uint64 serial);
    /// @notice A withdrawal states a scale that is not 18 minus the token's decimals.
    error BadScale(uint256 index, uint8 given, uint8 expected);
    /// @notice The owner of the operation at `index` is no EVM address.
    error NotAnAddress(uint256 index, bytes32 owner);
    /// @notice There must be one key witness for each key change, and no other.
    error WitnessCount(uint256 expected, uint256 given);
    /// @notice A key witness is neither empty nor 65 bytes.
    error WitnessLength(uint256 index, uint256 length);
    /// @notice The owner has not authorised this key for this nonce on chain.
    error KeyNotAuthorised(uint256 index, address owner, uint32 nonce);
    /// @notice The signature is not the owner's.
    error BadKeySignature(uint256 index, address owner);
    /// @notice There is no record of this block, or it is not in the stage that the call needs.
    error WrongRecord(uint32 number);
    /// @notice Acknowledged records cannot be reverted.
    error RecordsAreAcked(uint32 lastAcked, uint32 downTo);
    /// @notice The words, or the rolling content, are not those that were committed.
    error ContentMismatch(uint32 number, bytes32 expected, bytes32 given);
    /// @notice A message came from an address that is not the route of `chain`.
    error NotTheRoute(uint8 chain, address caller);
    /// @notice The message cannot be read, or is not for this contract.
    error BadMessage();
    /// @notice A payout would touch coins of open deposits or claims.
    error InsufficientLocked(uint16 token, uint256 free, uint256 amount);
    /// @notice The transaction has too little gas to give a payout its full allowance.
    error GasTooLow(uint256 needed);
    /// @notice The owner has no deferred payout in this token.
    error NothingToClaim(address owner, uint16 token);
    /// @notice The owner could not be paid.
    error ClaimFailed(address owner, uint16 token);

    /// @notice Records this chain's operations of block `number`, by the validator.
    /// @param number Above that of the last record.
    /// @param previousRolling The rolling content of the last record, or 0 before the first: so a
    ///        commit that a reorganisation separated from the one before it is refused.
    /// @param words The on-chain words of this chain in block `number`, in order.
    /// @param keyWitnesses For each ChangePubKey in order: empty (authorised on chain) or 65 bytes
    ///        r, s, v.
    function commit(
        BlockNumber number,
        bytes32 previousRolling,
        bytes32[] calldata words,
        bytes[] calldata keyWitnesses
    ) external;

    /// @notice Tells the hub what this chain holds up to block `number`; from then on it is final
    ///         here. Anyone.
    /// @param rolling The rolling content of that record, so that the sender makes final what it
    ///        has seen, whatever became of the chain meanwhile.
    function ack(BlockNumber number, bytes32 rolling) external;

    /// @notice Takes back all records above block `downTo` that are not acknowledged, by the
    ///         validator.
    function revertCommits(BlockNumber downTo) external;

    /// @notice Makes the payouts of released block `number`, blocks in order, each once. Anyone.
    /// @param words The words that were committed.
    function pay(BlockNumber number, bytes32[] calldata words) external;

    /// @notice Pays what was deferred to its owner. Anyone.
    function claim(address owner, TokenId token) external;

    // ------------------------------------------------------------------ views

    /// @notice A block's record: place in the order (from 1), rolling content, cursor after it.
    function recordOf(BlockNumber number)
        external
        view
        returns (uint32 index, bytes32 rolling, SerialId cursor);
    /// @notice The number of the last block with a record here, or 0.
    function lastCommitted() external view returns (BlockNumber);
    /// @notice The number of the last acknowledged block, or 0.
    function lastAcked() external view returns (BlockNumber);
    /// @notice The number of the last released block, or 0.
    function lastReleased() external view returns (BlockNumber);
    /// @notice The number of the last paid block, or 0.
    function lastPaid() external view returns (BlockNumber);
    /// @notice The rolling content of the last record, or 0.
    function rolling() external view returns (bytes32);
    /// @notice The next deposit that a commit must take.
    function queueHead() external view returns (SerialId);
    /// @notice The number of deposits ever made; also the next serial.
    function queueTail() external view returns (SerialId);
    /// @notice The cursor of the last acknowledged record: deposits below it are final on L2's
    ///         side.
    function cursor() external view returns (SerialId);
    /// @notice A queued deposit: hash of (token, subAccount, amount, owner), and when it was made.
    function deposit(SerialId serial) external view returns (bytes32 hash, uint64 timestamp);
    /// @notice Everything that the vault owes in a token, raw: L2 balances, open deposits, claims.
    function locked(TokenId token) external view returns (uint256);
    /// @notice The sum of deferred payouts in a token, raw.
    function pendingTotal(TokenId token) external view returns (uint256);
    /// @notice The sum of deposits that no commit has taken yet, raw.
    function unconsumed(TokenId token) external view returns (uint256);
    /// @notice The sum of all deposits ever made, 18 decimals.
    function deposited(TokenId token) external view returns (uint256);
    /// @notice The deferred payouts of an owner in a token, raw.
    function pending(address owner, TokenId token) external view returns (uint256);
    /// @notice A token's address (zero: native), decimals, and whether it is registered.
    function token(TokenId id) external view returns (address addr, uint8 decimals, bool listed);
    /// @notice The id of a registered token, or 0.
    function tokenIdOf(address addr) external view returns (TokenId);
    /// @notice keccak256(abi.encode(keyX, keyY)) of the key authorised on chain, or 0.
    function authPubKey(address owner, uint32 nonce) external view returns (bytes32);
    /// @notice The route to a chain, or zero.
    function routeOf(ChainId chain) external view returns (address);
    /// @notice The hub's chain number.
    function hub() external view returns (ChainId);
    /// @notice The deployment's id.
    function deploymentId() external view returns (bytes32);
    /// @notice Who may set up.
    function governor() external view returns (address);
    /// @notice Who may commit and revert.
    function validator() external view returns (address);
    /// @notice Whether the setup is closed.
    function setupFinished() external view returns (bool);
    /// @notice The EIP-712 domain separator for key changes.
    function domainSeparator() external view returns (bytes32);
}
