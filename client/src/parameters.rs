//! The parameters of the methods by name: what a server refuses instead of ignoring it.

/// Each method with the names of its parameters, in order.
pub const PARAMETERS: [(&str, &[&str]); 20] = [
    ("getSupportChains", &[]),
    ("getSupportTokens", &[]),
    ("getLatestBlockNumber", &[]),
    ("getBlockByNumber", &["blockNumber", "includeTx", "includeUpdate"]),
    ("getPendingBlock", &["lastTxTimestampMicro", "includeTx", "includeUpdate", "limit"]),
    ("getBlockOnChainByNumber", &["blockNumber"]),
    ("getAccount", &["account"]),
    ("getAccountBalances", &["accountId", "subAccountId"]),
    ("getAccountSnapshot", &["account", "subAccountId", "blockNumber"]),
    ("getTokenReserve", &["tokenId", "mapping"]),
    ("getTransactionByHash", &["txHash", "includeUpdate"]),
    ("getDepositsByL1Hash", &["l1Hash", "pageIndex", "pageSize"]),
    ("getAccountTransactionHistory", &["type", "address", "pageIndex", "pageSize"]),
    ("getChangePubkeyChainId", &[]),
    ("estimateTransactionFee", &["tx"]),
    ("sendTransaction", &["tx", "l1Signature", "submitterSignature"]),
    ("getNetwork", &[]),
    ("getProvers", &[]),
    ("getAlarms", &[]),
    ("devFaucet", &["address", "chainId", "tokenId", "amount"]),
];

/// The names of the parameters of a method; nothing when there is no such method.
pub fn parameters_of(method: &str) -> Option<&'static [&'static str]> {
    PARAMETERS.iter().find(|(name, _)| *name == method).map(|(_, parameters)| *parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trait is the truth; this list cannot be made from it.
    #[test]
    fn the_list_is_that_of_the_methods() {
        let quoted = |text: &'static str| text.split_once('"').expect("it ends").0;
        let methods = include_str!("rpc.rs").split("#[method(name = \"").skip(1);
        let told: Vec<(&str, Vec<&str>)> = methods
            .map(|method| {
                let signature = method.split("-> RpcResult").next().unwrap_or_default();
                let arguments = signature.split("#[argument(rename = \"").skip(1);
                (quoted(method), arguments.map(quoted).collect())
            })
            .collect();
        let ours: Vec<(&str, Vec<&str>)> =
            PARAMETERS.iter().map(|(name, parameters)| (*name, parameters.to_vec())).collect();
        assert_eq!(ours, told);
        assert_eq!(parameters_of("getAccount"), Some(&["account"][..]));
        assert_eq!(parameters_of("getMoney"), None);
    }
}
