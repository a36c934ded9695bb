//! What is said of money that leaves and comes: stages of withdrawals, deposits by their transactions, alarms.

use super::*;

#[test]
fn a_withdrawal_is_no_success_before_its_chain_made_the_payout() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let (alice, wallet) = alice(&served, &client).await;
        let tx = wallet.withdraw(&client, payout(HUB, alice.owner)).await.expect("an account");
        let hash = client.send(&tx).await.expect("affordable");
        let look = async || client.transaction(hash, None).await.expect("known");
        let info = look().await;
        assert_eq!((info.receipt.status, info.receipt.success), (TxStatus::Executed, None));
        assert_eq!(served.seal(&client).await, BlockNumber(1));

        let (one, none) = (BlockNumber(1), BlockNumber(0));
        let stages = [
            (TxStatus::Sealed, [none, none, none, none]),
            (TxStatus::Committed, [one, none, none, none]),
            (TxStatus::Verified, [one, one, none, none]),
            (TxStatus::Released, [one, one, one, none]),
            (TxStatus::Paid, [one, one, one, one]),
        ];
        for (status, [committed, verified, released, paid]) in stages {
            let elsewhere = [(SPOKE, one), (HUB, paid)].into();
            served.reach(|reached| {
                *reached = Reached { committed, verified, released, paid: elsewhere };
            });
            let info = look().await;
            let done = (status == TxStatus::Paid).then_some(true);
            assert_eq!((info.receipt.status, info.receipt.success), (status, done));
            let payout = info.payout.expect("it is a withdrawal");
            assert_eq!((payout.chain_id, payout.token), (HUB, USD));
            assert_eq!(Some(payout.receiver.0), alice.owner.to_evm());
            assert_eq!(payout.contract.0, network().chains[&HUB].contract);
            // Whether the receiver has the tokens only the contract knows.
            assert_eq!(payout.hint.is_some_and(|hint| hint.contains("claim(")), done.is_some());
            assert_eq!(payout.transactions.len(), usize::from(done.is_some()));
        }

        let page = client.history(HistoryKind::Withdraw, alice.owner, 0, 9).await.expect("a page");
        assert_eq!(page.page_data, [look().await], "histories and blocks say the same");
        let block = client.block(Some(one), Some(true), None).await.expect("sealed");
        assert!(block.transactions.contains(&BlockTx::Detail(Box::new(look().await))));
        let others = block.transactions.iter().filter(|tx| match tx {
            BlockTx::Detail(info) => info.payout.is_none() && info.receipt.success == Some(true),
            BlockTx::Hash(_) => false,
        });
        assert_eq!(others.count(), 2, "a deposit and a key change, which are done when executed");
    });
}

#[test]
fn the_deposits_of_a_transaction_are_found_by_its_hash() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        let l1_tx = [0xd1; 32];
        let of_one_tx = |serial: u64| {
            let owner = User::new(1).owner;
            FinalDeposit { l1_tx, ..deposit(HUB, serial, owner, 5 * UNIT) }
        };
        let find = async |hash: [u8; 32], page, size| {
            let found = client.deposits_by_l1_hash(HexBytes(hash), page, size).await;
            found.expect("a page")
        };
        assert_eq!(find(l1_tx, None, None).await.page_data, [], "nothing came yet");
        served.credit(of_one_tx(0)).await;
        served.seal(&client).await;
        served.credit(FinalDeposit { l1_tx: [1; 32], ..of_one_tx(1) }).await;
        served.credit(of_one_tx(2)).await;
        served.credit(of_one_tx(3)).await;

        // The last ones are in the open block, and reach the disk a moment later.
        let mut page = find(l1_tx, None, None).await;
        for _ in 0..1_000 {
            if page.page_data.len() == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            page = find(l1_tx, None, None).await;
        }
        let serial = |info: &zklink_client::TxInfo| match &info.tx {
            TxBody::Deposit(deposit) => {
                assert_eq!((deposit.from_chain_id, deposit.eth_hash), (HUB, HexBytes(l1_tx)));
                deposit.serial_id.0
            }
            TxBody::Signed(_) => panic!("it is a deposit"),
        };
        assert_eq!(page.page_data.iter().map(serial).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!((page.total_page_num, page.page_index, page.page_size), (1, 0, 100));
        let first = &page.page_data[0];
        assert_eq!(first.receipt.status, TxStatus::Verified);
        assert_eq!(&client.transaction(first.tx_hash, None).await.expect("known"), first);
        assert_eq!(page.page_data[2].receipt.status, TxStatus::Executed);

        let page = find(l1_tx, Some(1), Some(2)).await;
        assert_eq!(page.page_data.iter().map(serial).collect::<Vec<_>>(), [3]);
        assert_eq!(page.total_page_num, 2);
        assert_eq!(find(l1_tx, Some(u64::MAX), Some(2)).await.page_data, []);
        assert_eq!(find([2; 32], None, None).await.total_page_num, 0);
        let large = client.deposits_by_l1_hash(HexBytes(l1_tx), None, Some(101)).await;
        assert_eq!(code_of(large), code::RANGE);
    });
}

#[test]
fn alarms_are_told_as_they_stand_and_not_without_bound() {
    served(Setup::default(), async |_, served| {
        let client = served.client().await;
        assert_eq!(client.alarms().await.expect("a list"), []);
        let alarm = |chain: u8| AlarmView {
            kind: "watcher-halted".into(),
            chain: Some(chain),
            text: format!("chain {chain}: the watcher has halted"),
            since_ms: Some(1_800_000_000_000),
        };
        let node = AlarmView { kind: "disk-full".into(), chain: None, since_ms: None, ..alarm(1) };
        let told = vec![alarm(2), node];
        served.alarms.send_replace(told.clone());
        assert_eq!(client.alarms().await.expect("a list"), told);
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"getAlarms"}"#;
        let answer = served.raw(call).await;
        let (start, end) = (r#"{"kind":"watcher-halted","chain":2,"text":""#, r#""sinceMs":18"#);
        assert!(answer.contains(start) && answer.contains(end), "{answer}");
        served.alarms.send_replace((0..=200).map(alarm).collect());
        assert_eq!(client.alarms().await.expect("a list").len(), 100);
        served.alarms.send_replace(Vec::new());
        assert_eq!(client.alarms().await.expect("a list"), [], "what is mended is gone");
    });
}
