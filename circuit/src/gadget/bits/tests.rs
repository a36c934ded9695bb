use super::*;
use crate::gadget::fixture::{Fixture, NONE};

fn shown(bits: &[Bit]) -> Vec<bool> {
    bits.iter().map(|bit| bit.value().unwrap()).collect()
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
        assert_eq!(fixture.cost(), 5);
        if a >= b {
            assert_eq!(fixture.survivors(), NONE);
        } else {
            assert_eq!(fixture.cs.first_failure(), Some("recomposed"));
        }
    }
}

#[test]
fn the_other_answer_of_a_comparison_is_refused() {
    for (a, b, lie) in [(7u64, 8u64, true), (8, 7, false)] {
        let mut fixture = Fixture::new();
        let (x, y) = (fixture.given(Fr::from(a)), fixture.given(Fr::from(b)));
        at_least(&mut fixture.cs, &x, &y, 4).unwrap();
        // The answer is the top bit of a - b + 2^4.
        fixture.cs.tamper("bit4/bit", Fr::from(u64::from(lie)));
        assert_eq!(fixture.cs.first_failure(), Some("recomposed"));
    }
}

/// Bits that belong to no number: each is zero or one, and nothing else is said of them.
#[test]
fn loose_bits_are_bits() {
    let mut fixture = Fixture::new();
    let bits = witness_bits(&mut fixture.cs, Some(Fr::from(0b110)), 3).unwrap();
    assert_eq!(shown(&bits), [false, true, true]);
    assert_eq!(fixture.cost(), 3);
    // The opposite bit is as good; any other number is refused.
    assert_eq!(fixture.survivors(), ["bit0/bit", "bit1/bit", "bit2/bit"]);
    for wrong in [Fr::from(2), -Fr::one()] {
        fixture.cs.tamper("bit1/bit", wrong);
        assert_eq!(fixture.cs.failures(), ["bit1/bit"]);
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
            // Where no bit is zero the inverse of the number of zeros is free: see `zero::is_zero`.
            let free: &[&str] = if width > 3 && hole == width { &["inverse"] } else { NONE };
            assert_eq!(fixture.survivors(), free);
        }
    }
}
