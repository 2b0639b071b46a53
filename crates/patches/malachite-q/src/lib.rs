//! Ratios of integers for the interpreter, as far as it uses them: a correctly rounded quotient, and
//! the exact ratio that a float stands for.

use core::cmp::Ordering;

use malachite_base::num::conversion::traits::RoundingInto;
use malachite_base::rounding_modes::RoundingMode;
use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{ToPrimitive, Zero};

/// Binary digits of a float's significand.
const PRECISION: i64 = 53;

/// The exponent of the smallest positive float: 2^-1074.
const MIN_EXPONENT: i64 = -1074;

/// A fraction. Neither part is reduced by common factors unless said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rational {
    negative: bool,
    numerator: BigUint,
    denominator: BigUint,
}

/// A float that stands for no ratio: an infinity or not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRatio;

impl Rational {
    /// The quotient of two integers. The denominator must not be 0; the interpreter refuses that
    /// before it comes here.
    pub fn from_integers_ref(numerator: &BigInt, denominator: &BigInt) -> Rational {
        Rational {
            negative: (numerator.sign() == Sign::Minus) != (denominator.sign() == Sign::Minus),
            numerator: numerator.magnitude().clone(),
            denominator: denominator.magnitude().clone(),
        }
    }

    /// Both parts without sign.
    pub fn into_numerator_and_denominator(self) -> (BigUint, BigUint) {
        (self.numerator, self.denominator)
    }
}

/// The ratio in lowest terms.
impl TryFrom<f64> for Rational {
    type Error = NoRatio;

    fn try_from(value: f64) -> Result<Rational, NoRatio> {
        if !value.is_finite() {
            return Err(NoRatio);
        }
        let bits = value.to_bits();
        let biased = ((bits >> 52) & 0x7ff) as i64;
        let fraction = bits & ((1 << 52) - 1);
        let (significand, exponent) = match biased {
            0 => (fraction, MIN_EXPONENT),
            _ => (fraction | (1 << 52), biased - 1075),
        };
        let (numerator, denominator) = match significand {
            0 => (BigUint::ZERO, BigUint::from(1u8)),
            _ if exponent >= 0 => {
                (BigUint::from(significand) << exponent as u64, BigUint::from(1u8))
            }
            _ => {
                let common = i64::from(significand.trailing_zeros()).min(-exponent);
                let denominator = BigUint::from(1u8) << (-exponent - common) as u64;
                (BigUint::from(significand >> common), denominator)
            }
        };
        Ok(Rational { negative: value.is_sign_negative(), numerator, denominator })
    }
}

/// To the nearest float, ties to even. What is too large gives the largest float and the fact that
/// it is too small, as the interpreter expects; what is too small gives 0.
impl RoundingInto<f64> for Rational {
    fn rounding_into(self, _: RoundingMode) -> (f64, Ordering) {
        let (size, order) = quotient(&self.numerator, &self.denominator);
        match self.negative {
            true => (-size, order.reverse()),
            false => (size, order),
        }
    }
}

fn quotient(numerator: &BigUint, denominator: &BigUint) -> (f64, Ordering) {
    if numerator.is_zero() || denominator.is_zero() {
        return (0.0, Ordering::Equal);
    }
    // The quotient lies between 2^(length - 1) and 2^(length + 1). One digit more than the float has
    // is computed, at the float's own last place when it is subnormal.
    let length = numerator.bits() as i64 - denominator.bits() as i64;
    let exponent = (length - 1 - PRECISION).max(MIN_EXPONENT - 1);
    let (dividend, divisor) = if exponent >= 0 {
        (numerator.clone(), denominator << exponent as u64)
    } else {
        (numerator << (-exponent) as u64, denominator.clone())
    };
    let (digits, rest) = dividend.div_rem(&divisor);
    let Some(digits) = digits.to_u64() else {
        return (f64::MAX, Ordering::Less);
    };
    // 54 or 55 digits: one or two of them, and the rest, are rounded away.
    let drop = (64 - i64::from(digits.leading_zeros()) - PRECISION).max(1);
    let kept = digits >> drop;
    let tail = digits & ((1 << drop) - 1);
    let half = 1u64 << (drop - 1);
    let exact = tail == 0 && rest.is_zero();
    let above_half = tail > half || (tail == half && !rest.is_zero());
    let up = above_half || (tail == half && rest.is_zero() && kept & 1 == 1);
    let size = scaled(kept + u64::from(up), exponent + drop);
    match (size.is_finite(), exact, up) {
        (false, _, _) => (f64::MAX, Ordering::Less),
        (true, true, _) => (size, Ordering::Equal),
        (true, false, true) => (size, Ordering::Greater),
        (true, false, false) => (size, Ordering::Less),
    }
}

