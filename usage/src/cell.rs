//! The unit of usage: what one interface of one service of one tenant did in one hour of event time.

/// Whose and what: the key of a cell besides its hour. GPU usage has no interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Tenant.
    pub tenant: String,
    /// `service.name`.
    pub service: String,
    /// What the caller calls; empty for GPU usage.
    pub interface: String,
}

/// Longest part of a name, in bytes: what databases index.
const NAME_BYTES: usize = 256;

impl Name {
    /// As it is kept: without control characters, which databases refuse, and not longer than 256 bytes a part.
    pub fn new(tenant: &str, service: &str, interface: &str) -> Self {
        let kept = |text: &str| {
            let clipped = &text[..text.floor_char_boundary(NAME_BYTES)];
            clipped.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
        };
        Self { tenant: kept(tenant), service: kept(service), interface: kept(interface) }
    }
}

/// What is added up. Whole numbers throughout, so that sums are exact in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Calls.
    pub calls: u64,
    /// Calls that failed; part of `calls`.
    pub errors: u64,
    /// Bytes of requests' bodies.
    pub request_bytes: u64,
    /// Bytes of responses' bodies.
    pub response_bytes: u64,
    /// Tokens that models read.
    pub input_tokens: u64,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// GPU time in microseconds.
    pub gpu_micros: u64,
    /// Energy of GPUs in millijoules.
    pub energy_millijoules: u64,
}

impl Sums {
    /// Number of fields.
    pub const FIELDS: usize = 8;

    /// The fields, in order.
    pub fn to_array(self) -> [u64; Self::FIELDS] {
        let Self {
            calls,
            errors,
            request_bytes,
            response_bytes,
            input_tokens,
            output_tokens,
            gpu_micros,
            energy_millijoules,
        } = self;
        [calls, errors, request_bytes, response_bytes, input_tokens, output_tokens, gpu_micros, energy_millijoules]
    }

    /// From the fields, in order.
    pub fn from_array(fields: [u64; Self::FIELDS]) -> Self {
        let [calls, errors, request_bytes, response_bytes, input_tokens, output_tokens, gpu_micros, energy_millijoules] =
            fields;
        Self {
            calls,
            errors,
            request_bytes,
            response_bytes,
            input_tokens,
            output_tokens,
            gpu_micros,
            energy_millijoules,
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        let (one, other) = (self.to_array(), other.to_array());
        *self = Self::from_array(std::array::from_fn(|at| one[at].saturating_add(other[at])));
    }

    /// These less others that are part of them.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let (one, other) = (self.to_array(), other.to_array());
        Self::from_array(std::array::from_fn(|at| one[at].saturating_sub(other[at])))
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}
