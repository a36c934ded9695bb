use super::*;
use crate::client::ChainClient;
use crate::testing::{
    Asked, HUB, Reply, SPOKE, Testnet, USD, dev_chain, endpoint, key, lying_proxy, plan, quick,
    scripted_proxy, shape_plan,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

fn senders(clients: [(ChainId, Arc<dyn ChainClient>, u64); 2]) -> BTreeMap<ChainId, Sender> {
    let sender = |(id, client, evm)| (id, Sender::new(client, key("deployer"), evm, quick()));
    clients.into_iter().map(sender).collect()
}

/// Clients that nobody is behind.
fn nowhere(evm_hub: u64) -> BTreeMap<ChainId, Sender> {
    let client = endpoint("http://127.0.0.1:9");
    senders([(HUB, client.clone(), evm_hub), (SPOKE, client, 9002)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_stands_as_planned_and_survives_its_file() {
    let net = Testnet::start(1, &shape_plan(3, 20, 30)).await;
    let text = net.deployment.to_toml();
    assert_eq!(Deployment::parse(&text).unwrap(), net.deployment, "{text}");
    let network = net.deployment.network();
    assert_eq!(network.chains[&HUB].contract, net.rollup(HUB));
    let (hub, besides) = net.deployment.hub_contracts();
    for address in [hub.key_recorder, hub.oracle, besides.contract, besides.local_route] {
        let owner = zklink::id::Owner::from_evm(address);
        assert!(network.chains[&HUB].reserved.contains(&owner), "{owner}");
        assert!(network.check_owner(owner).is_err() && network.check_payee(HUB, owner).is_err());
    }
    assert_eq!(network.tokens[&USD].chains[&HUB].decimals, 6);
    assert_eq!(network.tokens[&USD].chains[&SPOKE].decimals, 18);

    // A deployment file with one wrong figure is noticed.
    let clients = [(HUB, 9001), (SPOKE, 9002)].map(|(id, evm)| (id, net.clients[&id].clone(), evm));
    let readers = senders(clients);
    let mut wrong = net.deployment.clone();
    wrong.genesis_root[0] ^= 1;
    let error = verify(&wrong, &readers).await.unwrap_err().to_string();
    assert_eq!(error, "chain 1: the genesis root is not what the deployment says");
    let mut wrong = net.deployment.clone();
    wrong.chains[1].tokens[0].decimals = 17;
    let error = verify(&wrong, &readers).await.unwrap_err().to_string();
    assert_eq!(error, "chain 2: token 1 is not what the deployment says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_estimates_and_sends_nothing() {
    let (hub, spoke) = (dev_chain(9001, 1).await, dev_chain(9002, 1).await);
    let clients = [(HUB, &hub, 9001), (SPOKE, &spoke, 9002)];
    let senders = senders(clients.map(|(id, chain, evm)| (id, endpoint(&chain.http_url()), evm)));
    let plan = plan(&shape_plan(1, 20, 30));
    let Estimate { steps, costs } = dry_run(&plan, &senders).await.unwrap();
    let created: Vec<&Step> = steps.iter().filter(|step| step.gas.is_some()).collect();
    assert_eq!(created.len(), 6, "verifier, hub, and rollup and token on two chains");
    assert!(created.iter().all(|step| step.gas > Some(400_000)), "{created:?}");
    assert!(steps.iter().any(|step| step.what == "register shape 1"));
    assert_eq!((hub.latest().unwrap(), spoke.latest().unwrap()), (0, 0));

    // What it says of the costs holds: all of it is paid for, and no step that it could not try takes more.
    let mut used = BTreeMap::<ChainId, u64>::new();
    let later: BTreeMap<(ChainId, String), u64> = plan
        .chains
        .keys()
        .flat_map(|id| plan.later_steps(*id).into_iter().map(|later| (*id, later)))
        .map(|(id, later)| ((id, later.what.clone()), later.gas_max()))
        .collect();
    let mut most = (0, 0);
    deploy(&plan, &senders, &mut |Step { chain, what, gas }| {
        let gas = gas.unwrap();
        *used.entry(chain).or_default() += gas;
        if let Some(max) = later.get(&(chain, what.clone())) {
            assert!(gas <= *max, "chain {chain}, {what}: {gas}");
            let most = if *max < 1_000_000 { &mut most.0 } else { &mut most.1 };
            *most = gas.max(*most);
        }
    })
    .await
    .unwrap();
    assert!(most.0 > 50_000 && most.1 > 500_000, "the bounds are not far above it: {most:?}");
    for cost in costs {
        let used = used[&cost.chain];
        assert!(used <= cost.gas && cost.gas <= 2 * used, "{cost:?}, {used}");
        assert!(cost.price > 0 && cost.wei() < cost.balance, "{cost:?}");
        assert_eq!(cost.deployer, key("deployer").address());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_another_one_is_found_before_anything_is_paid_for() {
    let net = Testnet::start(1, &shape_plan(3, 20, 30)).await;
    let clients = [(HUB, 9001), (SPOKE, 9002)].map(|(id, evm)| (id, net.clients[&id].clone(), evm));
    let senders = senders(clients);
    let tokens = &net.deployment.chain(HUB).unwrap().tokens;
    let address = tokens.iter().find(|token| token.id == USD).unwrap().address;
    let fault = |address, decimals| {
        let mut plan = plan(&shape_plan(1, 20, 30));
        let token = plan.chains.get_mut(&HUB).unwrap().tokens.get_mut(&USD).unwrap();
        (token.source, token.decimals) = (TokenSource::Existing(address), decimals);
        let senders = &senders;
        async move {
            let nonces = || async { senders[&HUB].client().nonce(senders[&HUB].address()).await };
            let before = nonces().await.unwrap();
            let fault = |error| match error {
                DeployError::Token { fault, .. } => fault,
                other => panic!("{other}"),
            };
            let found = fault(dry_run(&plan, senders).await.err()?);
            let sent = deploy(&plan, senders, &mut |_| {}).await.unwrap_err();
            assert_eq!((fault(sent), nonces().await.unwrap()), (found, before), "nothing was sent");
            Some(found)
        }
    };
    assert_eq!(fault(address, 6).await, None);
    let wrong = TokenFault::Decimals { said: 18, own: 6 };
    assert_eq!(fault(address, 18).await, Some(wrong));
    assert_eq!(fault([0xaa; 20], 6).await, Some(TokenFault::NoContract));
    // A contract that says nothing of decimals is a token for all that the rollup knows.
    let silent = net.deployment.chain(HUB).unwrap().key_recorder;
    assert_eq!(fault(silent, 6).await, None);
}

#[tokio::test]
async fn what_is_for_development_never_touches_a_chain_with_real_money() {
    let mut plan = plan(&shape_plan(1, 20, 30));
    plan.chains.get_mut(&HUB).unwrap().evm_chain_id = 1;
    let refused = |plan: Plan| async move {
        match dry_run(&plan, &nowhere(1)).await.unwrap_err() {
            DeployError::Unsafe(reason) => reason,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(plan.clone()).await, Unsafe::DevProvingKeys(1));
    plan.dev_proving_keys = false;
    assert_eq!(refused(plan.clone()).await, Unsafe::DevToken(1));
    for chain in plan.chains.values_mut() {
        chain.tokens.get_mut(&USD).unwrap().source = TokenSource::Existing([9; 20]);
    }
    let known = "70997970c51812dc3a010c7d01b50e0d17dc79c8";
    hex::decode_to_slice(known, &mut plan.attesters[1]).unwrap();
    let reason = refused(plan.clone()).await;
    assert!(reason.to_string().contains("must not be an attester where chain 1"), "{reason}");
    plan.attesters[1] = [8; 20];
    plan.dev_addresses = vec![plan.validator];
    assert!(matches!(refused(plan.clone()).await, Unsafe::KnownKey { role: "the validator", .. }));
    // Without any of it the plan goes on, to the chain that is not there.
    plan.dev_addresses.clear();
    let error = dry_run(&plan, &nowhere(1)).await.unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:9 does not answer"), "{error}");
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_refused() {
    let good = plan(&shape_plan(1, 20, 30));
    let reason = |change: fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        async move {
            match dry_run(&plan, &nowhere(9001)).await.unwrap_err() {
                DeployError::Plan(reason) => reason,
                other => panic!("{other}"),
            }
        }
    };
    assert_eq!(reason(|plan| plan.hub = ChainId(5)).await, "the hub is not among the chains");
    assert_eq!(reason(|plan| plan.shapes.clear()).await, "there is no shape");
    assert_eq!(
        reason(|plan| plan.threshold = 4).await,
        "the threshold must be between one and the number of attesters"
    );
    assert_eq!(reason(|plan| plan.deployment.0 = [0; 31]).await, "the deployment id is zero");
    assert_eq!(
        reason(|plan| plan.chains.get_mut(&SPOKE).unwrap().evm_chain_id = 77).await,
        "a connection is to another chain than the plan says"
    );
}

#[test]
fn a_deployment_file_that_contradicts_itself_is_refused() {
    let mut deployment = Deployment::begin(&plan(&shape_plan(1, 20, 30)));
    assert!(matches!(
        Deployment::parse(&deployment.to_toml()),
        Err(FileError::Contradiction("the hub is missing"))
    ));
    deployment.version = 1;
    assert!(matches!(Deployment::parse(&deployment.to_toml()), Err(FileError::Version(1))));
    assert!(matches!(Deployment::parse("nonsense = 1"), Err(FileError::Parse(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_the_precompiles_is_refused_before_anything_is_sent() {
    let chain = dev_chain(9001, 1).await;
    // Twice the generator, as a chain with EIP-2537 answers; others answer nothing, with success.
    let two = bls12_381::G1Affine::from(bls12_381::G1Projective::generator().double());
    let raw = two.to_uncompressed();
    let padding = "0".repeat(32);
    let (x, y) = (hex::encode(&raw[..48]), hex::encode(&raw[48..]));
    let lie = (format!("{padding}{x}{padding}{y}"), String::new());
    let client = endpoint(&lying_proxy(chain.http_url(), vec![lie]).await);
    let senders = senders([(HUB, client.clone(), 9001), (SPOKE, client, 9002)]);
    let plan = plan(&shape_plan(1, 20, 30));
    let error = deploy(&plan, &senders, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, DeployError::NoPrecompiles(HUB)), "{error}");
    assert_eq!(chain.latest().unwrap(), 0);
}

/// Asks again every few milliseconds, for a short while.
fn briefly() -> Patience {
    let pause = Duration::from_millis(5);
    Patience { first_pause: pause, longest_pause: pause, bound: Duration::from_secs(3) }
}

/// Two chains, the hub behind a script, and what the deployment of [`plan`] makes of them.
struct Ground {
    hub: zklink_devnet::DevChainHandle,
    spoke: zklink_devnet::DevChainHandle,
    senders: BTreeMap<ChainId, Sender>,
    plan: Plan,
    progress: Progress,
}

impl Ground {
    async fn new(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Ground {
        let (hub, spoke) = (dev_chain(9001, 1).await, dev_chain(9002, 1).await);
        let behind = endpoint(&scripted_proxy(hub.http_url(), script).await);
        let clients = [(HUB, behind, 9001), (SPOKE, endpoint(&spoke.http_url()), 9002)];
        let plan = plan(&shape_plan(1, 20, 30));
        let progress = Progress::begin(plan.deployment);
        Ground { hub, spoke, senders: senders(clients), plan, progress }
    }

    async fn go(&mut self) -> Result<Deployment, DeployError> {
        let mut last = self.progress.clone();
        let mut record = |_: Step, progress: &Progress| {
            last = progress.clone();
            Ok(())
        };
        let begun = self.progress.clone();
        let done = resume(&self.plan, &self.senders, begun, briefly(), &mut record).await;
        self.progress = last;
        done
    }

    /// How many transactions the deployer has sent on both chains.
    async fn transactions(&self) -> u64 {
        let mut count = 0;
        for chain in [&self.hub, &self.spoke] {
            count += endpoint(&chain.http_url()).nonce(key("deployer").address()).await.unwrap();
        }
        count
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_fail_now_and_then_do_not_end_a_deployment() {
    let mut ground = Ground::new(|asked| match asked.count % 4 {
        1 => Reply::Status(502, "<html>bad gateway</html>".to_owned()),
        2 if asked.is("eth_getTransactionReceipt") => Reply::Result(serde_json::Value::Null),
        2 => Reply::error(-32005, "limit exceeded"),
        _ => Reply::Pass,
    })
    .await;
    let deployment = ground.go().await.unwrap();
    assert_eq!(deployment.chains.len(), 2);
    assert_eq!(ground.transactions().await, ground.progress.steps.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_check_waits_for_a_server_that_is_behind() {
    // The first question to a contract is that for the precompile; those after it come at the end.
    let behind = |asked: &Asked| match asked.is("eth_call") && (2..12).contains(&asked.count) {
        true => Reply::Result("0x".into()),
        false => Reply::Pass,
    };
    Ground::new(behind).await.go().await.unwrap();
    // One that stays behind is named as what it is.
    let mut ground = Ground::new(|asked| match asked.is("eth_call") && asked.count > 1 {
        true => Reply::Result("0x".into()),
        false => Reply::Pass,
    })
    .await;
    let error = ground.go().await.unwrap_err();
    assert!(matches!(error, DeployError::Unconfirmed(_)), "{error}");
    assert!(error.to_string().contains("nothing is deployed twice"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_stopped_goes_on_where_it_was() {
    let whole = {
        let mut ground = Ground::new(|_| Reply::Pass).await;
        ground.go().await.unwrap();
        ground.progress.steps.len() as u64
    };
    // From the eighth transaction of the hub on nothing is answered, until it is mended.
    let mended = Arc::new(AtomicU64::new(0));
    let of_script = Arc::clone(&mended);
    let dead = AtomicU64::new(0);
    let mut ground = Ground::new(move |asked| {
        if asked.is("eth_sendRawTransaction") && asked.count >= 8 {
            dead.store(1, SeqCst);
        }
        let out = dead.load(SeqCst) == 1 && of_script.load(SeqCst) == 0;
        if out { Reply::Status(503, String::new()) } else { Reply::Pass }
    })
    .await;
    let error = ground.go().await.unwrap_err();
    assert!(matches!(error, DeployError::Send { chain: HUB, .. }), "{error}");
    assert!(ground.progress.steps.len() >= 7);
    mended.store(1, SeqCst);
    // As it is read from its file, and without the last call, as if the program had ended before it was written down.
    let folder = std::env::temp_dir().join(format!("zklink-begun-{}", std::process::id()));
    ground.progress.write(&folder).unwrap();
    assert_eq!(Progress::read(&folder).unwrap().as_ref(), Some(&ground.progress));
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(Progress::read(&folder).unwrap(), None);

    let deployment = ground.go().await.unwrap();
    assert_eq!(ground.transactions().await, whole, "nothing is deployed twice");
    verify(&deployment, &ground.senders).await.unwrap();
    // Every last call may be mined without a record of it.
    let done = ground.progress.clone();
    for chain in [HUB, SPOKE] {
        let mut steps = done.steps.clone();
        let last = steps.iter().rposition(|made| made.chain == chain).unwrap();
        steps.remove(last);
        ground.progress.steps = steps;
        assert_eq!(ground.go().await.unwrap(), deployment);
        assert_eq!(ground.transactions().await, whole);
    }
    // What was begun of another plan is not mixed with this one.
    ground.plan.attesters.pop();
    let error = ground.go().await.unwrap_err();
    assert!(matches!(error, DeployError::NotOfThisPlan { chain: HUB, .. }), "{error}");
}
