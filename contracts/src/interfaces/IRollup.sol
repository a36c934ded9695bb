// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockNumber, ChainId, SerialId, TokenId} from "../types/Ids.sol";
import {IEndpoint} from "./IEndpoint.sol";

/// @notice This chain's operations of one block.
struct OperationsCommit {
    /// Above that of the last record.
    BlockNumber number;
    /// The on-chain words of this chain in the block, in order.
    bytes32[] words;
    /// For each ChangePubKey in order: empty (the key recorder has it) or 65 bytes r, s, v.
    bytes[] keyWitnesses;
    /// For each Deposit in order: who paid it in.
    address[] payers;
}

/// @notice Some chunks of a released block that are to be paid, and hashes of the rest.
struct Portion {
    BlockNumber number;
    /// keccak256 of the words of the block's deposits and key changes, in order.
    bytes32 rest;
    /// The hashes of the chunks that are paid already.
    bytes32[] before;
    /// The words of the next chunks: 32 withdrawals each, the block's last chunk may have fewer.
    /// None if the block has no withdrawals here.
    bytes32[] words;
    /// The hashes of the chunks that are left for later.
    bytes32[] behind;
}

/// @title The rollup's contract on one chain: vault, deposit queue and settlement of this chain's
/// operations. The same on every chain, the hub's own included
/// @notice Amounts named `amount` in deposits have 18 decimals; amounts of payouts, claims, refunds
///         and the ledger views are in the token's own units ("raw").
interface IRollup is IEndpoint {
    // ------------------------------------------------------------------ setup

    /// @notice A token was registered. `least` is the least deposit, raw.
    event TokenAdded(uint16 indexed id, address token, uint8 decimals, uint80 least);
    /// @notice The key recorder was registered.
    event KeyRecorderSet(address recorder);

    /// @notice The id or the address is already registered, or is not allowed.
    error BadToken(uint16 id, address token);
    /// @notice The token's decimals are above 18, or the token itself states others.
    error BadDecimals(uint16 id, uint256 decimals);
    /// @notice The recorder is already set, or is none of this rollup.
    error BadKeyRecorder(address recorder);

    /// @notice Registers a token: zero address for the native coin. By the governor, before the
    ///         setup is finished.
    /// @param least The least that one deposit may bring, raw; 0 counts as 1.
    function addToken(TokenId id, address token, uint8 decimals, uint80 least) external;

    /// @notice Registers the key recorder of this rollup, once. By the governor, before the setup
    ///         is finished.
    function setKeyRecorder(address recorder) external;

    // --------------------------------------------------------------- deposits

    /// @notice A deposit waits for the rollup. `amount` has 18 decimals; `payer` gets it back if
    ///         the rollup refuses it.
    event DepositQueued(
        uint64 indexed serial,
        uint16 indexed token,
        bytes32 indexed owner,
        uint8 home,
        uint8 subAccount,
        uint128 amount,
        address payer
    );
    /// @notice A refused deposit became a claim of its payer. `amount` is raw.
    event DepositRefunded(
        uint64 indexed serial, uint16 indexed token, address indexed payer, uint256 amount
    );

    /// @notice No token has this id here, or the call is for another kind of token.
    error UnknownToken(uint16 id);
    /// @notice The deposit has no owner.
    error ZeroOwner();
    /// @notice The owner is no address of an EVM chain, as it must be with this home: an address
    ///         stands in the last 20 of the 32 bytes.
    error OwnerNotAnAddress(bytes32 owner);
    /// @notice The owner is a contract that can never use an account: the vault, a token, a route,
    ///         the hub, the key recorder.
    error ForbiddenOwner(bytes32 owner);
    /// @notice Homes are 0 (a key pair) and 1 to 63 (a contract of that chain).
    error BadHome(uint8 home);
    /// @notice The deposit is below the least amount, or nothing arrived. Amounts are raw.
    error BelowLeast(uint256 least, uint256 given);
    /// @notice Sub-accounts are 0 to 31.
    error BadSubAccount(uint8 subAccount);
    /// @notice All that the vault owes in a token together may not pass 2^120 (18 decimals).
    error DepositCap(uint16 id, uint256 total);
    /// @notice The token refused the transfer to the vault.
    error TransferInFailed(address token);

