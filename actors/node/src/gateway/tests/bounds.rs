//! Hostile and heavy callers.

use jsonrpsee::core::client::{ClientT, Error};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::rpc_params;
use zklink::id::Nonce;
use zklink::reject::Reject;

use super::*;

#[test]
fn what_is_not_json_rpc_is_refused() {
    served(Setup::default(), async |_, served| {
        assert!(served.raw(b"{nonsense").await.contains("-32700"));
        assert!(served.raw(b"[]").await.contains("-32600"));
        assert!(served.raw(br#"{"jsonrpc":"2.0","id":1,"method":1}"#).await.contains("-32600"));
        let unknown = br#"{"jsonrpc":"2.0","id":1,"method":"getMoney"}"#;
        assert!(served.raw(unknown).await.contains("-32601"));
        for params in [
            r#"[]"#,
            r#"["0x12"]"#,
            r#"[-1]"#,
            r#"{"account":{"id":1}}"#,
            r#"[18446744073709551616]"#,
        ] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"getAccount","params":{params}}}"#);
            let answer = served.raw(body.as_bytes()).await;
            assert!(answer.contains("-32602"), "{params}: {answer}");
        }
        let tx = br#"{"jsonrpc":"2.0","id":1,"method":"sendTransaction",
            "params":[{"type":"Transfer","accountId":2}]}"#;
        let answer = served.raw(tx).await;
        assert!(answer.contains("-32602") && answer.contains("missing field"), "{answer}");
        let named = br#"{"jsonrpc":"2.0","id":1,"method":"getTokenReserve",
            "params":{"tokenId":1,"mapping":false}}"#;
        assert!(served.raw(named).await.contains(r#""result":{"1":"0","2":"0"}"#));
    });
}

