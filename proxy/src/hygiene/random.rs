//! A small generator for identifiers: xoshiro256++ (Blackman and Vigna, 2019), one a worker.
//!
//! Fast and well spread, seeded from the operating system; **not** for secrets: its output can be predicted.
use std::hash::{BuildHasher, RandomState};

/// Random numbers for trace, span and request ids.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator with 128 bits of seed from the operating system, different for each call.
    pub fn from_os() -> Self {
        // The standard library keys its hash maps from the system's entropy, with a new key for each map.
        let keys = RandomState::new();
        Self::from_seed([0u64, 1, 2, 3].map(|lane| keys.hash_one(lane)))
    }

    /// A generator that repeats itself, for tests. A seed of zeroes is replaced: it would only give zeroes.
    pub const fn from_seed(seed: [u64; 4]) -> Self {
        match seed {
            [0, 0, 0, 0] => Self { state: [1, 2, 3, 4] },
            state => Self { state },
        }
    }

    /// The next 64 bits.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let next = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        next
    }

    /// The next 128 bits, never all zero.
    #[inline]
    pub fn next_u128(&mut self) -> u128 {
        let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
        bits.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_published_sequence() {
        let mut random = Random::from_seed([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| random.next_u64()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn two_generators_differ() {
        assert_ne!(Random::from_os().next_u128(), Random::from_os().next_u128());
    }
}