    /// @notice Deposits the sent coins for `owner`: an address padded on the left, or 32 bytes of
    ///         an account on a chain with other addresses.
    /// @param home 0: the owner is a key pair. 1 to 63: the owner is the contract at this address
    ///        on that chain, which alone can set its L2 key, there and nowhere else.
    function depositNative(bytes32 owner, uint8 home, uint8 subAccount) external payable;

    /// @notice Deposits up to `amount` raw units that the caller approved; what arrives is
    ///         credited.
    function depositERC20(
        TokenId token,
        uint256 amount,
        bytes32 owner,
        uint8 home,
        uint8 subAccount
    ) external;

    /// @notice Turns refused deposits of released block `number` into claims of their payers.
    ///         Anyone. Deposits that are done, or refunded already, are passed over.
    /// @param words The words of the block's deposits and key changes on this chain, in order.
    /// @param chunks The hashes of the block's chunks of withdrawals, all of them.
    /// @param first The first deposit to look at, counted within the block from 0.
    /// @param payers Who paid in the deposits from `first` on; only as many are looked at.
    function refund(
        BlockNumber number,
        bytes32[] calldata words,
        bytes32[] calldata chunks,
        uint256 first,
        address[] calldata payers
    ) external;

    // ------------------------------------------------------------- settlement

    /// @notice This chain's operations of a block were recorded; `cursor` is the next open deposit.
    event OperationsCommitted(uint32 indexed number, bytes32 rolling, uint64 cursor);
    /// @notice All records up to `number` are final on this chain; the hub is told so.
    event OperationsAcked(uint32 indexed number, bytes32 rolling);
    /// @notice The hub released all records up to `number` for payment.
    event OperationsReleased(uint32 indexed number, bytes32 root, bytes32 rolling);
    /// @notice `chunks` chunks of the block are paid now; more are left.
    event ChunksPaid(uint32 indexed number, uint32 chunks);
    /// @notice All payouts of the block were made or deferred.
    event OperationsPaid(uint32 indexed number);
    /// @notice All records above `number` were taken back.
    event CommitsReverted(uint32 indexed number);
    /// @notice A withdrawal reached its owner.
    event Paid(uint32 indexed number, uint16 indexed token, address indexed owner, uint256 amount);
    /// @notice A withdrawal could not be delivered; the owner's claim stands until it is paid.
    event PayoutDeferred(
        uint32 indexed number, uint16 indexed token, address indexed owner, uint256 amount
    );
    /// @notice A claim of `owner` was paid to `to`.
    event Claimed(address indexed owner, uint16 indexed token, address indexed to, uint256 amount);

    /// @notice The call names no block.
    error NoBlocks();
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
    /// @notice The deposit at `index` is not the next one of the queue, or had another payer.
    error DepositMismatch(uint256 index, uint64 serial);
    /// @notice The outcome is neither 0 (done) nor 1 (refused), or a refused deposit names an
    ///         account.
    error BadOutcome(uint256 index);
    /// @notice There must be one payer for each deposit, and no other.
    error PayerCount(uint256 expected, uint256 given);
    /// @notice A withdrawal states a scale that is not 18 minus the token's decimals.
    error BadScale(uint256 index, uint8 given, uint8 expected);
    /// @notice The owner of the operation at `index` is no EVM address.
    error NotAnAddress(uint256 index, bytes32 owner);
    /// @notice There must be one key witness for each key change, and no other.
    error WitnessCount(uint256 expected, uint256 given);
    /// @notice There is no record of this block, or it is not in the stage that the call needs.
    error WrongRecord(uint32 number);
    /// @notice Acknowledged records cannot be reverted.
    error RecordsAreAcked(uint32 lastAcked, uint32 downTo);
    /// @notice The words of each record that is reverted are needed, and no others.
    error RevertCount(uint256 expected, uint256 given);
    /// @notice The words, or the rolling content, are not those that were committed.
    error ContentMismatch(uint32 number, bytes32 expected, bytes32 given);
    /// @notice A portion does not go on where the last one ended, pays nothing although chunks are
    ///         left, or has part of a chunk.
    error BadPortion(uint32 number, uint32 chunksPaid);
    /// @notice A payout would touch coins of open deposits or claims.
    error InsufficientLocked(uint16 token, uint256 free, uint256 amount);
    /// @notice The transaction has too little gas to give a payout its full allowance.
    error GasTooLow(uint256 needed);
    /// @notice The owner has no claim in this token.
    error NothingToClaim(address owner, uint16 token);
    /// @notice The claim could not be paid.
    error ClaimFailed(address owner, uint16 token);

