//! The few traits that the interpreter takes from `malachite-base`, written anew so that no
//! package under the LGPL is in what we ship.

/// How a number is rounded.
pub mod rounding_modes {
    /// The directions that are asked for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RoundingMode {
        /// To the nearest, ties to even.
        Nearest,
    }
}

/// Numbers.
pub mod num {
    /// Primitive numbers.
    pub mod basic {
        /// Primitive floats.
        pub mod floats {
            /// What the interpreter asks of a float.
            pub trait PrimitiveFloat: Copy {
                /// Whether this is -0.0, which equals 0.0.
                fn is_negative_zero(self) -> bool;
            }

            impl PrimitiveFloat for f64 {
                fn is_negative_zero(self) -> bool {
                    self == 0.0 && self.is_sign_negative()
                }
            }
        }
    }

    /// Conversions between numbers.
    pub mod conversion {
        /// As traits.
        pub mod traits {
            use core::cmp::Ordering;

            use crate::rounding_modes::RoundingMode;

            /// A conversion that may have to round.
            pub trait RoundingInto<T> {
                /// The rounded number, and how it compares with the exact one.
                fn rounding_into(self, mode: RoundingMode) -> (T, Ordering);
            }
        }
    }
}
