use zklink_chain::account::EthKey;
use zklink_chain::finality::Anchor;

use super::*;

const NODE: &str = r#"
data = "data"
deployment = "deployment.toml"
validator_key_file = "secrets/validator.key"

[rpc]
listen = "127.0.0.1:3030"

[chains.1]
rpc = ["http://localhost:8545"]
finality = { anchor = "finalized" }
"#;

fn parse(text: &str) -> Result<Loaded<NodeConfig>, ConfigError> {
    with_environment(text, &[])
}

fn with_environment(
    text: &str,
    variables: &[(&str, &str)],
) -> Result<Loaded<NodeConfig>, ConfigError> {
    let set = variables.iter().fold(Figment::new(), |set, (key, value)| set.merge((*key, *value)));
    Loaded::merged(Path::new("etc/node.toml"), Figment::from(Toml::string(text)), set)
}

#[test]
fn a_configuration_is_read_and_its_paths_are_beside_it() {
    let loaded = parse(NODE).unwrap();
    assert_eq!(loaded.path(&loaded.config.data), Path::new("etc/data"));
    let chains = loaded.chains(&loaded.config.chains).unwrap();
    let chain = chains[&ChainId(1)];
    let (finality, range) = loaded.reading(ChainId(1), chain).unwrap();
    assert_eq!((finality.anchor, range), (Anchor::Finalized, 1_000));
    assert_eq!(loaded.config.rpc.limits().burst, Limits::default().burst);
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_meant() {
    let cases = [
        (
            NODE.replace("listen", "lisen"),
            "etc/node.toml: unknown key \"rpc.lisen\": did you mean \"listen\"?",
        ),
        (
            NODE.replace("data =", "dta ="),
            "etc/node.toml: unknown key \"dta\": did you mean \"data\"?",
        ),
        (
            NODE.replace("finality =", "finalty ="),
            "etc/node.toml: unknown key \"chains.1.finalty\": did you mean \"finality\"?",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(parse(&text).unwrap_err().to_string(), wanted);
    }
}

#[test]
fn what_is_missing_or_out_of_range_is_named() {
    let without = NODE.replace("data = \"data\"", "");
    assert_eq!(parse(&without).unwrap_err().to_string(), "etc/node.toml: \"data\" is missing");
    let loaded = parse(&NODE.replace("[chains.1]", "[chains.64]")).unwrap();
    let error = loaded.chains(&loaded.config.chains).unwrap_err().to_string();
    assert_eq!(error, "etc/node.toml: [chains.64]: chains have numbers from 1 to 63");
    let loaded = parse(&NODE.replace("finality = { anchor = \"finalized\" }", "")).unwrap();
    let chains = loaded.chains(&loaded.config.chains).unwrap();
    let error = loaded.reading(ChainId(1), chains[&ChainId(1)]).unwrap_err().to_string();
    assert_eq!(error, "etc/node.toml: [chains.1] needs finality, or a preset of config/chains");
}

#[test]
fn what_is_left_out_of_the_terms_of_sending_has_its_default() {
    let sent = |more: &str| {
        let loaded = parse(&format!("{NODE}{more}")).unwrap();
        loaded.config.chains["1"].send.clone()
    };
    let default = SendPolicy::default();
    assert_eq!(sent("").max_fee_per_gas, default.max_fee_per_gas);
    let policy = sent("send = { max_fee_per_gas = 70_000_000_000, max_blobs = 3 }");
    assert_eq!((policy.max_fee_per_gas, policy.max_blobs), (70_000_000_000, 3));
    assert_eq!((policy.poll_ms, policy.raises), (default.poll_ms, default.raises));
    let wrong = parse(&format!("{NODE}send = {{ max_fee_per_gas = -1 }}")).unwrap_err().to_string();
    assert!(wrong.contains("chains.1.send.max_fee_per_gas"), "{wrong}");
}

#[test]
fn one_endpoint_or_two_and_nothing_else() {
    let loaded = parse(&NODE.replace("[\"http://localhost:8545\"]", "[]")).unwrap();
    let chains = loaded.chains(&loaded.config.chains).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connected = runtime.block_on(connect(&loaded, ChainId(1), chains[&ChainId(1)], 1));
    let error = connected.err().expect("there is no endpoint").to_string();
    assert_eq!(error, "etc/node.toml: [chains.1] rpc: give one address or two");
}

#[test]
fn a_preset_of_another_chain_and_one_endpoint_twice_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let preset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/chains/ethereum.toml");
    std::fs::copy(preset, folder.path().join("ethereum.toml")).unwrap();
    let refused = |from: &str, to: &str, evm_chain_id| {
        let figment = Figment::from(Toml::string(&NODE.replace(from, to)));
        let loaded: Loaded<NodeConfig> =
            Loaded::parse(&folder.path().join("node.toml"), figment).unwrap();
        let chains = loaded.chains(&loaded.config.chains).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connected = connect(&loaded, ChainId(1), chains[&ChainId(1)], evm_chain_id);
        runtime.block_on(connected).err().map(|error| error.to_string())
    };
    let preset = "preset = \"ethereum.toml\"";
    let error = refused("finality = { anchor = \"finalized\" }", preset, 31_337).unwrap();
    assert!(error.contains("EIP-155 id 1, this one has 31337"), "{error}");
    assert_eq!(refused("finality = { anchor = \"finalized\" }", preset, 1), None);
    let (one, twice) = ("[\"http://localhost:8545\"]", "[\"http://a:1\", \"http://a:1\"]");
    let error = refused(one, twice, 1).unwrap();
    assert!(error.contains("two endpoints must be two"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_may_read_is_refused_and_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let secret = "11".repeat(32);
    std::fs::write(&path, format!("0x{secret}\n")).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    for open in [0o644, 0o604, 0o642, 0o601, 0o444] {
        mode(open);
        let error = read_key(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{open:o}: {error}");
    }
    // As a secret is mounted for a service: of another user, for the service's group.
    let address = EthKey::from_hex(&secret).unwrap().address();
    for closed in [0o440, 0o640, 0o400, 0o600] {
        mode(closed);
        assert_eq!(read_key(&path).unwrap().address(), address, "{closed:o}");
    }
    mode(0o600);
    std::fs::write(&path, "not a key").unwrap();
    let error = read_key(&path).unwrap_err().to_string();
    assert!(!error.contains("not a key"), "{error}");
    std::fs::write(&path, "x".repeat(5_000)).unwrap();
    assert!(matches!(read_key(&path), Err(ConfigError::TooLong(_))));
}

#[test]
fn the_examples_of_the_repository_parse() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let figment = |name: &str| Figment::from(Toml::file_exact(folder.join(name)));
    let node: Loaded<NodeConfig> =
        Loaded::parse(&folder.join("node.toml"), figment("node.toml")).unwrap();
    let chains = node.chains(&node.config.chains).unwrap();
    for (id, chain) in chains {
        node.reading(id, chain).unwrap();
    }
    node.terms(&[TokenId(17), TokenId(32)].into()).unwrap();
    let prover: Loaded<ProverConfig> =
        Loaded::parse(&folder.join("prover.toml"), figment("prover.toml")).unwrap();
    assert_eq!(prover.provers().unwrap(), 1);
    let attester: Loaded<AttesterConfig> =
        Loaded::parse(&folder.join("attester.toml"), figment("attester.toml")).unwrap();
    for (id, chain) in attester.chains(&attester.config.chains).unwrap() {
        attester.reading(id, chain).unwrap();
    }
    let deploy: Loaded<DeployConfig> =
        Loaded::parse(&folder.join("deploy.toml"), figment("deploy.toml")).unwrap();
    assert_eq!(deploy.shapes(&deploy.config.shapes).unwrap().len(), 2);
    for chain in deploy.chains(&deploy.config.chains).unwrap().values() {
        assert!(!deploy.tokens(chain).unwrap().is_empty());
    }
}

/// Whatever is wrong with an address, the address is not in the error: it may hold a secret.
#[test]
fn no_error_shows_an_address() {
    let line = r#"rpc = ["http://localhost:8545"]"#;
    let secret = "5ec2e7";
    for wrong in [
        format!("rpc = \"https://host/{secret}\""),
        format!("rpc = [[\"https://host/{secret}\"]]"),
        format!("rpc = [\"https://host/{secret}\"],"),
        format!("rpc = [\"https://host/{secret}\""),
        format!("rpc = [\"wss:host/{secret}"),
        format!("rpc = https://host/{secret}"),
        format!("{line}\npoll_ms = \"https://host/{secret}\""),
        format!("{line}\ntolerate_outage = \"{secret}\""),
    ] {
        let text = NODE.replace(line, &wrong);
        assert_ne!(text, NODE);
        let error = parse(&text).map(|_| ()).unwrap_err().to_string();
        assert!(!error.contains(secret) && error.len() < 300, "{error}");
    }
    let error = parse(&NODE.replace(line, r#"rpc = "https://host/key""#)).unwrap_err().to_string();
    assert_eq!(error, "etc/node.toml: \"chains.1.rpc\": found a text, wanted a list: [\"...\"]");
}

#[test]
fn a_variable_of_the_environment_is_not_blamed_on_the_file() {
    let listen = |address| with_environment(NODE, &[("rpc.listen", address)]);
    let loaded = listen("127.0.0.1:1").unwrap();
    assert_eq!(loaded.config.rpc.listen.port(), 1);
    let error = with_environment(NODE, &[("rpc.lisen", "127.0.0.1:1")]).unwrap_err().to_string();
    let wanted = "the ZKLINK_… variables of the environment, which stand above etc/node.toml: \
                  ZKLINK_RPC__LISEN: unknown key \"rpc.lisen\": did you mean \"listen\"?";
    assert_eq!(error, wanted);
    let error = listen("nowhere").unwrap_err().to_string();
    assert!(error.contains("ZKLINK_RPC__LISTEN:"), "{error}");
    // A fault of the file is one of the file, whatever the environment says.
    let faulty = NODE.replace("data =", "dta =");
    let error = with_environment(&faulty, &[("rpc.listen", "127.0.0.1:1")]).unwrap_err();
    assert!(error.to_string().starts_with("etc/node.toml: unknown key"), "{error}");
}

#[test]
fn what_belongs_to_another_deployment_is_named_with_what_is_expected() {
    let loaded = parse(NODE).unwrap();
    let error = loaded.deployment(Path::new("deployment.toml")).unwrap_err().to_string();
    assert!(error.contains("etc/node.toml: deployment deployment.toml"), "{error}");
    assert!(error.contains("zklink deploy writes this file"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "11".repeat(32)).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let address = EthKey::from_hex(&"11".repeat(32)).unwrap().address();
    let key = |known: &[Address]| loaded.key_of("validator", &path, known);
    assert_eq!(key(&[[7; 20], address]).unwrap().address(), address);
    let error = key(&[[7; 20]]).unwrap_err().to_string();
    for part in [hex0x(&address), hex0x(&[7; 20])] {
        assert!(error.contains(&part), "{error}");
    }
    assert!(!error.contains(&"11".repeat(32)), "{error}");
}

/// Whoever follows the examples deploys with one and starts a node with the other.
#[test]
fn the_examples_of_a_deployment_and_of_a_node_belong_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let figment = |name: &str| Figment::from(Toml::file_exact(folder.join(name)));
    let of = |name: &str| (folder.join(name), figment(name));
    let (path, text) = of("node.toml");
    let node: Loaded<NodeConfig> = Loaded::parse(&path, text).unwrap();
    let (path, text) = of("deploy.toml");
    let deploy: Loaded<DeployConfig> = Loaded::parse(&path, text).unwrap();
    let (path, text) = of("attester.toml");
    let attester: Loaded<AttesterConfig> = Loaded::parse(&path, text).unwrap();
    let chains = deploy.chains(&deploy.config.chains).unwrap();
    let mut tokens = std::collections::BTreeSet::new();
    for (id, chain) in &chains {
        tokens.extend(deploy.tokens(chain).unwrap().into_keys());
        for others in [&node.config.chains, &attester.config.chains] {
            assert_eq!(chain.rpc, others[&id.to_string()].rpc, "chain {id}");
        }
    }
    for others in [&node.config.chains, &attester.config.chains] {
        assert_eq!(others.len(), chains.len());
    }
    node.terms(&tokens).unwrap();
    assert_eq!(node.config.deployment, deploy.config.output);
    assert_eq!(node.config.keys, deploy.config.keys);
}
