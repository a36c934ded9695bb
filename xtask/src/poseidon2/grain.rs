//! The bit generator of the Poseidon papers: the Grain LFSR in self-shrinking mode.

use zklink::hash::{Fr, fr_from_be_bytes};

/// The bits of a field element.
const FIELD_BITS: usize = 255;

/// A stream of field elements that is a function of a permutation's shape alone.
pub(super) struct Grain {
    /// The oldest of the 80 bits is the lowest.
    state: u128,
    refused: usize,
}

impl Grain {
    /// The stream for a width and its rounds.
    ///
    /// The 80 bits of the first state, each field with its highest bit first: 2 bits 1 (a prime field), 4 bits 0 (an
    /// S-box that is a power), 12 bits the size of the field, 12 bits the width, 10 bits the full rounds, 10 bits
    /// the partial rounds, 30 ones. The first 160 new bits are dropped.
    pub(super) fn new(width: usize, full_rounds: usize, partial_rounds: usize) -> Self {
        let fields = [
            (1, 2),
            (0, 4),
            (FIELD_BITS, 12),
            (width, 12),
            (full_rounds, 10),
            (partial_rounds, 10),
            ((1 << 30) - 1, 30),
        ];
        let bits = fields.into_iter().flat_map(|(number, length): (usize, usize)| {
            (0..length).rev().map(move |place| number >> place & 1)
        });
        let state = bits.enumerate().fold(0, |state, (place, bit)| state | (bit as u128) << place);
        let mut grain = Self { state, refused: 0 };
        for _ in 0..160 {
            grain.step();
        }
        grain
    }

    /// One bit of the register.
    fn step(&mut self) -> u8 {
        let tap = |place: u32| (self.state >> place & 1) as u8;
        let new = tap(62) ^ tap(51) ^ tap(38) ^ tap(23) ^ tap(13) ^ tap(0);
        self.state = self.state >> 1 | u128::from(new) << 79;
        new
    }

    /// One bit of the stream: of two bits of the register, the second, if the first is one.
    fn bit(&mut self) -> u8 {
        loop {
            let (first, second) = (self.step(), self.step());
            if first == 1 {
                return second;
            }
        }
    }

    /// A number of 255 bits, the highest first, as 32 bytes big-endian.
    fn number(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for place in (0..FIELD_BITS).rev() {
            bytes[31 - place / 8] |= self.bit() << (place % 8);
        }
        bytes
    }

    /// The next number that is below the modulus; others are dropped.
    pub(super) fn below_the_modulus(&mut self) -> Fr {
        loop {
            match fr_from_be_bytes(self.number()) {
                Some(element) => return element,
                None => self.refused += 1,
            }
        }
    }

    /// The next number, modulo the modulus.
    pub(super) fn modulo(&mut self) -> Fr {
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&self.number());
        wide[..32].reverse();
        Fr::from_bytes_wide(&wide)
    }

    /// The round constants of four full rounds.
    pub(super) fn rows<const T: usize>(&mut self) -> [[Fr; T]; 4] {
        [(); 4].map(|()| [(); T].map(|()| self.below_the_modulus()))
    }

    /// How many numbers were dropped so far.
    pub(super) fn refused(&self) -> usize {
        self.refused
    }
}
