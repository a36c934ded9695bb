//! On what terms the node takes transactions: the least fees, and how far it may run ahead of settlement.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use zklink::amount::{Amount, DECIMALS, Fee};
use zklink::fees::{FeeTable, LeastFees};
use zklink::id::TokenId;

use super::{ConfigError, Loaded, NodeConfig};
use crate::builder::{PaceLimits, Terms};

/// The least fees of one token, in whole tokens: `"0.05"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeesConfig {
    /// Of a payment to an address that has an account.
    pub transfer: String,
    /// Of a payment that makes an account.
    pub transfer_to_new: String,
    /// Of a payout on a chain.
    pub withdraw: String,
    /// Of a key change.
    pub change_pub_key: String,
}

impl Loaded<NodeConfig> {
    /// The terms for a deployment with these tokens. Fees are given for each of them or for none: a token that was
    /// left out would be the one that everybody pays with.
    ///
    /// # Errors
    /// A token is missing or unknown, a fee cannot be expressed or read, or a bound is out of range.
    pub fn terms(&self, tokens: &BTreeSet<TokenId>) -> Result<Terms, ConfigError> {
        let most = PaceLimits::UNPROVEN_MOST;
        let unproven_max = self.config.unproven_blocks_max;
        if !(1..=most).contains(&unproven_max) {
            return Err(self.wrong(format!("unproven_blocks_max must be from 1 to {most}")));
        }
        let mut table = BTreeMap::new();
        for (key, fees) in &self.config.fees {
            let id = key.parse().map(TokenId).ok().filter(|id| tokens.contains(id));
            let id = id.ok_or_else(|| {
                self.wrong(format!("[fees.{key}]: the deployment has no token {key}"))
            })?;
            table.insert(id, self.fees_of(id, fees)?);
        }
        let missing = tokens.iter().find(|id| !table.contains_key(id));
        if let Some(missing) = missing.filter(|_| !table.is_empty()) {
            return Err(self.wrong(format!(
                "[fees.{missing}] is missing: give the fees of every token, or of none for a network without fees"
            )));
        }
        let pace = PaceLimits { unproven_max, ..PaceLimits::default() };
        Ok(Terms { fees: FeeTable(table), pace })
    }

    fn fees_of(&self, id: TokenId, fees: &FeesConfig) -> Result<LeastFees, ConfigError> {
        let fee = |key: &str, text: &str| {
            let wrong = |what: String| self.wrong(format!("[fees.{id}] {key} = {text:?}: {what}"));
            let amount = whole_tokens(text)
                .ok_or_else(|| wrong("write whole tokens with at most 18 decimals: 0.05".into()))?;
            Fee::exact(amount).ok_or_else(|| {
                wrong("a fee has at most three digits and zeros, or four up to 2047".into())
            })
        };
        Ok(LeastFees {
            transfer: fee("transfer", &fees.transfer)?,
            transfer_to_new: fee("transfer_to_new", &fees.transfer_to_new)?,
            withdraw: fee("withdraw", &fees.withdraw)?,
            change_pub_key: fee("change_pub_key", &fees.change_pub_key)?,
        })
    }
}

/// `12.5` as an amount; nothing for what is no such number or does not fit.
fn whole_tokens(text: &str) -> Option<Amount> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let decimals = usize::from(DECIMALS);
    if whole.is_empty() || rest.is_empty() || rest.len() > decimals {
        return None;
    }
    format!("{whole}{rest:0<decimals$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use figment::Figment;
    use figment::providers::{Format, Toml};

    use super::*;

    const NODE: &str = r#"
data = "data"
deployment = "deployment.toml"
validator_key_file = "secrets/validator.key"
unproven_blocks_max = 100

[fees.17]
transfer = "0.01"
transfer_to_new = "0.5"
withdraw = "2"
change_pub_key = "1.25"

[chains]
"#;

    fn terms(text: &str, tokens: &[u16]) -> Result<Terms, String> {
        let figment = Figment::from(Toml::string(text));
        let loaded: Loaded<NodeConfig> = Loaded::parse(Path::new("node.toml"), figment).unwrap();
        let tokens = tokens.iter().copied().map(TokenId).collect();
        loaded.terms(&tokens).map_err(|error| error.to_string())
    }

    #[test]
    fn fees_are_read_in_whole_tokens() {
        let terms = terms(NODE, &[17]).unwrap();
        let fee = |thousandths: u128| Fee::exact(Amount(thousandths * 10u128.pow(15))).unwrap();
        let fees = LeastFees {
            transfer: fee(10),
            transfer_to_new: fee(500),
            withdraw: fee(2_000),
            change_pub_key: fee(1_250),
        };
        assert_eq!(terms.fees, FeeTable([(TokenId(17), fees)].into()));
        assert_eq!(terms.pace.unproven_max, 100);
        assert_eq!(whole_tokens("3"), Some(Amount(3 * 10u128.pow(18))));
        assert_eq!(whole_tokens("0.000000000000000001"), Some(Amount(1)));
        for text in ["", ".", "1.", ".5", "-1", "1e3", "1.0.0", "0.0000000000000000001"] {
            assert_eq!(whole_tokens(text), None, "{text}");
        }
        assert_eq!(whole_tokens("340282366920938463464"), None, "above 128 bits");
    }

    #[test]
    fn fees_are_for_all_tokens_or_for_none() {
        let missing = terms(NODE, &[17, 32]).unwrap_err();
        assert!(missing.contains("[fees.32] is missing"), "{missing}");
        let unknown = terms(NODE, &[32]).unwrap_err();
        assert!(unknown.contains("the deployment has no token 17"), "{unknown}");
        let fees = NODE.find("[fees").unwrap()..NODE.find("[chains").unwrap();
        let mut free = NODE.to_owned();
        free.replace_range(fees, "");
        assert_eq!(terms(&free, &[17, 32]).unwrap().fees, FeeTable::default());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let odd = terms(&NODE.replace("0.01", "0.12345"), &[17]).unwrap_err();
        assert!(odd.contains("[fees.17] transfer = \"0.12345\": a fee has"), "{odd}");
        let word = terms(&NODE.replace("\"2\"", "\"two\""), &[17]).unwrap_err();
        assert!(word.contains("withdraw = \"two\": write whole tokens"), "{word}");
        for bound in ["0", "4097"] {
            let text = NODE.replace("blocks_max = 100", &format!("blocks_max = {bound}"));
            let error = terms(&text, &[17]).unwrap_err();
            assert!(error.contains("unproven_blocks_max must be from 1 to 4096"), "{error}");
        }
    }
}
