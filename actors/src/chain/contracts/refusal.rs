//! What a contract said when it refused, in words.

use alloy_sol_types::{Panic, Revert, SolError, SolInterface, sol};

sol! {
    #![sol(all_derives)]

    /// Every error that one of the contracts can revert with. A test compares the list with the
    /// artifacts.
    interface Refusal {
        error Forbidden(address caller);
        error BadConfiguration();
        error SetupNotFinished();
        error SetupAlreadyFinished();
        error BadToken(uint16 id, address token);
        error BadDecimals(uint16 id, uint256 decimals);
        error BadChain(uint8 chain);
        error BadRoute(address route);
        error Reentered();
        error UnknownToken(uint16 id);
        error ZeroOwner();
        error ZeroAmount();
        error BadSubAccount(uint8 subAccount);
        error DepositCap(uint16 id, uint256 total);
        error TransferInFailed(address token);
        error TransferOutFailed(address token);
        error KeyAlreadySet(address owner, uint32 nonce);
        error NumberNotIncreasing(uint32 last, uint32 given);
        error WrongPredecessor(bytes32 expected, bytes32 given);
        error NoWords();
        error BadWord(uint256 index);
        error TruncatedOperation(uint256 index);
        error ForeignOperation(uint256 index, uint8 chain);
        error WordOutOfRange(uint256 index);
        error DepositMismatch(uint256 index, uint64 serial);
        error BadScale(uint256 index, uint8 given, uint8 expected);
        error NotAnAddress(uint256 index, bytes32 owner);
        error WitnessCount(uint256 expected, uint256 given);
        error WitnessLength(uint256 index, uint256 length);
        error KeyNotAuthorised(uint256 index, address owner, uint32 nonce);
        error BadKeySignature(uint256 index, address owner);
        error WrongRecord(uint32 number);
        error RecordsAreAcked(uint32 lastAcked, uint32 downTo);
        error ContentMismatch(uint32 number, bytes32 expected, bytes32 given);
        error NotTheRoute(uint8 chain, address caller);
        error BadMessage();
        error InsufficientLocked(uint16 token, uint256 free, uint256 amount);
        error GasTooLow(uint256 needed);
        error NothingToClaim(address owner, uint16 token);
        error ClaimFailed(address owner, uint16 token);
        error BadRoot(bytes32 root);
        error BadShape(uint16 shape);
        error UnknownShape(uint16 shape);
        error NotTheNextBlock(uint32 expected, uint32 given);
        error VectorLength(uint256 expected, uint256 given);
        error HeadMismatch(uint256 index, bytes32 expected, bytes32 given);
        error BadTimestamp(uint64 given, uint64 earliest, uint64 latest);
        error DigestOutOfRange(uint256 d);
        error UnknownChain(uint256 index, uint8 chain);
        error EvaluationPointInDomain();
        error NotProven(uint32 number);
        error CommitmentMismatch(uint32 number, bytes32 expected, bytes32 given);
        error ProofRefused(uint32 number);
        error NotAcked(uint32 number, uint8 chain);
        error BlocksAreFinal(uint32 lowest, uint32 downTo);
        error ModExpFailed();
        error AlreadyBound(address rollup);
        error NotBound();
        error OutOfOrder(uint8 source, uint64 expected, uint64 given);
        error NotEnoughSignatures(uint256 given, uint256 threshold);
        error NotAnAttester(uint256 index, address signer);
        error SignersNotAscending(uint256 index, address signer);
        error PrecompileMissing(address precompile);
        error KeyLength(uint256 given, uint256 expected);
        error DegenerateKey(uint256 part);
        error KeyStoreFailed();
        error InsufficientBalance(address owner, uint256 balance, uint256 needed);
        error InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
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
