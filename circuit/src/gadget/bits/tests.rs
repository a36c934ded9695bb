use super::*;
use crate::gadget::fixture::{Fixture, NONE};

fn shown(bits: &[Bit]) -> Vec<bool> {
    bits.iter().map(|bit| bit.value().unwrap()).collect()
}

#[test]
fn a_bit_is_zero_or_one() {
    let mut fixture = Fixture::new();
    Bit::witness(&mut fixture.cs, "b", Some(true)).unwrap();
    assert_eq!(fixture.cost(), 1);
    fixture.cs.tamper("b", Fr::from(2));
    assert_eq!(fixture.cs.first_failure(), Some("b"));
}

#[test]
fn connectives_follow_their_truth_tables() {
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut fixture = Fixture::new();
        let (x, y) = (fixture.given_bit(a), fixture.given_bit(b));
        let cs = &mut fixture.cs;
        assert_eq!(Bit::and(cs, "and", &x, &y).unwrap().value(), Some(a & b));
        assert_eq!(Bit::or(cs, "or", &x, &y).unwrap().value(), Some(a | b));
        assert_eq!(Bit::xor(cs, "xor", &x, &y).unwrap().value(), Some(a ^ b));
        assert_eq!(x.not().value(), Some(!a));
        let (yes, no) = (Expression::constant(5.into()), y.expression().clone());
        let chosen = x.select(cs, "select", &yes, &no).unwrap();
        assert_eq!(chosen.value(), if a { Some(Fr::from(5)) } else { no.value() });
        assert_eq!(fixture.cost(), 4);
        assert_eq!(fixture.survivors(), NONE);
    }
}

#[test]
fn a_range_is_checked() {
    let mut fixture = Fixture::new();
    let x = fixture.given(Fr::from(0b1011));
    let bits = to_bits(&mut fixture.cs, &x, 4).unwrap();
    assert_eq!(shown(&bits), [true, true, false, true]);
    assert_eq!(fixture.cost(), 5);
    assert_eq!(fixture.survivors(), NONE);

    for outside in [Fr::from(16), -Fr::one()] {
        let mut fixture = Fixture::new();
        let x = fixture.given(outside);
        to_bits(&mut fixture.cs, &x, 4).unwrap();
        assert_eq!(fixture.cs.first_failure(), Some("recomposed"));
    }
}

#[test]
fn canonical_bits_are_those_of_the_number() {
    let mut numbers = vec![Fr::zero(), Fr::one(), -Fr::one(), -Fr::from(2)];
    numbers.extend((0..10).map(|_| Fixture::new().random()));
    for number in numbers {
        let mut fixture = Fixture::new();
        let x = fixture.given(number);
        let bits = canonical_bits(&mut fixture.cs, &x).unwrap();
        let expected: Vec<bool> = number.to_le_bits().into_iter().take(255).collect();
        assert_eq!(shown(&bits), expected);
        assert_eq!(fixture.cost(), 324);
        // An inverse is free where a whole run of ones is met: see `zero::is_zero`.
        let survivors = fixture.survivors();
        assert!(survivors.iter().all(|path| path.ends_with("/inverse")), "{survivors:?}");
    }
}

#[test]
fn no_variable_of_a_random_decomposition_is_free() {
    let mut fixture = Fixture::new();
    let number = fixture.random();
    let x = fixture.given(number);
    canonical_bits(&mut fixture.cs, &x).unwrap();
    assert_eq!(fixture.survivors(), NONE);
}

/// Rewrites all bits to those of `x + r` and all that depends on them, as a cheating prover would.
#[test]
fn the_second_representative_is_refused() {
    for small in [0u64, 1, 12345] {
        let mut fixture = Fixture::new();
        // x + r as an integer is the integer of -1, plus x + 1 added without reduction.
        let mut digits = (-Fr::one()).to_bytes();
        let mut carry = small + 1;
        for byte in &mut digits {
            let sum = u64::from(*byte) + (carry & 0xff);
            *byte = (sum & 0xff) as u8;
            carry = (carry >> 8) + (sum >> 8);
        }
        let x = fixture.given(Fr::from(small));
        let cheating: Vec<Option<bool>> =
            (0..255).map(|bit| Some(digits[bit / 8] >> (bit % 8) & 1 == 1)).collect();
        canonical_from(&mut fixture.cs, &x, &cheating).unwrap();
        let failure = fixture.cs.first_failure().unwrap();
        assert!(failure.starts_with("bit"), "{failure}: the comparison refuses it");
    }
}

#[test]
fn comparisons_answer_both_ways() {
    for (a, b) in [(7u64, 7u64), (8, 7), (6, 7), (0, 15), (15, 0)] {
        let mut fixture = Fixture::new();
        let (x, y) = (fixture.given(Fr::from(a)), fixture.given(Fr::from(b)));
        let answer = at_least(&mut fixture.cs, &x, &y, 4).unwrap();
        assert_eq!(answer.value(), Some(a >= b));
        assert_eq!(fixture.cost(), 6);
        assert_eq!(fixture.survivors(), NONE);

        let mut fixture = Fixture::new();
        let (x, y) = (fixture.given(Fr::from(a)), fixture.given(Fr::from(b)));
        enforce_at_least(&mut fixture.cs, &x, &y, 4).unwrap();
        assert_eq!(fixture.cs.is_satisfied(), a >= b);
        assert_eq!(fixture.cost(), 5);
    }
}

#[test]
fn all_is_a_conjunction_of_any_width() {
    for width in 0..8usize {
        for hole in 0..=width {
            let mut fixture = Fixture::new();
            let bits: Vec<Bit> = (0..width).map(|i| fixture.given_bit(i != hole)).collect();
            let answer = all(&mut fixture.cs, &bits).unwrap();
            assert_eq!(answer.value(), Some(hole == width));
            assert_eq!(fixture.cost(), [0, 0, 1, 2, 2, 2, 2, 2][width]);
            assert!(fixture.cs.is_satisfied());
        }
    }
}
