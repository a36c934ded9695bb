//! Stored and sent forms of the small values.

use serde::{Deserialize, Serialize};
use zklink::amount::{Amount, Fee};
use zklink::fixtures::{Scenario, USDC, network};
use zklink::hash::{Fr, fr_to_be_bytes};
use zklink::id::{
    AccountId, BlockNumber, ChainId, KeyVersion, Nonce, Owner, Serial, SlotId, SubAccountId,
    TokenId,
};
use zklink::key::{PublicKey, Signature, edwards_d};
use zklink::reject::Reject;
use zklink::token::{L1Token, scale_down, scale_up};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Elements {
    #[serde(with = "zklink::hash::form")]
    one: Fr,
    #[serde(with = "zklink::hash::form")]
    two: [Fr; 2],
    #[serde(with = "zklink::hash::form")]
    any: Vec<Fr>,
    #[serde(with = "zklink::hash::form")]
    pairs: Vec<[Fr; 2]>,
}

#[test]
fn field_elements_are_joined_words() {
    let fr = |value: u64| Fr::from(value);
    let all = Elements {
        one: -fr(1),
        two: [fr(1), fr(2)],
        any: vec![fr(3), fr(4), fr(5)],
        pairs: vec![[fr(6), fr(7)], [fr(8), fr(9)]],
    };
    let mut json = serde_json::to_value(&all).expect("it has a form");
    let word = |value: Fr| hex::encode(fr_to_be_bytes(value));
    assert_eq!(json["one"], serde_json::json!(format!("0x{}", word(-fr(1)))));
    let any = [3, 4, 5].map(|value| word(fr(value))).concat();
    assert_eq!(json["any"], serde_json::json!(format!("0x{any}")));
    assert_eq!(serde_json::from_value::<Elements>(json.clone()).expect("just written"), all);
    json["any"] = serde_json::json!(any);
    assert_eq!(serde_json::from_value::<Elements>(json.clone()).expect("0x may lack"), all);
    let one = word(fr(1));
    let wrong = [
        ("one", one.repeat(2)),
        ("one", String::new()),
        ("two", one.clone()),
        ("two", one.repeat(3)),
        ("any", format!("{one}00")),
        ("any", "zz".into()),
        ("any", "ff".repeat(32)),
        ("pairs", one.repeat(3)),
    ];
    for (field, text) in wrong {
        let mut json = json.clone();
        json[field] = serde_json::json!(text);
        assert!(serde_json::from_value::<Elements>(json).is_err(), "{field}: {text}");
    }
}

#[test]
fn amounts_and_fees_are_decimal_strings() {
    let json = |text: &str| serde_json::json!(text);
    assert_eq!(
        serde_json::to_value(Amount(u128::MAX)).expect("the test gives a right value"),
        json(&u128::MAX.to_string())
    );
    let read = |text: &str| serde_json::from_value::<Amount>(json(text)).ok();
    assert_eq!(read("12"), Some(Amount(12)));
    assert_eq!((read("+1"), read(""), read("1e3")), (None, None, None));
    assert!(serde_json::from_str::<Amount>("12").is_err(), "a number is no string");
    assert_eq!(
        serde_json::to_value(Fee(7 << 5 | 3)).expect("the test gives a right value"),
        json("7000")
    );
    let fee = |text: &str| serde_json::from_value::<Fee>(json(text)).ok();
    assert_eq!(fee("7000"), Some(Fee(700 << 5 | 1)));
    assert_eq!((fee("2048"), fee("20470"), fee("2049")), (None, Some(Fee(2047 << 5 | 1)), None));
    assert_eq!(Fee(7 << 5 | 3).canonical(), Fee(700 << 5 | 1));
    assert_eq!(Fee::exact(Amount(7001)), None);
}

#[test]
fn people_read_what_values_are() {
    let evm = Owner::from_evm([0xab; 20]);
    let hex = "ab".repeat(20);
    assert_eq!(format!("{:?} {}", Amount(7), Amount(8)), "7 8");
    assert_eq!(format!("{:?}", Fee(7 << 5 | 1)), "Fee(70)");
    assert_eq!(format!("{} {:?}", AccountId(7), AccountId(8)), "7 AccountId(8)");
    assert_eq!(format!("{} {:?}", ChainId(7), TokenId(8)), "7 TokenId(8)");
    assert_eq!(format!("{evm} {evm:?}"), format!("0x{hex} Owner(0x{hex})"));
    assert_eq!(Owner::contract(ChainId(4), [0xab; 20]).to_string(), format!("0x{hex}@4"));
    let wide = Owner { home: ChainId(0), address: [0xab; 32] };
    assert_eq!(wide.to_string(), format!("0x{}", "ab".repeat(32)));
    let key = Scenario::key(1).public();
    let bytes = hex::encode(key.to_bytes());
    assert!(format!("{key:?}").contains(&bytes), "{key:?}");
    assert_eq!(String::from(key), format!("0x{bytes}"));
    assert_eq!(key.point().get_u(), key.x());
    assert_eq!(PublicKey::from_state(key.x(), key.y()), Ok(key));
    let signature = Signature::from_bytes(&[7; 64]);
    assert_eq!(String::from(signature), format!("0x{}", "07".repeat(64)));
    assert_eq!(edwards_d() * Fr::from(10241), -Fr::from(10240));
}

