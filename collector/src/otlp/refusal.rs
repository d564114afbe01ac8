//! Why a request is not taken, in the words of both protocols. What may be tried again says when; what may not, does
//! not, so that a sender neither loses data for a full queue nor sends a broken request for ever.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message;
use tonic::{Code, Status};
use weir_bus::spool::Refused;

use weir_service::auth::Denied;

use super::split::SplitError;
use super::tenant::{Disagreement, Foreign};
use super::wire::Malformed;

/// After this long a refused request may be tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// After this long a full spool may have room again.
const RETRY_WHEN_DRAINED: Duration = Duration::from_secs(5);

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Foreign(#[from] Foreign),
    #[error("the body is not {encoding}: {source}")]
    Encoding { encoding: &'static str, source: std::io::Error },
    #[error("not a gRPC message: {0}")]
    Frame(&'static str),
    #[error("unknown content-encoding `{0}`: identity, gzip, deflate and zstd are read")]
    UnknownEncoding(String),
    #[error("unknown content-type `{0}`: application/x-protobuf and application/json are read")]
    UnknownType(String),
    #[error("larger than {limit} bytes ({what})")]
    TooLarge { limit: usize, what: &'static str },
    #[error("the body did not come within {0:?}")]
    Slow(Duration),
    #[error("the body broke off: {0}")]
    Broken(axum::Error),
    #[error("too much is being taken in at this moment; try again")]
    Busy,
    #[error("memory is near its limit; try again")]
    Memory,
    #[error("what waits for the bus has filled the disk spool; try again later")]
    Full,
    #[error("the disk spool fails: {0}; try again")]
    Spool(Refused),
    #[error("the bus is away; try again")]
    Away,
    #[error("the bus did not take it in time; try again")]
    Late,
    #[error("the bus does not take it: {0}; try again")]
    Bus(weir_bus::Error),
    #[error("how large a record {0} takes is not known yet, or has changed; try again")]
    LimitUnknown(&'static str),
    #[error("the bus never takes it: {0}")]
    Record(String),
    #[error("internal error; try again")]
    Internal,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl From<weir_bus::Error> for Refusal {
    fn from(error: weir_bus::Error) -> Self {
        if matches!(error, weir_bus::Error::TooLarge { .. }) {
            Self::Record(error.to_string())
        } else {
            Self::Bus(error)
        }
    }
}

impl From<SplitError> for Refusal {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::Malformed(error) => error.into(),
            SplitError::Foreign(error) => error.into(),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::Full,
            Refused::Record(error) => Self::Record(error.to_string()),
            Refused::Failed(_) | Refused::Closed => Self::Spool(refused),
        }
    }
}

impl Refusal {
    /// Whether it is refused because there is nowhere to put it now, rather than for what it is or who sent it.
    pub(super) fn is_for_now(&self) -> bool {
        matches!(self, Self::Full | Self::Spool(_) | Self::Away | Self::Late | Self::Bus(_))
    }

    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Encoding { .. } | Self::Frame(_) | Self::Broken(_) | Self::Record(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Disagreement(_) | Self::Foreign(_) => StatusCode::FORBIDDEN,
            Self::Denied(denied) => denied.status(),
            Self::UnknownEncoding(_) | Self::UnknownType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy | Self::Memory | Self::Full => StatusCode::TOO_MANY_REQUESTS,
            // 408 would be right for a slow one, but OTLP's senders take it for final.
            Self::Slow(_)
            | Self::Spool(_)
            | Self::Away
            | Self::Late
            | Self::Bus(_)
            | Self::LimitUnknown(_)
            | Self::Internal => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::Encoding { .. } | Self::Frame(_) | Self::UnknownType(_) | Self::Record(_) => {
                Code::InvalidArgument
            }
            Self::Disagreement(_) | Self::Foreign(_) => Code::PermissionDenied,
            Self::Denied(denied) => match denied.status() {
                StatusCode::FORBIDDEN => Code::PermissionDenied,
                StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
                StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
                _ => Code::Unauthenticated,
            },
            Self::UnknownEncoding(_) => Code::Unimplemented,
            Self::TooLarge { .. } | Self::Busy | Self::Memory | Self::Full => Code::ResourceExhausted,
            Self::Slow(_) => Code::DeadlineExceeded,
            Self::Broken(_) => Code::Cancelled,
            Self::Spool(_) | Self::Away | Self::Late | Self::Bus(_) | Self::LimitUnknown(_) | Self::Internal => {
                Code::Unavailable
            }
        }
    }

    /// After how long it may be tried again; `None` where it would be refused again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            // Room comes when the bus is back.
            Self::Full => Some(RETRY_WHEN_DRAINED),
            Self::Denied(denied) => denied.retry_after().map(|seconds| Duration::from_secs(seconds.into())),
            Self::Busy
            | Self::Memory
            | Self::Slow(_)
            | Self::Spool(_)
            | Self::Away
            | Self::Late
            | Self::Bus(_)
            | Self::LimitUnknown(_)
            | Self::Internal => Some(RETRY_AFTER),
            _ => None,
        }
    }

    fn status(&self) -> RpcStatus {
        let info = |after: Duration| {
            let retry_delay = Some(Delay { seconds: after.as_secs() as i64, nanos: 0 });
            let value = RetryInfo { retry_delay }.encode_to_vec();
            Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value }
        };
        let details = self.retry_after().map(info).into_iter().collect();
        RpcStatus { code: self.code() as i32, message: self.to_string(), details }
    }

    /// As OTLP/HTTP answers: a `Status` in the request's encoding.
    pub(super) fn http(&self, json: bool) -> Response<Body> {
        let status = self.status();
        let (kind, body) = if json {
            let body = serde_json::json!({"code": status.code, "message": status.message}).to_string();
            ("application/json", body.into_bytes())
        } else {
            ("application/x-protobuf", status.encode_to_vec())
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.http_status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(after) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(r#"Bearer realm="weir""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// As gRPC answers: a response of headers alone.
    pub(super) fn grpc(&self) -> Response<Body> {
        let status = self.status();
        let details = if status.details.is_empty() { Bytes::new() } else { status.encode_to_vec().into() };
        let mut response = Status::with_details(self.code(), status.message, details).into_http::<Body>();
        if matches!(self, Self::UnknownEncoding(_)) {
            let known = HeaderValue::from_static(super::grpc::ENCODINGS);
            response.headers_mut().insert("grpc-accept-encoding", known);
        }
        response
    }
}
