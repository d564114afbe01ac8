//! Whether a call failed: the statuses that are errors of the one that is called.

/// The status of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody said how it went; the attributes do.
    #[default]
    Unset,
    /// Someone said that it went well, whatever the attributes are.
    Ok,
    /// It failed.
    Error,
}

impl From<u64> for Status {
    /// As `opentelemetry.proto.trace.v1.Status` numbers them; a number that it does not have is as unset.
    fn from(code: u64) -> Self {
        match code {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// Codes and names of gRPC's statuses, and whether the server is to blame. The others, such as NOT_FOUND, are answers.
const GRPC: [(&str, bool); 17] = [
    ("OK", false),
    ("CANCELLED", false),
    ("UNKNOWN", true),
    ("INVALID_ARGUMENT", false),
    ("DEADLINE_EXCEEDED", true),
    ("NOT_FOUND", false),
    ("ALREADY_EXISTS", false),
    ("PERMISSION_DENIED", false),
    ("RESOURCE_EXHAUSTED", true),
    ("FAILED_PRECONDITION", false),
    ("ABORTED", false),
    ("OUT_OF_RANGE", false),
    ("UNIMPLEMENTED", false),
    ("INTERNAL", true),
    ("UNAVAILABLE", true),
    ("DATA_LOSS", true),
    ("UNAUTHENTICATED", false),
];

pub(crate) fn is_http_error(status: u64) -> bool {
    status >= 500
}

/// A code that gRPC does not have is none of its errors: it may be one of another protocol.
pub(crate) fn is_grpc_error(code: i64) -> bool {
    usize::try_from(code).ok().and_then(|code| GRPC.get(code)).is_some_and(|(_, error)| *error)
}

/// Whether a status given as text, a name or a number, is an error; `None` where it is neither.
pub(crate) fn is_rpc_error(status: &str) -> Option<bool> {
    let status = status.trim();
    let named = GRPC.iter().find(|(name, _)| name.eq_ignore_ascii_case(status)).map(|(_, error)| *error);
    // The spelling of the Connect protocol.
    let named = named.or_else(|| status.eq_ignore_ascii_case("CANCELED").then_some(false));
    named.or_else(|| status.parse().ok().map(is_grpc_error))
}
