//! What a contract said when it refused, in words.

use alloy_sol_types::{Panic, Revert, SolError, SolInterface, sol};

sol! {
    #![sol(all_derives)]

    /// Every error that one of the contracts can revert with. A test compares the list with the
    /// artifacts.
    interface Refusal {
        error BadChain(uint8 chain);
        error BadConfiguration();
        error BadDecimals(uint16 id, uint256 decimals);
        error BadHome(uint8 home);
        error BadKey(uint256 keyX, uint256 keyY);
        error BadKeyRecorder(address recorder);
        error BadKeySignature(uint256 index, address owner);
        error BadMessage();
        error BadOutcome(uint256 index);
        error BadPortion(uint32 number, uint32 chunksPaid);
        error BadRollup(address rollup);
        error BadRoot(bytes32 root);
        error BadRoute(address route);
        error BadScale(uint256 index, uint8 given, uint8 expected);
        error BadShape(uint16 shape);
        error BadSubAccount(uint8 subAccount);
        error BadTimestamp(uint64 given, uint64 earliest, uint64 latest);
        error BadToken(uint16 id, address token);
        error BadWord(uint256 index);
        error BelowLeast(uint256 least, uint256 given);
        error BlockCount(uint256 expected, uint256 given);
        error BlocksAreFinal(uint32 lowest, uint32 downTo);
        error ClaimFailed(address owner, uint16 token);
        error CommitmentMismatch(uint32 number, bytes32 expected, bytes32 given);
        error ContentMismatch(uint32 number, bytes32 expected, bytes32 given);
        error DegenerateKey(uint256 part);
        error DepositCap(uint16 id, uint256 total);
        error DepositMismatch(uint256 index, uint64 serial);
        error DigestOutOfRange(uint256 d);
        error EvaluationPointInDomain();
        error Forbidden(address caller);
        error ForbiddenOwner(bytes32 owner);
        error ForeignHome(uint256 index, uint8 home);
        error ForeignOperation(uint256 index, uint8 chain);
        error GasTooLow(uint256 needed);
        error HeadMismatch(bytes32 expected, bytes32 given);
        error InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error InsufficientBalance(address owner, uint256 balance, uint256 needed);
        error InsufficientLocked(uint16 token, uint256 free, uint256 amount);
        error KeyLength(uint256 given, uint256 expected);
        error KeyNotAuthorised(uint256 index, address owner, uint32 nonce);
        error KeyStoreFailed();
        error ListLength(uint256 payloads, uint256 signatures);
        error ModExpFailed();
        error NoBlocks();
        error NoContract(address owner);
        error NoFee(uint256 given);
        error NoWords();
        error NotAKeyPair(address caller);
        error NotAcked(uint32 number, uint8 chain);
        error NotAnAddress(uint256 index, bytes32 owner);
        error NotAnAttester(uint256 index, address signer);
        error NotEnoughSignatures(uint256 given, uint256 threshold);
        error NotProven(uint32 number);
        error NotTheNextBlock(uint32 expected, uint32 given);
        error NotTheRoute(uint8 chain, address caller);
        error NothingToClaim(address owner, uint16 token);
        error NothingToRelease(uint32 number);
        error NumberNotIncreasing(uint32 last, uint32 given);
        error OutOfOrder(uint8 source, uint64 expected, uint64 given);
        error OwnerNotAnAddress(bytes32 owner);
        error PayerCount(uint256 expected, uint256 given);
        error PrecompileMissing(address precompile);
        error ProofRefused(uint32 first);
        error RecordsAreAcked(uint32 lastAcked, uint32 downTo);
        error Reentered();
        error RevertCount(uint256 expected, uint256 given);
        error SetupAlreadyFinished();
        error SetupNotFinished();
        error ShapeNotUsableYet(uint16 shape, uint64 usableFrom);
        error SignatureRefused(address owner);
        error SignersNotAscending(uint256 index, address signer);
        error TrailingZero();
        error TransferInFailed(address token);
        error TransferOutFailed(address token);
        error TruncatedOperation(uint256 index);
        error UnknownChain(uint256 index, uint8 chain);
        error UnknownShape(uint16 shape);
        error UnknownToken(uint16 id);
        error VectorLength(uint256 limit, uint256 given);
        error WitnessCount(uint256 expected, uint256 given);
        error WitnessLength(uint256 index, uint256 length);
        error WordOutOfRange(uint256 index);
        error WrongPredecessor(bytes32 expected, bytes32 given);
        error WrongRecord(uint32 number);
        error ZeroOwner();
    }
}

/// Names the error and its fields: `DepositMismatch(index 0, serial 4)`. Unknown data are shown as
/// hex, shortened.
pub fn revert_text(data: &[u8]) -> String {
    if let Ok(error) = Refusal::RefusalErrors::abi_decode_validate(data) {
        return readable(&format!("{error:?}"));
    }
    if let Ok(Revert { reason }) = Revert::abi_decode_validate(data) {
        return reason.chars().take(200).collect();
    }
    if let Ok(Panic { code }) = Panic::abi_decode_validate(data) {
        return format!("a panic of the contract, code {code}");
    }
    match data {
        [] => "it gave no reason".to_owned(),
        _ => format!("an unknown error 0x{}", hex::encode(&data[..data.len().min(68)])),
    }
}

/// Turns `Name(Name { a: 1, b: 2 })` into `Name(a 1, b 2)`.
fn readable(debug: &str) -> String {
    let name: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
    let fields = debug.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    match fields {
        Some((fields, _)) => format!("{name}({})", fields.trim().replace(": ", " ")),
        None => name,
    }
}

#[cfg(test)]
pub(super) fn known_selectors() -> Vec<[u8; 4]> {
    Refusal::RefusalErrors::SELECTORS.to_vec()
}