#[test]
fn owners_are_text_in_json() {
    let owner = Owner::contract(ChainId(63), [7; 20]);
    let json = serde_json::to_value(owner).expect("it has a form");
    assert_eq!(json, serde_json::json!(format!("0x{}@63", "07".repeat(20))));
    assert_eq!(serde_json::from_value::<Owner>(json).expect("just written"), owner);
    let wrong = serde_json::json!(format!("0x{}@64", "07".repeat(20)));
    assert!(serde_json::from_value::<Owner>(wrong).is_err());
}

/// From EIP-55: of its hash, letters stand where the digit is 7 and where it is 8.
#[test]
fn the_checksums_of_eip_55_are_right() {
    let right = [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];
    for text in right {
        let owner: Owner = text.parse().expect("its checksum is right");
        assert_eq!(owner.to_string(), text.to_lowercase());
        let mixed = text[2..].bytes().any(|byte| byte.is_ascii_lowercase())
            && text[2..].bytes().any(|byte| byte.is_ascii_uppercase());
        for at in 2..42 {
            let mut flipped = text.as_bytes().to_vec();
            if !mixed || !flipped[at].is_ascii_alphabetic() {
                continue;
            }
            flipped[at] ^= 0x20;
            let flipped = String::from_utf8(flipped).expect("the test gives a right value");
            assert!(flipped.parse::<Owner>().is_err(), "{flipped}");
        }
    }
}

#[test]
fn ids_have_their_ranges() {
    let trees = [AccountId::COUNT.into(), u64::from(SlotId::COUNT), 64];
    let depths = [AccountId::DEPTH, SlotId::DEPTH, SubAccountId::DEPTH];
    assert_eq!(trees, depths.map(|depth| 4u64.pow(depth as u32)));
    assert_eq!((ChainId::MAX, SubAccountId::COUNT), (63, 32));
    let chains: Vec<u8> = (0..=255).filter(|id| ChainId(*id).is_valid()).collect();
    assert_eq!(chains, (1..=63).collect::<Vec<_>>());
    let subs = (0..=255).filter(|id| SubAccountId(*id).is_valid()).count();
    assert_eq!(subs, 32);
    assert!(AccountId(AccountId::COUNT - 1).is_valid() && !AccountId(AccountId::COUNT).is_valid());
    assert_eq!((Nonce(6).next(), Nonce(u32::MAX).next()), (Some(Nonce(7)), None));
    let versions = (KeyVersion(6).next(), KeyVersion(u32::MAX).next());
    assert_eq!(versions, (Some(KeyVersion(7)), None));
    assert_eq!(BlockNumber(6).next(), Some(BlockNumber(7)));
    assert_eq!((Serial(6).next(), BlockNumber(u32::MAX).next()), (Serial(7), None));
    let valid = |home, byte| Owner { home: ChainId(home), address: [byte; 32] }.is_valid();
    assert!(valid(0, 1) && valid(63, 1) && !valid(64, 1) && !valid(1, 0));
}

#[test]
fn tokens_have_at_most_18_decimals() {
    let token = |decimals: u8| {
        let json = serde_json::json!({"address": "71".repeat(20), "decimals": decimals});
        serde_json::from_value::<L1Token>(json).ok()
    };
    assert_eq!(token(0).map(|token| token.scale()), Some(18));
    assert_eq!(token(18).map(|token| token.scale()), Some(0));
    assert_eq!(token(6).map(|token| token.decimals), Some(6));
    assert_eq!((token(19), token(255)), (None, None));
    assert_eq!(scale_up(5, 18), Some(Amount(5 * 10u128.pow(18))));
    assert_eq!((scale_up(5, 0), scale_up(5, 19), scale_up(0, 19)), (Some(Amount(5)), None, None));
    assert_eq!(scale_up(u128::MAX / 10 + 1, 1), None);
    assert_eq!((scale_down(Amount(500), 2), scale_down(Amount(501), 2)), (Some(5), None));
    assert_eq!(scale_down(Amount(0), 200), None, "no such unit");
}

#[test]
fn a_network_knows_its_chains_and_tokens() {
    let network = network();
    assert_eq!(network.chain(ChainId(2)).map(|chain| chain.evm_chain_id), Ok(90_002));
    assert_eq!(network.chain(ChainId(4)), Err(Reject::UnknownChain(ChainId(4))));
    assert_eq!(network.token(USDC).map(|token| token.symbol.clone()), Ok("USDC".into()));
    assert_eq!(network.token(TokenId(9)), Err(Reject::UnknownToken(TokenId(9))));
    assert_eq!(network.l1_token(ChainId(1), USDC).map(|token| token.decimals), Ok(6));
    assert_eq!(network.l1_token(ChainId(3), USDC), Err(Reject::UnknownToken(USDC)));
    assert_eq!(network.l1_token(ChainId(4), USDC), Err(Reject::UnknownChain(ChainId(4))));
    let text = serde_json::to_string(&network).expect("it has a form");
    let read: zklink::token::Network = serde_json::from_str(&text).expect("just written");
    assert_eq!(read, network);
}
