//! What is kept and offered, for how long.

use super::*;

fn attestation(source: u8, destination: u8, sequence: u64) -> Attestation {
    let (source, destination) = (ChainId(source), ChainId(destination));
    Attestation { source, destination, sequence, payload: vec![1], signature: [0; 65] }
}

fn offers(chains: usize) -> (Inbox<Attestation>, Offers) {
    let (book, port) = Inbox::new(100_000);
    (book, Offers::new(port, chains))
}

#[test]
fn many_chains_have_room_for_many_offers() {
    let (_book, mut offers) = offers(63);
    for spoke in 2..=63 {
        for sequence in 0..500 {
            offers.add(attestation(1, spoke, sequence));
            offers.add(attestation(spoke, 1, sequence));
        }
    }
    assert_eq!(offers.len(), 62_000);
    assert!(!offers.is_full());
}

#[test]
fn what_is_taken_for_good_is_forgotten_and_what_is_taken_at_the_tip_is_kept() {
    let (book, mut offers) = offers(2);
    (0..10).for_each(|sequence| offers.add(attestation(1, 2, sequence)));
    assert!(!offers.taken((A, B), 8, Some(5), 10));
    assert_eq!(offers.len(), 5);
    offers.deliver();
    book.take();
    // The tip was rewound.
    assert!(!offers.taken((A, B), 6, Some(5), 10));
    offers.deliver();
    let again: Vec<u64> = book.take().iter().map(|offer| offer.sequence).collect();
    assert_eq!(again, [6, 7, 8, 9]);
    assert!(!offers.wants((A, B, 4)) && offers.wants((A, B, 5)));
}

#[test]
fn room_is_made_when_the_destination_takes_and_its_finality_stands_still() {
    let (_book, mut offers) = offers(2);
    let mut next = 0;
    while !offers.is_full() {
        offers.add(attestation(1, 2, next));
        next += 1;
    }
    assert!(!offers.taken((A, B), next - 100, None, next));
    assert!(!offers.is_full());
    assert_eq!(offers.len(), 356, "what may be taken back is still there");
}

#[test]
fn a_lie_about_deliveries_is_noticed_afterwards() {
    let (_book, mut offers) = offers(2);
    (0..10).for_each(|sequence| offers.add(attestation(1, 2, sequence)));
    assert!(!offers.taken((A, B), 9, Some(9), 10), "the lie");
    assert!(offers.taken((A, B), 3, Some(2), 10), "number 3 is wanted and gone");
    assert!(!offers.taken((A, B), 3, Some(2), 0), "it is being read again");
    (0..10).for_each(|sequence| offers.add(attestation(1, 2, sequence)));
    assert!(!offers.taken((A, B), 3, Some(2), 10));
}
