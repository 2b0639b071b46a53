//! Chance that can be repeated.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::name::Millis;
use super::settings::Bounds;

/// The only source of chance in the core: equal seeds give equal histories.
#[derive(Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Chance from a seed, which must be a secret random one outside of tests: task ids are made
    /// from it.
    pub fn new(seed: [u8; 32]) -> Dice {
        Dice(ChaCha8Rng::from_seed(seed))
    }

    /// A number from 0 to `end`, which it does not reach; 0 if there is none.
    pub fn below(&mut self, end: Millis) -> Millis {
        let end = end.max(1) as u64;
        // The product's upper half. Its bias is immeasurable for spans of time.
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as Millis
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 16 random bytes.
    pub fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// The delay after `last`: up to twice as long, by chance, within bounds. 0 stands for none yet.
    pub fn back_off(&mut self, bounds: Bounds, last: Millis) -> Millis {
        let base = if last == 0 { bounds.initial } else { last };
        bounds.max.min(base + self.below(base + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds() {
        let roll = |seed| {
            let mut dice = Dice::new([seed; 32]);
            (dice.bits(), dice.bytes(), dice.below(1000))
        };
        assert_eq!(roll(1), roll(1));
        assert_ne!(roll(1), roll(2));
    }

    #[test]
    fn back_off_grows_to_its_bound_and_stays() {
        let bounds = Bounds { initial: 1000, max: 60_000 };
        let mut dice = Dice::new([3; 32]);
        let mut last = 0;
        for _ in 0..1000 {
            let next = dice.back_off(bounds, last);
            assert!(next >= last.max(1000) && next <= 60_000.min(2 * last.max(1000)), "{next}");
            last = next;
        }
        assert_eq!(last, 60_000);
        assert_eq!(dice.below(0), 0);
        assert!((0..1000).all(|_| dice.below(3) < 3));
    }
}