#[test]
fn parameters_that_a_method_does_not_have_are_refused() {
    served(Setup::default(), async |_, served| {
        let asked = async |method: &str, params: &str| {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            served.raw(body.as_bytes()).await
        };
        let answer = asked("getTokenReserve", r#"{"tokenId":1,"maping":false}"#).await;
        assert!(
            answer.contains("-32602") && answer.contains(r#"did you mean \"mapping\"?"#),
            "{answer}"
        );
        assert!(
            answer.contains("the parameters of getTokenReserve are tokenId, mapping"),
            "{answer}"
        );
        let answer = asked("getTokenReserve", "[1,false,null]").await;
        assert!(
            answer.contains("-32602") && answer.contains("3 parameters are too many"),
            "{answer}"
        );
        let answer = asked("getChangePubkeyChainId", r#"{"chain":1}"#).await;
        assert!(answer.contains("-32602") && answer.contains("takes no parameters"), "{answer}");
        let answer = asked("getTokenReserve", &format!(r#"{{"{}":1}}"#, "x".repeat(5_000))).await;
        assert!(answer.contains("-32602") && answer.len() < 1_000, "{answer}");
        // In a batch the others are answered.
        let batch = br#"[{"jsonrpc":"2.0","id":1,"method":"getChangePubkeyChainId","params":[]},
            {"jsonrpc":"2.0","id":2,"method":"getChangePubkeyChainId","params":[1]}]"#;
        let answer = served.raw(batch).await;
        assert!(answer.contains(r#""result":1"#) && answer.contains("too many"), "{answer}");
        for good in ["[]", "{}", "null"] {
            let answer = asked("getChangePubkeyChainId", good).await;
            assert!(answer.contains(r#""result":1"#), "{good}: {answer}");
        }
    });
}

/// They are checked together, and each counts for itself.
#[test]
fn wrong_signatures_are_nothing_to_the_right_one_among_them() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (user, wallet) = alice(&served, &client).await;
        let bob = User::new(2).owner;
        let right = wallet.transfer(&client, payment(bob, 1)).await.expect("an account");
        let mut wrong = Vec::new();
        for units in 2..40 {
            let mut tx = wallet.transfer(&client, payment(bob, units)).await.expect("an account");
            tx.signature.signature.s[0] ^= 1;
            wrong.push(tx);
        }
        let sent = wrong.iter().take(20).chain([&right]).chain(wrong.iter().skip(20));
        let answers = futures_util::future::join_all(sent.map(|tx| client.send(tx))).await;
        for (place, answer) in answers.into_iter().enumerate() {
            if place == 20 {
                answer.expect("its signature is right");
                continue;
            }
            // The right one may have been executed before this one was looked at.
            let nonce = Reject::Nonce { expected: Nonce(1), found: Nonce(0) }.code();
            let code = code_of(answer);
            assert!([Reject::Signature.code(), nonce].contains(&code), "{place}: {code}");
        }
        let view = served.view.read();
        let account = view.state.account_of(bob).expect("it was paid");
        assert_eq!(view.state.balance(account, SubAccountId(0), USD), Amount(UNIT));
        drop((view, user));
    });
}

/// Before it reaches the builder, and with what else is wrong first, as there.
#[test]
fn a_wrong_signature_is_refused() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (user, wallet) = alice(&served, &client).await;
        let right = wallet.transfer(&client, payment(user.owner, 1)).await.expect("an account");
        let mut wrong = right.clone();
        wrong.signature.signature.s[0] ^= 1;
        assert_eq!(code_of(client.send(&wrong).await), Reject::Signature.code());
        let Tx::Transfer(transfer) = &mut wrong.tx else { panic!("it is a transfer") };
        transfer.nonce = Nonce(9);
        let nonce = Reject::Nonce { expected: Nonce(0), found: Nonce(9) };
        assert_eq!(code_of(client.send(&wrong).await), nonce.code());
        let hash = client.send(&right).await.expect("it is right");
        // The signature is no part of what a transaction is.
        let mut again = right.clone();
        again.signature.signature.s[0] ^= 1;
        assert_eq!(client.send(&again).await.expect("it was executed"), hash);
    });
}

#[test]
fn what_is_too_large_is_refused() {
    let limits =
        Limits { request_bytes_max: 2_000, batch_max: 3, calls_per_second: 0, ..Limits::default() };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let answer = served.raw(&vec![b' '; 4_000]).await;
        assert!(answer.starts_with("HTTP/1.1 413") || answer.contains("-32007"), "{answer}");
        let client = served.client().await;
        let batch = |size: usize| {
            let mut batch = BatchRequestBuilder::new();
            for _ in 0..size {
                batch.insert("getChangePubkeyChainId", rpc_params![]).expect("no parameters");
            }
            batch
        };
        let answers = client.batch_request::<ChainId>(batch(3)).await.expect("within the limit");
        assert!(answers.into_ok().expect("all answered").all(|chain| chain == HUB));
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"getChangePubkeyChainId"}"#;
        let answer = served.raw(format!("[{call},{call},{call},{call}]").as_bytes()).await;
        assert!(answer.contains("-32010"), "{answer}");
    });
}

#[test]
fn who_calls_too_often_is_told_when_to_come_back() {
    let limits = Limits { burst: 5, calls_per_second: 1, ..Limits::default() };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let address = format!("ws://{}", served.gateway.address());
        let client = Client::connect(&address).await.expect("it serves");
        for _ in 0..5 {
            client.change_pub_key_chain().await.expect("within the burst");
        }
        let refused = client.change_pub_key_chain().await.map_err(ClientError::from);
        match refused {
            Err(ClientError::Rpc { code: code::LIMIT, retry_after_ms: Some(wait), .. }) => {
                assert!(wait <= 1_000, "{wait}");
                tokio::time::sleep(Duration::from_millis(wait + 50)).await;
            }
            other => panic!("{other:?}"),
        }
        client.change_pub_key_chain().await.expect("waited as told");
        let mut batch = BatchRequestBuilder::new();
        for _ in 0..3 {
            batch.insert("getChangePubkeyChainId", rpc_params![]).expect("no parameters");
        }
        let answers = client.batch_request::<ChainId>(batch).await.expect("an answer");
        let errors = answers.into_ok().expect_err("all refused");
        assert!(errors.into_iter().all(|error| error.code() == code::LIMIT));
        let other = Client::connect(&address).await.expect("it serves");
        other.change_pub_key_chain().await.expect("another connection has its own bucket");
    });
}

