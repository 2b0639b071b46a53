//! Chance, from a seed.

/// xoshiro256**: pauses and uuids, which must not repeat but need not be secret.
#[derive(Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    pub(super) fn new(seed: [u64; 4]) -> Self {
        // All zeros would stay zeros.
        Self(if seed == [0; 4] { [0x9e37_79b9_7f4a_7c15, 1, 2, 3] } else { seed })
    }

    pub(super) fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c2, d2) = (c ^ a, d ^ b);
        self.0 = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// From 0 up to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Version 4.
    pub(super) fn uuid(&mut self) -> [u8; 16] {
        let high = (self.next() & !0xf000) | 0x4000;
        let low = (self.next() >> 2) | (1 << 63);
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }
}
