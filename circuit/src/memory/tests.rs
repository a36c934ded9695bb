use super::*;
use crate::gadget::Bit;
use crate::gadget::fixture::{Fixture, NONE};

const MEMORY: &str = "all that was put in";

/// A cell with the value five that is raised twice, the second time only if `on`.
fn raised(on: bool) -> Fixture {
    let mut fixture = Fixture::new();
    let mut memory = Memory::new(4, History::default());
    let cell = Kind::Balance.at(&fixture.given(Fr::from(7)));
    let (five, seed) = (fixture.given(Fr::from(5)), fixture.given(Fr::from(99)));
    let on = fixture.given_bit(on);
    memory.insert(&cell, &[five]);
    let cs = &mut fixture.cs;
    for (name, on, time) in [("first", &Bit::constant(true), 3u64), ("second", &on, 9)] {
        let time = Expression::constant(Fr::from(time));
        let mut cs = cs.namespace(|| name);
        let read = memory.read(&mut cs, &cell, on.expression(), &time, &[Form::Element]).unwrap();
        let new = &read.values[0] + Fr::one();
        memory.write(read, &[new]);
    }
    let last = memory.remove(&mut cs.namespace(|| "last"), &cell, 1).unwrap();
    memory.bind(&last[0]);
    memory.check(cs, &seed).unwrap();
    fixture
}

#[test]
fn what_was_put_in_is_taken_out() {
    for (on, last) in [(true, 7u64), (false, 6)] {
        let mut fixture = raised(on);
        assert_eq!(fixture.cs.first_failure(), None);
        assert_eq!(fixture.cs.value("last/value 0/held"), Fr::from(last));
        assert_eq!(fixture.survivors(), NONE);
    }
}

#[test]
fn something_else_is_not_taken_out() {
    for path in ["first/value 0/held", "second/value 0/held", "last/value 0/held"] {
        let mut fixture = raised(true);
        fixture.cs.tamper(path, Fr::from(1_000));
        fixture.cs.follow(&[path]);
        assert_eq!(fixture.cs.failures(), [MEMORY]);
    }
    for number in ["first/access before", "second/access before", "last/last access"] {
        let mut fixture = raised(true);
        let bit = format!("{number}/bit3/bit");
        let other = Fr::one() - fixture.cs.value(&bit);
        fixture.cs.tamper(&bit, other);
        fixture.cs.follow(&[&bit]);
        assert_eq!(fixture.cs.failures(), [MEMORY]);
    }
}

#[test]
fn an_access_that_is_off_finds_anything() {
    let mut fixture = raised(false);
    let path = "second/value 0/held";
    fixture.cs.tamper(path, Fr::from(1_000));
    fixture.cs.follow(&[path]);
    assert_eq!(fixture.cs.first_failure(), None);
    // Its quotients are zero, and would not count if they were not.
    let (put_in, counted) = ("access 2/put in/quotient", "access 2/counted");
    fixture.cs.tamper(put_in, Fr::one());
    assert_eq!(fixture.cs.failures(), ["access 2/put in/divided", "access 2/counted"][..1]);
    fixture.cs.tamper(counted, Fr::one());
    assert_eq!(fixture.cs.failures(), ["access 2/put in/divided", counted, MEMORY]);
}

#[test]
fn cells_of_two_kinds_do_not_meet() {
    let mut fixture = Fixture::new();
    let mut memory = Memory::new(4, History::default());
    let (address, seed) = (fixture.given(Fr::from(7)), fixture.given(Fr::from(99)));
    let five = fixture.given(Fr::from(5));
    memory.insert(&Kind::Balance.at(&address), &[five]);
    let cs = &mut fixture.cs;
    memory.remove(&mut cs.namespace(|| "last"), &Kind::Pool.at(&address), 1).unwrap();
    memory.check(cs, &seed).unwrap();
    fixture.cs.tamper("last/value 0/held", Fr::from(5));
    fixture.cs.follow(&["last/value 0/held"]);
    assert_eq!(fixture.cs.failures(), [MEMORY]);
}

#[test]
fn packed_numbers_fill_elements() {
    let mut trace = Trace::default();
    let number = Expression::constant(Fr::from(3));
    for _ in 0..5 {
        trace.push_small(&number, 100);
    }
    trace.push(&number);
    trace.flush();
    // Two in each of the first two, then the element of its own, then the fifth.
    assert_eq!(trace.elements.len(), 4);
    let two = Fr::from(3) * (Fr::one() + power_of_two(100));
    let values: Vec<_> = trace.elements.iter().map(|element| element.value().unwrap()).collect();
    assert_eq!(values, [two, two, Fr::from(3), Fr::from(3)]);
}

#[test]
fn addresses_ascend() {
    for (addresses, failure) in [
        (&[3u64, 4, 15][..], None),
        (&[3, 3], Some("gap 0/recomposed")),
        (&[3, 9, 4], Some("gap 1/recomposed")),
    ] {
        let mut fixture = Fixture::new();
        let given: Vec<_> =
            addresses.iter().map(|address| fixture.given(Fr::from(*address))).collect();
        enforce_ascending(&mut fixture.cs, &given, 4).unwrap();
        assert_eq!(fixture.cs.first_failure(), failure);
        assert_eq!(fixture.cost(), 5 * (addresses.len() - 1));
    }
}
