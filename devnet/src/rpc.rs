//! The JSON-RPC methods.
//!
//! `eth` has the methods of the execution API, `blocks` those that read blocks, transactions and
//! logs, `fees` those about fees, `dev` the developer's, `subscription` the WebSocket streams;
//! `view` shapes answers and `error` maps errors to codes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::core::traits::IdProvider;
use jsonrpsee::server::{BatchRequestConfig, RpcModule, Server, ServerConfig, ServerHandle};
use jsonrpsee::types::{ErrorObjectOwned, SubscriptionId};

use crate::config::DevChainConfig;
use crate::error::StartError;
use crate::node::Node;

mod blocks;
mod dev;
mod error;
mod eth;
mod fees;
mod subscription;
mod view;

/// What every method answers with.
type Answer<T> = Result<T, ErrorObjectOwned>;

/// Registers methods that run apart from the threads of the runtime, because they may execute
/// code or wait for a block that is being made.
macro_rules! methods {
    ($module:ident: $($name:literal => $function:path,)*) => {
        $($module.register_blocking_method($name, |params, node, _| {
            $function(&node, &params)
        })?;)*
    };
}

fn module(node: Arc<Node>) -> Result<RpcModule<Node>, RegisterMethodError> {
    let mut module = RpcModule::from_arc(node);
    methods! { module:
        "eth_chainId" => eth::chain_id,
        "net_version" => eth::net_version,
        "net_listening" => eth::net_listening,
        "web3_clientVersion" => eth::client_version,
        "eth_syncing" => eth::syncing,
        "eth_accounts" => eth::accounts,
        "eth_getBalance" => eth::balance,
        "eth_getCode" => eth::code,
        "eth_getStorageAt" => eth::storage_at,
        "eth_getTransactionCount" => eth::transaction_count,
        "eth_call" => eth::call,
        "eth_estimateGas" => eth::estimate_gas,
        "eth_sendRawTransaction" => eth::send_raw_transaction,
        "eth_blockNumber" => blocks::number,
        "eth_getBlockByNumber" => blocks::by_number,
        "eth_getBlockByHash" => blocks::by_hash,
        "eth_getBlockReceipts" => blocks::receipts,
        "eth_getBlockTransactionCountByNumber" => blocks::count_by_number,
        "eth_getBlockTransactionCountByHash" => blocks::count_by_hash,
        "eth_getTransactionByHash" => blocks::transaction,
        "eth_getTransactionReceipt" => blocks::receipt,
        "eth_getLogs" => blocks::logs,
        "eth_gasPrice" => fees::gas_price,
        "eth_maxPriorityFeePerGas" => fees::priority_fee,
        "eth_feeHistory" => fees::history,
        "evm_mine" => dev::evm_mine,
        "evm_increaseTime" => dev::increase_time,
        "evm_setNextBlockTimestamp" => dev::set_next_timestamp,
        "evm_setAutomine" => dev::set_automine,
        "evm_snapshot" => dev::snapshot,
        "evm_revert" => dev::revert,
        "anvil_mine" => dev::anvil_mine,
        "anvil_rollback" => dev::rollback,
        "anvil_reorg" => dev::reorg,
        "anvil_setBalance" => dev::set_balance,
    }
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        subscription::run,
    )?;
    Ok(module)
}

/// Subscription ids as other nodes have them: strings of a hexadecimal number.
#[derive(Debug, Default)]
struct HexIds(AtomicU64);

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let id = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        SubscriptionId::Str(format!("0x{id:x}").into())
    }
}

/// Serves HTTP and WebSocket on one port.
pub(crate) async fn serve(
    node: Arc<Node>,
    config: &DevChainConfig,
) -> Result<(ServerHandle, SocketAddr), StartError> {
    let bind_error = |source| StartError::Bind { address: config.bind, source };
    let limits = &config.limits;
    let server_config = ServerConfig::builder()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(limits.subscriptions)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_calls))
        .set_message_buffer_capacity(1024)
        .set_id_provider(HexIds::default())
        .build();
    let builder = Server::builder().set_config(server_config);
    let server = builder.build(config.bind).await.map_err(bind_error)?;
    let address = server.local_addr().map_err(bind_error)?;
    let module = module(node).expect("no method name is registered twice, which a test shows");
    Ok((server.start(module), address))
}
