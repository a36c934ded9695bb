//! What endpoints say when they do not take a transaction. They have no common codes for it.

/// What became of a transaction that was handed in and not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is there already, or another one with its nonce: the receipt or a higher fee decides.
    Known,
    /// It offers too little: a higher fee is needed at once, and nothing waits in the pool.
    TooCheap(Needed),
    /// The account cannot pay for it.
    NoCoins,
    /// The chain does not know this type of transaction.
    Type,
    /// Its blobs are proven in the form that the chain does not take.
    Proofs,
    /// Something else.
    Other,
}

/// What an offer lacks, with what the endpoint says is needed, wei per unit of gas or of blob gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needed {
    /// The fee of the block.
    BaseFee(Option<u128>),
    /// The tip.
    Tip(Option<u128>),
    /// The fee of the block for blobs.
    BlobFee(Option<u128>),
}

const NO_COINS: [&str; 4] =
    ["insufficient funds", "insufficient balance", "underfunded", "not enough funds"];

const KNOWN: [&str; 5] =
    ["replacement", "replace existing", "already", "known transaction", "nonce too low"];

const TOO_CHEAP: [&str; 17] = [
    "underpriced",
    "tip too low",
    "gas tip cap",
    "less than block base fee",
    "lower than block base fee",
    "below the base fee",
    "fee too low",
    "feetoolow",
    "price too low",
    "price below",
    "fee below",
    "cap less than",
    "less than block blob gas fee",
    "less than block blob base fee",
    "blob fee cap",
    "blob gas price",
    "max_fee_per_blob_gas",
];

const NO_SUCH_TYPE: [&str; 4] = [
    "transaction type not supported",
    "unknown transaction type",
    "unsupported transaction type",
    "invalid transaction type",
];

/// Words before the number that is needed.
const BEFORE_NUMBER: [&str; 6] =
    ["minimum needed", "minimum required", "at least", "needed", "required", "minimum"];

fn says(words: &str, any: &[&str]) -> bool {
    any.iter().any(|part| words.contains(part))
}

/// The meaning of an endpoint's words.
pub(super) fn refusal(message: &str) -> Refusal {
    let words = message.to_lowercase();
    if says(&words, &NO_COINS) {
        return Refusal::NoCoins;
    }
    if says(&words, &NO_SUCH_TYPE) {
        return Refusal::Type;
    }
    // As in "unexpected sidecar version, want: 1, got: 0" and "unexpected eip-4844 sidecar after osaka".
    if words.contains("sidecar") && says(&words, &["version", "osaka", "legacy"])
        || words.contains("wrapper version")
    {
        return Refusal::Proofs;
    }
    // As in "unknown transaction".
    if says(&words.replace("unknown", ""), &KNOWN) {
        return Refusal::Known;
    }
    // The gas limit has a least number too.
    if !says(&words, &TOO_CHEAP) || words.contains("intrinsic") {
        return Refusal::Other;
    }
    // Before the base fee, which is named in it, too.
    if words.contains("blob") {
        let number = ["blobbasefee:", "minimum needed"].iter();
        let number = number.filter_map(|before| number_after(&words, before)).next();
        return Refusal::TooCheap(Needed::BlobFee(number));
    }
    if words.contains("base fee") || words.contains("basefee") {
        let number = ["basefee:", "base fee:"].iter().find_map(|at| number_after(&words, at));
        return Refusal::TooCheap(Needed::BaseFee(number));
    }
    let tip = BEFORE_NUMBER.iter().find_map(|before| number_after(&words, before));
    Refusal::TooCheap(Needed::Tip(tip))
}

/// The number that follows some words, if one follows soon.
fn number_after(words: &str, before: &str) -> Option<u128> {
    let rest = words.split_once(before)?.1;
    let rest = rest.trim_start_matches(|sign: char| !sign.is_ascii_digit() && sign != ',');
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_servers_are_understood() {
        let tip = |tip| Refusal::TooCheap(Needed::Tip(tip));
        let base_fee = |base_fee| Refusal::TooCheap(Needed::BaseFee(base_fee));
        let blob_fee = |blob_fee| Refusal::TooCheap(Needed::BlobFee(blob_fee));
        for (words, meaning) in [
            ("already known", Refusal::Known),
            ("Known transaction: 0xab", Refusal::Known),
            ("nonce too low: next nonce 5, tx nonce 4", Refusal::Known),
            ("replacement transaction underpriced", Refusal::Known),
            ("transaction underpriced", tip(None)),
            (
                "transaction underpriced: gas tip cap 1, minimum needed 25000000000",
                tip(Some(25_000_000_000)),
            ),
            ("Transaction gas price too low, at least 7 wei", tip(Some(7))),
            (
                "max fee per gas less than block base fee: address 0x12, maxFeePerGas: 3, \
                 baseFee: 875000000",
                base_fee(Some(875_000_000)),
            ),
            ("fee cap less than block base fee", base_fee(None)),
            (
                "Block `blob_gas_price` is greater than tx-specified `max_fee_per_blob_gas` after Cancun",
                blob_fee(None),
            ),
            ("insufficient funds for gas * price + value: have 1 want 2", Refusal::NoCoins),
            ("intrinsic gas too low: gas 5, minimum needed 21000", Refusal::Other),
            ("exceeds block gas limit", Refusal::Other),
            ("unknown transaction type", Refusal::Type),
            ("transaction type not supported", Refusal::Type),
            (
                "max fee per blob gas less than block blob gas fee: address 0x12 blobGasFeeCap: 3, \
                 blobBaseFee: 1962046498 (supplied gas 1000000)",
                blob_fee(Some(1_962_046_498)),
            ),
            (
                "transaction gas price below minimum: blob fee cap 0, minimum needed 1",
                blob_fee(Some(1)),
            ),
            ("invalid sidecar: unexpected sidecar version, want: 1, got: 0", Refusal::Proofs),
            ("unexpected eip-4844 sidecar after osaka", Refusal::Proofs),
            ("missing sidecar in blob transaction", Refusal::Other),
            (
                "replacement transaction underpriced: new tx blob gas fee cap 3 < 4 queued + 100% \
                 replacement penalty",
                Refusal::Known,
            ),
        ] {
            assert_eq!(refusal(words), meaning, "{words}");
        }
    }
}
