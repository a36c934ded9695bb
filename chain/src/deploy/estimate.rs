//! What a deployment would do and cost, without a transaction.

use std::collections::BTreeMap;

use zklink::id::ChainId;
use zklink::token::Address;

use super::plan::{Plan, check_plan};
use super::{DeployError, Step, check, creation, sender};
use crate::client::{At, Call, ClientError};
use crate::contracts::ReadError;
use crate::sender::Sender;

/// A deployment that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Its transactions.
    pub steps: Vec<Step>,
    /// What they come to on each chain.
    pub costs: Vec<Cost>,
}

/// What a deployment costs on one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The chain.
    pub chain: ChainId,
    /// Gas of all transactions, those that cannot be tried with the most that they take.
    pub gas: u64,
    /// What a unit of gas costs there now, wei.
    pub price: u128,
    /// The account that pays.
    pub deployer: Address,
    /// What it has, wei.
    pub balance: u128,
}

impl Cost {
    /// What all of it costs at the present price, wei.
    pub fn wei(&self) -> u128 {
        u128::from(self.gas).saturating_mul(self.price)
    }
}

/// Says what a deployment would do and what it would cost, and sends nothing.
///
/// # Errors
/// [`DeployError`], as [`super::deploy`] would find before its first transaction.
pub async fn dry_run(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
) -> Result<Estimate, DeployError> {
    check_plan(plan, senders)?;
    check::precompiles(plan.hub, &**sender(senders, plan.hub)?.client()).await?;
    check::tokens(plan, senders).await?;
    let mut creations = Vec::new();
    for shape in plan.shapes.iter().filter(|shape| shape.existing_verifier.is_none()) {
        creations.push(plan.verifier_creation(shape));
    }
    for chain in plan.chains.keys() {
        let deployer = sender(senders, *chain)?.address();
        creations.extend(plan.creations(*chain, deployer));
    }
    let (mut steps, mut gas_of) = (Vec::new(), BTreeMap::<ChainId, u64>::new());
    for (chain, what, artifact, arguments) in creations {
        let sender = sender(senders, chain)?;
        let call = Call { from: sender.address(), ..creation(artifact, &arguments)? };
        let gas = sender.client().estimate_gas(call).await;
        let gas = gas.map_err(|error| DeployError::Send {
            chain,
            what: what.clone(),
            error: error.into(),
        })?;
        add(&mut gas_of, chain, gas);
        steps.push(Step { chain, what, gas: Some(gas) });
    }
    for chain in plan.chains.keys() {
        for later in plan.later_steps(*chain) {
            add(&mut gas_of, *chain, later.gas_max());
            steps.push(Step { chain: *chain, what: later.what, gas: None });
        }
    }
    let mut costs = Vec::new();
    for (chain, gas) in gas_of {
        costs.push(cost(chain, gas, sender(senders, chain)?).await.map_err(ReadError::Client)?);
    }
    Ok(Estimate { steps, costs })
}

fn add(gas_of: &mut BTreeMap<ChainId, u64>, chain: ChainId, gas: u64) {
    let sum = gas_of.entry(chain).or_default();
    *sum = sum.saturating_add(gas);
}

async fn cost(chain: ChainId, gas: u64, sender: &Sender) -> Result<Cost, ClientError> {
    let (client, deployer) = (sender.client(), sender.address());
    let market = client.fee_market().await?;
    let price = market.base_fee.saturating_add(market.priority_fee);
    let balance = client.balance(deployer, At::Latest).await?;
    Ok(Cost { chain, gas, price, deployer, balance })
}
