//! Functions by name: their arguments, and what they give.

use super::Error;
use super::date::Part;
use super::math::Math;
use super::over_time::Over;
use super::plan::Node;

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Scalar,
    /// Series with a value each.
    Vector,
    /// Series with samples over a range of time.
    Matrix,
    /// A string.
    Text,
}

impl Kind {
    /// As in an error message.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "a scalar",
            Self::Vector => "an instant vector",
            Self::Matrix => "a range vector such as x[5m]",
            Self::Text => "a string",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Over(Over),
    Math(Math),
    Date(Part),
    Absent,
    AbsentOverTime,
    HistogramAvg,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramStddev,
    HistogramStdvar,
    HistogramSum,
    LabelJoin,
    LabelReplace,
    Pi,
    Scalar,
    Sort,
    SortDesc,
    Time,
    Timestamp,
    Vector,
}

/// The kinds of the arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signature {
    kinds: &'static [Kind],
    last: Last,
}

/// How often the last argument may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Once,
    Optional,
    AnyTimes,
}

const NONE: Signature = Signature { kinds: &[], last: Last::Once };
const VECTOR: Signature = Signature { kinds: &[Kind::Vector], last: Last::Once };
const MATRIX: Signature = Signature { kinds: &[Kind::Matrix], last: Last::Once };
const SCALAR: Signature = Signature { kinds: &[Kind::Scalar], last: Last::Once };
const DATE: Signature = Signature { kinds: &[Kind::Vector], last: Last::Optional };
const VECTOR_SCALAR: Signature = Signature { kinds: &[Kind::Vector, Kind::Scalar], last: Last::Once };
const ROUND: Signature = Signature { kinds: &[Kind::Vector, Kind::Scalar], last: Last::Optional };
const CLAMP: Signature = Signature { kinds: &[Kind::Vector, Kind::Scalar, Kind::Scalar], last: Last::Once };
const SCALAR_VECTOR: Signature = Signature { kinds: &[Kind::Scalar, Kind::Vector], last: Last::Once };
const FRACTION: Signature = Signature { kinds: &[Kind::Scalar, Kind::Scalar, Kind::Vector], last: Last::Once };
const SCALAR_MATRIX: Signature = Signature { kinds: &[Kind::Scalar, Kind::Matrix], last: Last::Once };
const MATRIX_SCALAR: Signature = Signature { kinds: &[Kind::Matrix, Kind::Scalar], last: Last::Once };
const REPLACE: Signature =
    Signature { kinds: &[Kind::Vector, Kind::Text, Kind::Text, Kind::Text, Kind::Text], last: Last::Once };
const JOIN: Signature = Signature { kinds: &[Kind::Vector, Kind::Text, Kind::Text, Kind::Text], last: Last::AnyTimes };

/// The functions that there are.
pub const FUNCTIONS: [&str; COUNT] = {
    let mut names = [""; COUNT];
    let mut at = 0;
    while at < COUNT {
        names[at] = TABLE[at].0;
        at += 1;
    }
    names
};

const COUNT: usize = TABLE.len();