/// significand × 2^exponent, which is exact or infinite: the significand has at most 53 digits, or is
/// 2^53, and the exponent is at least that of the smallest float.
fn scaled(significand: u64, exponent: i64) -> f64 {
    let mut value = significand as f64;
    let mut left = exponent;
    while left > 0 && value.is_finite() && value != 0.0 {
        let step = left.min(1000);
        value *= power_of_two(step);
        left -= step;
    }
    while left < 0 && value != 0.0 {
        let step = left.max(-1000);
        value *= power_of_two(step);
        left -= step;
    }
    value
}

/// 2^exponent for exponents of normal floats.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn divide(numerator: &BigInt, denominator: &BigInt) -> (f64, Ordering) {
        Rational::from_integers_ref(numerator, denominator).rounding_into(RoundingMode::Nearest)
    }

    fn exact(value: f64) -> (BigInt, BigInt) {
        let ratio = Rational::try_from(value).unwrap();
        let sign = if ratio.negative { Sign::Minus } else { Sign::Plus };
        let (numerator, denominator) = ratio.into_numerator_and_denominator();
        (BigInt::from_biguint(sign, numerator), denominator.into())
    }

    #[test]
    fn edges() {
        let one = BigInt::from(1);
        let power = |exponent: u64| BigInt::from(1) << exponent;
        for (numerator, denominator, size, order) in [
            (BigInt::ZERO, one.clone(), 0.0, Ordering::Equal),
            (one.clone(), BigInt::from(3), 1.0 / 3.0, Ordering::Less),
            (-one.clone(), BigInt::from(3), -1.0 / 3.0, Ordering::Greater),
            (power(1023), one.clone(), 2f64.powi(1023), Ordering::Equal),
            (power(1024), one.clone(), f64::MAX, Ordering::Less),
            (power(5000), one.clone(), f64::MAX, Ordering::Less),
            (one.clone(), power(1074), f64::from_bits(1), Ordering::Equal),
            (one.clone(), power(1075), 0.0, Ordering::Less),
            (BigInt::from(3), power(1076), f64::from_bits(1), Ordering::Greater),
            (one.clone(), power(5000), 0.0, Ordering::Less),
            (power(53) + 1, one.clone(), 2f64.powi(53), Ordering::Less),
            (power(53) + 3, one.clone(), 2f64.powi(53) + 4.0, Ordering::Greater),
        ] {
            assert_eq!(
                divide(&numerator, &denominator),
                (size, order),
                "{numerator}/{denominator}"
            );
        }
        assert_eq!(Rational::try_from(f64::NAN), Err(NoRatio));
        assert_eq!(Rational::try_from(f64::INFINITY), Err(NoRatio));
        assert_eq!(exact(0.75), (BigInt::from(3), BigInt::from(4)));
        assert_eq!(exact(-8.0), (BigInt::from(-8), one));
    }

    proptest! {
        /// Integers that floats hold exactly are divided by the machine the same way.
        #[test]
        fn small_quotients(numerator in -(1i64 << 53)..(1i64 << 53), denominator in 1i64..(1i64 << 53)) {
            let (size, _) = divide(&numerator.into(), &denominator.into());
            prop_assert_eq!(size, numerator as f64 / denominator as f64);
        }

        /// A float is the quotient of its own ratio, down to the smallest.
        #[test]
        fn there_and_back(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            let (numerator, denominator) = exact(value);
            prop_assert_eq!(divide(&numerator, &denominator), (value, Ordering::Equal));
            prop_assert!(numerator.is_odd() || denominator == BigInt::from(1));
        }

        /// Large quotients: no neighbour is nearer, and the order is that of the exact numbers.
        #[test]
        fn nearest(
            numerator in proptest::collection::vec(any::<u8>(), 1..200),
            denominator in proptest::collection::vec(any::<u8>(), 1..200),
        ) {
            let numerator = BigInt::from_bytes_be(Sign::Plus, &numerator);
            let denominator = BigInt::from_bytes_be(Sign::Plus, &denominator) + 1;
            let (size, order) = divide(&numerator, &denominator);
            if size == f64::MAX {
                return Ok(());
            }
            // Distances as fractions over the product of all denominators.
            let distance = |float: f64| {
                let (n, d) = exact(float);
                let difference: BigInt = &n * &denominator - &numerator * &d;
                (difference, d * &denominator)
            };
            let (own, own_scale) = distance(size);
            prop_assert_eq!(own.cmp(&BigInt::ZERO), order);
            for neighbour in [size.next_up(), size.next_down()] {
                let (other, other_scale) = distance(neighbour);
                prop_assert!(
                    own.magnitude() * other_scale.magnitude()
                        <= other.magnitude() * own_scale.magnitude()
                );
            }
        }
    }
}
