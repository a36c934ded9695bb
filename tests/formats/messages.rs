//! What is signed, on both layers.

use zklink::amount::{Amount, Fee};
use zklink::fixtures::{COIN, ONE, Scenario, USDC, network};
use zklink::hash::{Domain, Fr, compress4, fr_to_be_bytes};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use zklink::layout::low_word;
use zklink::state::DeploymentId;
use zklink::tx::{ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, TxHash, WithdrawTx, keccak};

const DEPLOYMENT: DeploymentId = DeploymentId([0xd1; 31]);

fn receiver() -> Owner {
    Owner { home: ChainId(3), address: std::array::from_fn(|at| 0xa0 + at as u8) }
}

fn transfer() -> TransferTx {
    TransferTx {
        account_id: AccountId(0x010203),
        from_sub_account_id: SubAccountId(4),
        to: receiver(),
        to_sub_account_id: SubAccountId(5),
        token: USDC,
        amount: Amount(u128::MAX - 7),
        // Signed in the form with the smallest exponent, here zero.
        fee: Fee(7 << 5 | 2),
        nonce: Nonce(0x0708090a),
        key_version: KeyVersion(0x0b0c0d0e),
    }
}

fn withdraw() -> WithdrawTx {
    WithdrawTx {
        to_chain_id: ChainId(1),
        account_id: AccountId(0x010203),
        sub_account_id: SubAccountId(4),
        to: Owner::from_evm([0xee; 20]),
        token: USDC,
        amount: Amount(123 * 10u128.pow(12)),
        max_fee: Fee(9 << 5),
        nonce: Nonce(11),
        key_version: KeyVersion(12),
    }
}

fn change() -> ChangePubKeyTx {
    ChangePubKeyTx {
        chain_id: ChainId(2),
        account_id: AccountId(0x010203),
        sub_account_id: SubAccountId(4),
        new_pub_key: Scenario::key(5).public(),
        fee_token: COIN,
        fee: Fee(9 << 5),
        nonce: Nonce(13),
        key_version: KeyVersion(14),
        eth_auth_data: KeyAuth::EthEcdsa { signature: [0x1b; 65] },
    }
}

/// `type1 account3 sub1 token2 fee2 nonce4 key_version4 chain1 scale1 to_sub1 to_home1 to_top1`, from the top of 31
/// bytes.
fn header(fields: [u64; 12]) -> Fr {
    let widths = [1, 3, 1, 2, 2, 4, 4, 1, 1, 1, 1, 1];
    let mut bytes = [0; 32];
    let mut at = 1;
    for (value, width) in fields.into_iter().zip(widths) {
        bytes[at..at + width].copy_from_slice(&value.to_be_bytes()[8 - width..]);
        at += width;
    }
    zklink::hash::fr_from_be_bytes(bytes).expect("the test gives a right value")
}

fn message(header: Fr, third: Fr, fourth: Fr) -> Fr {
    compress4(Domain::Message, [low_word(DEPLOYMENT.0), header, third, fourth])
}

fn amount(of: Amount) -> Fr {
    Fr::from_raw([of.0 as u64, (of.0 >> 64) as u64, 0, 0])
}

#[test]
fn messages_are_what_their_description_says() {
    let network = network();
    let of = |tx: Tx| tx.message(DEPLOYMENT, &network).expect("its fields are in range");
    let tx = transfer();
    let fields = [4, 0x010203, 4, 17, 700 << 5, 0x0708090a, 0x0b0c0d0e, 0, 0, 5, 3, 0xa0];
    let low = low_word(tx.to.address[1..].try_into().expect("the test gives a right value"));
    assert_eq!(of(Tx::Transfer(tx.clone())), message(header(fields), amount(tx.amount), low));
    // To more than an EVM address holds: nobody can be paid so, but the message has a place for it.
    let tx = WithdrawTx { to: receiver(), ..withdraw() };
    let fields = [3, 0x010203, 4, 17, 9 << 5, 11, 12, 1, 12, 0, 3, 0xa0];
    let low = low_word(tx.to.address[1..].try_into().expect("the test gives a right value"));
    assert_eq!(of(Tx::Withdraw(tx)), message(header(fields), amount(Amount(123)), low));
    let tx = change();
    let fields = [6, 0x010203, 4, 32, 9 << 5, 13, 14, 2, 0, 0, 0, 0];
    let key = tx.new_pub_key;
    assert_eq!(of(Tx::ChangePubKey(tx)), message(header(fields), key.x(), key.y()));
}