    /// @notice Records this chain's operations of the next blocks, by the validator.
    /// @param previousRolling The rolling content of the last record, or 0 before the first: so a
    ///        commit that a reorganisation separated from the one before it is refused.
    function commit(bytes32 previousRolling, OperationsCommit[] calldata blocks) external;

    /// @notice Tells the hub what this chain holds up to block `number`; from then on it is final
    ///         here. Anyone, once for each record; the coins sent along are what the route asks.
    /// @param rolling The rolling content of that record, so that the sender makes final what it
    ///        has seen, whatever became of the chain meanwhile.
    function ack(BlockNumber number, bytes32 rolling) external payable;

    /// @notice Takes back all records above block `downTo` that are not acknowledged, by the
    ///         validator.
    /// @param words The words of these records, in the order of their blocks.
    function revertCommits(BlockNumber downTo, bytes32[][] calldata words) external;

    /// @notice Makes payouts of released blocks: blocks in order, chunks in order, each once.
    ///         Anyone. `payGas` says how much gas to give.
    function pay(Portion[] calldata portions) external;

    /// @notice Pays the claim of `owner` to it. Anyone.
    function claim(address owner, TokenId token) external;

    /// @notice Pays the caller's claim to another address.
    function claimTo(TokenId token, address to) external;

    /// @notice The gas limit with which a transaction that calls `pay` never runs out, whatever the
    ///         receivers and tokens do: an estimate is not safe, since they can behave differently
    ///         when it is mined. Calldata and the cost of the transaction are included.
    function payGas(uint256 portions, uint256 withdrawals) external pure returns (uint256);

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
    /// @notice The number of the last block that is paid to the end, or 0.
    function lastPaid() external view returns (BlockNumber);
    /// @notice How many chunks of the block after it are paid.
    function chunksPaid() external view returns (uint32);
    /// @notice The rolling content of the last record, or 0.
    function rolling() external view returns (bytes32);
    /// @notice The next deposit that a commit must take.
    function queueHead() external view returns (SerialId);
    /// @notice The number of deposits ever made; also the next serial.
    function queueTail() external view returns (SerialId);
    /// @notice The cursor of the last acknowledged record: deposits below it are final on L2's
    ///         side.
    function cursor() external view returns (SerialId);
    /// @notice A queue entry: the first 26 bytes of keccak256(abi.encode(uint8 kind, uint16 token,
    ///         uint8 subAccount, uint8 home, uint128 amount, bytes32 owner, address payer, address
    ///         sender)), when it was made, and its state: 0 none, 1 deposit, 3 refunded deposit.
    function queued(SerialId serial)
        external
        view
        returns (bytes26 hash, uint64 timestamp, uint8 state);
    /// @notice Everything that the vault owes in a token, raw: L2 balances, open deposits, claims.
    function locked(TokenId token) external view returns (uint256);
    /// @notice The sum of all claims in a token, raw.
    function pendingTotal(TokenId token) external view returns (uint256);
    /// @notice The sum of deposits that are in no account, raw: those that no commit has taken yet,
    ///         and refused ones that are not refunded yet.
    function unconsumed(TokenId token) external view returns (uint256);
    /// @notice The claim of an owner in a token, raw.
    function pending(address owner, TokenId token) external view returns (uint256);
    /// @notice A token's address (zero: native), decimals, whether it is registered, least deposit.
    function token(TokenId id)
        external
        view
        returns (address addr, uint8 decimals, bool listed, uint80 least);
    /// @notice The id of a registered token, or 0.
    function tokenIdOf(address addr) external view returns (TokenId);
    /// @notice The contract that records keys.
    function keyRecorder() external view returns (address);
}
