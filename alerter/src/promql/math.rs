//! Functions of one value at a time.

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    Deg,
    Exp,
    Floor,
    Ln,
    Log10,
    Log2,
    Rad,
    Round,
    Sgn,
    Sin,
    Sinh,
    Sqrt,
    Tan,
    Tanh,
}

/// The lesser one; NaN where one of them is.
fn least(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// The greater one; NaN where one of them is.
fn greatest(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

impl Math {
    /// `a` and `b` are the second and third argument.
    pub(super) fn apply(self, value: f64, a: f64, b: f64) -> f64 {
        match self {
            Self::Abs => value.abs(),
            Self::Acos => value.acos(),
            Self::Acosh => value.acosh(),
            Self::Asin => value.asin(),
            Self::Asinh => value.asinh(),
            Self::Atan => value.atan(),
            Self::Atanh => value.atanh(),
            Self::Ceil => value.ceil(),
            Self::Clamp => greatest(a, least(b, value)),
            Self::ClampMax => least(a, value),
            Self::ClampMin => greatest(a, value),
            Self::Cos => value.cos(),
            Self::Cosh => value.cosh(),
            Self::Deg => value * 180.0 / std::f64::consts::PI,
            Self::Exp => value.exp(),
            Self::Floor => value.floor(),
            Self::Ln => value.ln(),
            Self::Log10 => value.log10(),
            Self::Log2 => value.log2(),
            Self::Rad => value * std::f64::consts::PI / 180.0,
            Self::Round => {
                // As Prometheus: the inverse is exact for more steps than the step itself.
                let inverse = 1.0 / a;
                (value * inverse + 0.5).floor() / inverse
            }
            // Zeros and NaN stay as they are.
            Self::Sgn if value > 0.0 => 1.0,
            Self::Sgn if value < 0.0 => -1.0,
            Self::Sgn => value,
            Self::Sin => value.sin(),
            Self::Sinh => value.sinh(),
            Self::Sqrt => value.sqrt(),
            Self::Tan => value.tan(),
            Self::Tanh => value.tanh(),
        }
    }
}
