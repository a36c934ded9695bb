//! The numbers that docs/crypto.md states are those of the code.

use jubjub::{AffinePoint, Scalar};
use zklink::amount::{Amount, Fee};
use zklink::hash::poseidon2::M4;
use zklink::hash::{Domain, Fr, T4, compress4};
use zklink::key::base::{base, small_order_points};
use zklink::key::edwards_d;

use super::word;

fn document() -> String {
    let path = crate::repository::root().join("docs/crypto.md");
    std::fs::read_to_string(path).expect("the document is there")
}

/// One more than a number of 32 bytes little-endian whose lowest byte is below 255, in hexadecimal.
fn plus_one(mut number: [u8; 32]) -> String {
    number[0] += 1;
    number.reverse();
    super::bytes(&number)
}

fn coordinates(point: &AffinePoint) -> String {
    format!("    x = {}\n    y = {}\n", word(point.get_u()), word(point.get_v()))
}

#[test]
fn fields_and_curve() {
    let document = document();
    for number in [
        format!("    {}\n", plus_one((-Fr::one()).to_bytes())),
        format!("    {}\n", plus_one((-Scalar::one()).to_bytes())),
        format!("    d = {}\n", word(edwards_d())),
        coordinates(&base()),
        coordinates(&small_order_points()[1]),
        format!("as bytes: {}\n", hex::encode(base().to_bytes())),
    ] {
        assert!(document.contains(&number), "{number}");
    }
}

#[test]
fn hash() {
    let document = document();
    let mut state: [Fr; 4] = std::array::from_fn(|lane| Fr::from(lane as u64));
    T4.permute(&mut state);
    let node = compress4(Domain::Node, [1, 2, 3, 4].map(Fr::from));
    let tags = Domain::ALL.map(|domain| format!("| {domain:?} | `{}` |\n", word(domain.tag())));
    let matrix = format!("M4 = `{M4:?}`");
    let examples = [state[0], node].map(|element| format!("    {}\n", word(element)));
    for number in tags.into_iter().chain(examples).chain([matrix]) {
        assert!(document.contains(&number), "{number}");
    }
    assert_eq!(document.matches("` |\n").count(), Domain::ALL.len() + FEES.len());
}

/// Amount as the document writes it, amount, mantissa, exponent.
const FEES: [(&str, u128, u16, u16); 6] = [
    ("0", 0, 0, 0),
    ("10", 10, 10, 0),
    ("2047", 2047, 2047, 0),
    ("2050", 2050, 205, 1),
    ("10^16", 10u128.pow(16), 1000, 13),
    ("2047 * 10^31, the largest", 2047 * 10u128.pow(31), 2047, 31),
];

#[test]
fn fees() {
    let document = document();
    for (written, amount, mantissa, exponent) in FEES {
        let bits = Fee::exact(Amount(amount)).expect("the float has it").0;
        assert_eq!(bits, mantissa << 5 | exponent);
        let remark = if amount == 10 { " (not 1, 1)" } else { "" };
        let row = format!("| {written} | {mantissa}, {exponent}{remark} | `0x{bits:04x}` |\n");
        assert!(document.contains(&row), "{row}");
        assert_eq!(Fee(bits).canonical(), Fee(bits));
    }
    assert_eq!(Fee(1 << 5 | 1).canonical(), Fee(10 << 5));
}