#[test]
fn a_transaction_is_known_by_the_hash_of_its_message() {
    let network = network();
    let tx = Tx::Transfer(transfer());
    let message = tx.message(DEPLOYMENT, &network).expect("its fields are in range");
    let hash = tx.hash(DEPLOYMENT, &network).expect("its fields are in range");
    assert_eq!(hash, TxHash(keccak(&[&fr_to_be_bytes(message)])));
    let text = format!("0x{}", hex::encode(hash.0));
    assert_eq!((hash.to_string(), format!("{hash:?}")), (text.clone(), text));
}

#[test]
fn the_owner_signs_key_account_and_nonce_for_one_contract() {
    let network = network();
    let chain = network.chain(ChainId(2)).expect("it is connected");
    let tx = change();
    let word = |bytes: &[u8]| {
        let mut word = vec![0; 32 - bytes.len()];
        word.extend(bytes);
        word
    };
    let domain = [
        keccak(&[
            b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)",
        ])
        .to_vec(),
        keccak(&[b"zkLink"]).to_vec(),
        keccak(&[b"1"]).to_vec(),
        word(&90_002u32.to_be_bytes()),
        word(&[0xc2; 20]),
    ]
    .concat();
    let key = [
        keccak(&[b"ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)"])
            .to_vec(),
        fr_to_be_bytes(tx.new_pub_key.x()).to_vec(),
        fr_to_be_bytes(tx.new_pub_key.y()).to_vec(),
        word(&[1, 2, 3]),
        word(&[13]),
    ]
    .concat();
    let digest = keccak(&[&[0x19, 0x01], &keccak(&[&domain]), &keccak(&[&key])]);
    assert_eq!(tx.eth_digest(chain), digest);
}

#[test]
fn transactions_travel_as_json() {
    let network = network();
    let txs = [
        Tx::Transfer(TransferTx { fee: Fee(7 << 5), ..transfer() }),
        Tx::Withdraw(withdraw()),
        Tx::ChangePubKey(change()),
        Tx::ChangePubKey(ChangePubKeyTx { eth_auth_data: KeyAuth::Onchain, ..change() }),
    ];
    for tx in txs {
        let signed = tx.sign(&Scenario::key(1), DEPLOYMENT, &network).expect("it is in range");
        let text = serde_json::to_string(&signed).expect("it has a form");
        assert_eq!(serde_json::from_str::<SignedTx>(&text).expect("it was just written"), signed);
    }
    let mut change = serde_json::to_value(Tx::ChangePubKey(change())).expect("it has a form");
    let signature = format!("0x{}", "1b".repeat(65));
    assert_eq!(change["ethAuthData"]["ethSignature"], serde_json::json!(signature));
    for wrong in [&signature[..130], &format!("{signature}00"), "0xzz"] {
        change["ethAuthData"]["ethSignature"] = serde_json::json!(wrong);
        assert!(serde_json::from_value::<Tx>(change.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn the_contract_is_given_the_signature_that_it_does_not_know() {
    assert_eq!(KeyAuth::Onchain.witness(), Vec::<u8>::new());
    assert_eq!(KeyAuth::EthEcdsa { signature: [7; 65] }.witness(), [7; 65]);
}

#[test]
fn a_transaction_pays_its_fee_in_its_token() {
    assert_eq!(Tx::Transfer(transfer()).fee(), (USDC, transfer().fee));
    assert_eq!(Tx::Withdraw(withdraw()).fee(), (USDC, withdraw().max_fee));
    assert_eq!(Tx::ChangePubKey(change()).fee(), (COIN, change().fee));
    assert_eq!(Fee::closest(Amount(ONE)).amount(), Amount(ONE));
}