#[test]
fn many_clients_at_once_are_all_served() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (alice, _) = alice(&served, &client).await;
        let mut tasks = Vec::new();
        for number in 0..100u32 {
            let scheme = if number % 2 == 0 { "http" } else { "ws" };
            let address = format!("{scheme}://{}", served.gateway.address());
            let tx = alice.transfer(AccountId(2), number % 10, User::new(2).owner, UNIT);
            tasks.push(tokio::spawn(async move {
                let client = Client::connect(&address).await?;
                match client.send(&tx).await {
                    Err(error) if error.code() == Some(205) => {}
                    answer => drop(answer?),
                }
                Ok::<_, ClientError>(client.balances(AccountId(2), None).await?)
            }));
        }
        for task in tasks {
            task.await.expect("no panic").expect("an answer");
        }
        let account = client.account(alice.owner.into()).await.expect("an account");
        assert!(account.sub_account_nonces[&SubAccountId(0)].0 >= 1);
    });
}

#[test]
fn an_overloaded_node_says_so_and_reads_go_on() {
    let config = crate::builder::Config { waiting_max: 0, ..Default::default() };
    served(Setup { config, ..Setup::default() }, async |_, served| {
        let client = served.client().await;
        let tx = User::new(1).transfer(AccountId(2), 0, User::new(2).owner, UNIT);
        match client.send(&tx).await {
            Err(ClientError::Rpc { code: code::LIMIT, retry_after_ms: Some(_), .. }) => {}
            other => panic!("{other:?}"),
        }
        client.network().await.expect("reads do not need the builder");
    });
}

#[test]
fn a_node_that_is_ahead_of_its_hub_says_so() {
    let pace = Some(crate::builder::PaceLimits { unproven_max: 1, ..Default::default() });
    let config = crate::builder::Config { pace, ..Default::default() };
    served(Setup { config, ..Setup::default() }, async |_, served| {
        let client = served.client().await;
        let tx = User::new(1).transfer(AccountId(2), 0, User::new(2).owner, UNIT);
        assert_eq!(code_of(client.send(&tx).await), code::UNAVAILABLE, "the hub is unknown");
        let hub = HubProgress {
            committed: BlockNumber(0),
            proven: BlockNumber(0),
            time: 1_800_000_000,
            oldest: None,
        };
        served.hub.tell(hub).expect("room");
        let (alice, _) = alice(&served, &client).await;
        assert_eq!(served.seal(&client).await, BlockNumber(1));
        let tx = alice.transfer(AccountId(2), 0, User::new(2).owner, UNIT);
        match client.send(&tx).await {
            Err(ClientError::Rpc { code: code::LIMIT, retry_after_ms: Some(15_000), .. }) => {}
            other => panic!("{other:?}"),
        }
        served
            .hub
            .tell(HubProgress { committed: BlockNumber(0), proven: BlockNumber(1), ..hub })
            .expect("room");
        client.send(&tx).await.expect("the hub has caught up");
    });
}

#[test]
fn a_stopped_builder_is_unavailable_and_a_stopped_gateway_is_gone() {
    served(Setup::default(), async |host, served| {
        let client = served.client().await;
        let (alice, _) = alice(&served, &client).await;
        host.stop("builder", WAIT).await.expect("it stops");
        let tx = alice.transfer(AccountId(2), 0, User::new(2).owner, UNIT);
        assert_eq!(code_of(client.send(&tx).await), code::UNAVAILABLE);
        client.account(alice.owner.into()).await.expect("reads go on");
        let address = served.http();
        served.gateway.stop(WAIT).await;
        let gone = Client::connect(&address).await.expect("lazy").network().await;
        assert!(matches!(gone, Err(Error::Transport(_))), "{gone:?}");
    });
}
