//! Why a request is not taken, in the words of both protocols. What may be tried again says when; what may not, does
//! not, so that a sender neither loses data for a full queue nor sends a broken request for ever.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use prost::Message;
use tonic::{Code, Status};

use super::wire::Malformed;

/// After this long a refused request may be tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Malformed(#[from] Malformed),
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
    #[error("the bus is away; try again")]
    Away,
    #[error("the bus did not take it in time; try again")]
    Late,
    #[error("the bus does not take it: {0}; try again")]
    Bus(#[from] weir_bus::Error),
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

impl Refusal {
    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Encoding { .. } | Self::Frame(_) | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::UnknownEncoding(_) | Self::UnknownType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Away | Self::Late | Self::Bus(_) | Self::Internal => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::Encoding { .. } | Self::Frame(_) | Self::UnknownType(_) => Code::InvalidArgument,
            Self::UnknownEncoding(_) => Code::Unimplemented,
            Self::TooLarge { .. } | Self::Busy => Code::ResourceExhausted,
            Self::Slow(_) => Code::DeadlineExceeded,
            Self::Broken(_) => Code::Cancelled,
            Self::Away | Self::Late | Self::Bus(_) | Self::Internal => Code::Unavailable,
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Away | Self::Late | Self::Bus(_) | Self::Internal)
    }

    fn status(&self) -> RpcStatus {
        let details = if self.is_passing() {
            let seconds = RETRY_AFTER.as_secs() as i64;
            let value = RetryInfo { retry_delay: Some(Delay { seconds, nanos: 0 }) }.encode_to_vec();
            vec![Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value }]
        } else {
            Vec::new()
        };
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
        if self.is_passing() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
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