const TABLE: &[(&str, Function, Signature)] = &[
    ("abs", Function::Math(Math::Abs), VECTOR),
    ("absent", Function::Absent, VECTOR),
    ("absent_over_time", Function::AbsentOverTime, MATRIX),
    ("acos", Function::Math(Math::Acos), VECTOR),
    ("acosh", Function::Math(Math::Acosh), VECTOR),
    ("asin", Function::Math(Math::Asin), VECTOR),
    ("asinh", Function::Math(Math::Asinh), VECTOR),
    ("atan", Function::Math(Math::Atan), VECTOR),
    ("atanh", Function::Math(Math::Atanh), VECTOR),
    ("avg_over_time", Function::Over(Over::Avg), MATRIX),
    ("ceil", Function::Math(Math::Ceil), VECTOR),
    ("changes", Function::Over(Over::Changes), MATRIX),
    ("clamp", Function::Math(Math::Clamp), CLAMP),
    ("clamp_max", Function::Math(Math::ClampMax), VECTOR_SCALAR),
    ("clamp_min", Function::Math(Math::ClampMin), VECTOR_SCALAR),
    ("cos", Function::Math(Math::Cos), VECTOR),
    ("cosh", Function::Math(Math::Cosh), VECTOR),
    ("count_over_time", Function::Over(Over::Count), MATRIX),
    ("day_of_month", Function::Date(Part::DayOfMonth), DATE),
    ("day_of_week", Function::Date(Part::DayOfWeek), DATE),
    ("day_of_year", Function::Date(Part::DayOfYear), DATE),
    ("days_in_month", Function::Date(Part::DaysInMonth), DATE),
    ("deg", Function::Math(Math::Deg), VECTOR),
    ("delta", Function::Over(Over::Delta), MATRIX),
    ("deriv", Function::Over(Over::Deriv), MATRIX),
    ("exp", Function::Math(Math::Exp), VECTOR),
    ("floor", Function::Math(Math::Floor), VECTOR),
    ("histogram_avg", Function::HistogramAvg, VECTOR),
    ("histogram_count", Function::HistogramCount, VECTOR),
    ("histogram_fraction", Function::HistogramFraction, FRACTION),
    ("histogram_quantile", Function::HistogramQuantile, SCALAR_VECTOR),
    ("histogram_stddev", Function::HistogramStddev, VECTOR),
    ("histogram_stdvar", Function::HistogramStdvar, VECTOR),
    ("histogram_sum", Function::HistogramSum, VECTOR),
    ("hour", Function::Date(Part::Hour), DATE),
    ("idelta", Function::Over(Over::Idelta), MATRIX),
    ("increase", Function::Over(Over::Increase), MATRIX),
    ("irate", Function::Over(Over::Irate), MATRIX),
    ("label_join", Function::LabelJoin, JOIN),
    ("label_replace", Function::LabelReplace, REPLACE),
    ("last_over_time", Function::Over(Over::Last), MATRIX),
    ("ln", Function::Math(Math::Ln), VECTOR),
    ("log10", Function::Math(Math::Log10), VECTOR),
    ("log2", Function::Math(Math::Log2), VECTOR),
    ("max_over_time", Function::Over(Over::Max), MATRIX),
    ("min_over_time", Function::Over(Over::Min), MATRIX),
    ("minute", Function::Date(Part::Minute), DATE),
    ("month", Function::Date(Part::Month), DATE),
    ("pi", Function::Pi, NONE),
    ("predict_linear", Function::Over(Over::PredictLinear), MATRIX_SCALAR),
    ("present_over_time", Function::Over(Over::Present), MATRIX),
    ("quantile_over_time", Function::Over(Over::Quantile), SCALAR_MATRIX),
    ("rad", Function::Math(Math::Rad), VECTOR),
    ("rate", Function::Over(Over::Rate), MATRIX),
    ("resets", Function::Over(Over::Resets), MATRIX),
    ("round", Function::Math(Math::Round), ROUND),
    ("scalar", Function::Scalar, VECTOR),
    ("sgn", Function::Math(Math::Sgn), VECTOR),
    ("sin", Function::Math(Math::Sin), VECTOR),
    ("sinh", Function::Math(Math::Sinh), VECTOR),
    ("sort", Function::Sort, VECTOR),
    ("sort_desc", Function::SortDesc, VECTOR),
    ("sqrt", Function::Math(Math::Sqrt), VECTOR),
    ("stddev_over_time", Function::Over(Over::Stddev), MATRIX),
    ("stdvar_over_time", Function::Over(Over::Stdvar), MATRIX),
    ("sum_over_time", Function::Over(Over::Sum), MATRIX),
    ("tan", Function::Math(Math::Tan), VECTOR),
    ("tanh", Function::Math(Math::Tanh), VECTOR),
    ("time", Function::Time, NONE),
    ("timestamp", Function::Timestamp, VECTOR),
    ("vector", Function::Vector, SCALAR),
    ("year", Function::Date(Part::Year), DATE),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<(Self, Signature)> {
        TABLE.iter().find(|(own, _, _)| *own == name).map(|&(_, function, signature)| (function, signature))
    }

    pub(super) fn gives(self) -> Kind {
        if matches!(self, Self::Time | Self::Scalar | Self::Pi) { Kind::Scalar } else { Kind::Vector }
    }
}

impl Signature {
    pub(super) fn check(self, name: &str, arguments: &[Node]) -> Result<(), Error> {
        let wanted = self.kinds.len();
        let least = wanted - usize::from(self.last != Last::Once);
        if arguments.len() < least || (arguments.len() > wanted && self.last != Last::AnyTimes) {
            return Err(Error::Type(format!("{name}() takes {wanted} arguments, not {}", arguments.len())));
        }
        let kinds = self.kinds.iter().chain(std::iter::repeat(self.kinds.last().unwrap_or(&Kind::Vector)));
        for (argument, wanted) in arguments.iter().zip(kinds) {
            if argument.kind() != *wanted {
                let given = argument.kind().name();
                return Err(Error::Type(format!("{name}() takes {} here, not {given}", wanted.name())));
            }
        }
        Ok(())
    }
}
