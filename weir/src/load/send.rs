//! Sends requests, a bounded number at once, and tries again what may be tried again.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use weir_proto::otlp::collector::trace::v1::trace_service_client::TraceServiceClient;
use weir_proto::otlp::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};

use super::spans::{Args, Protocol};
use crate::client::address;

/// What became of the requests.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) spans: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) retries: u64,
    pub(super) first_error: Option<String>,
}

/// Sends; waits while too many requests are on their way.
pub(super) struct Sender {
    wire: Wire,
    parallel: usize,
    retry_for: Duration,
    running: JoinSet<Outcome>,
    sent: Sent,
}

struct Outcome {
    spans: u64,
    rejected: u64,
    retries: u64,
    error: Option<String>,
}

#[derive(Clone)]
enum Wire {
    Grpc { client: TraceServiceClient<Channel>, bearer: Option<AsciiMetadataValue> },
    Http { client: reqwest::Client, url: String, json: bool },
}

enum Failure {
    Retry(String),
    Final(String),
}

impl Sender {
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(30);
        let url = address("--endpoint", &args.endpoint)?;
        let wire = if args.protocol == Protocol::Grpc {
            let (endpoint, bearer) = args.access.grpc(&url)?;
            Wire::Grpc { client: TraceServiceClient::new(endpoint.timeout(timeout).connect_lazy()), bearer }
        } else {
            let client = args.access.http(&url)?.timeout(timeout).build().context("cannot make an HTTP client")?;
            let url = format!("{}/v1/traces", url.as_str().trim_end_matches('/'));
            Wire::Http { client, url, json: args.protocol == Protocol::HttpJson }
        };
        let (parallel, retry_for) = (args.parallel as usize, args.retry_for);
        Ok(Self { wire, parallel, retry_for, running: JoinSet::new(), sent: Sent::default() })
    }

    pub(super) async fn send(&mut self, request: ExportTraceServiceRequest, spans: u64) {
        while self.running.len() >= self.parallel {
            self.collect().await;
        }
        let (wire, retry_for) = (self.wire.clone(), self.retry_for);
        self.running.spawn(async move {
            let started = Instant::now();
            let mut pause = Duration::from_millis(50);
            let mut retries = 0;
            loop {
                match wire.send(&request).await {
                    Ok(rejected) => return Outcome { spans, rejected, retries, error: None },
                    Err(Failure::Retry(_)) if started.elapsed() < retry_for => {
                        retries += 1;
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(2));
                    }
                    Err(Failure::Retry(error) | Failure::Final(error)) => {
                        return Outcome { spans, rejected: spans, retries, error: Some(error) };
                    }
                }
            }
        });
        self.sent.spans += spans;
    }

    pub(super) async fn finish(mut self) -> Sent {
        while !self.running.is_empty() {
            self.collect().await;
        }
        self.sent
    }

    async fn collect(&mut self) {
        match self.running.join_next().await {
            Some(Ok(outcome)) => {
                let rejected = outcome.rejected.min(outcome.spans);
                self.sent.accepted += outcome.spans - rejected;
                self.sent.refused += rejected;
                self.sent.retries += outcome.retries;
                if self.sent.first_error.is_none() {
                    self.sent.first_error = outcome.error;
                }
            }
            Some(Err(error)) if self.sent.first_error.is_none() => self.sent.first_error = Some(error.to_string()),
            _ => {}
        }
    }
}

impl Wire {
    /// Number of spans that the receiver rejected.
    async fn send(&self, request: &ExportTraceServiceRequest) -> Result<u64, Failure> {
        let response = match self {
            Self::Grpc { client, bearer } => {
                let mut request = tonic::Request::new(request.clone());
                if let Some(bearer) = bearer {
                    request.metadata_mut().insert("authorization", bearer.clone());
                }
                match client.clone().export(request).await {
                    Ok(response) => response.into_inner(),
                    Err(status) => return Err(of_status(&status)),
                }
            }
            Self::Http { client, url, json } => {
                let (kind, body) = if *json {
                    let body = serde_json::to_vec(request).map_err(|error| Failure::Final(error.to_string()))?;
                    ("application/json", body)
                } else {
                    ("application/x-protobuf", request.encode_to_vec())
                };
                let sent = client.post(url).header("content-type", kind).body(body).send().await;
                let answer = sent.map_err(|error| Failure::Retry(error.to_string()))?;
                let status = answer.status();
                let body = answer.bytes().await.map_err(|error| Failure::Retry(error.to_string()))?;
                if !status.is_success() {
                    let error = format!("{status}: {}", String::from_utf8_lossy(&body));
                    return Err(match status.as_u16() {
                        429 | 502 | 503 | 504 => Failure::Retry(error),
                        401 => Failure::Final(error + UNAUTHENTICATED),
                        _ => Failure::Final(error),
                    });
                }
                // A proto3 message of zero fields is no bytes, and some receivers answer JSON with none too.
                let parsed = if body.is_empty() {
                    Ok(ExportTraceServiceResponse::default())
                } else if *json {
                    serde_json::from_slice(&body).map_err(|error| error.to_string())
                } else {
                    ExportTraceServiceResponse::decode(body).map_err(|error| error.to_string())
                };
                parsed.map_err(|error| Failure::Final(format!("the answer cannot be read: {error}")))?
            }
        };
        Ok(response.partial_success.map_or(0, |partial| partial.rejected_spans.max(0) as u64))
    }
}

/// What a sender without a credential is to do.
const UNAUTHENTICATED: &str = " (the credential is given by --token or WEIR_TOKEN)";

/// As OTLP says; RESOURCE_EXHAUSTED counts as retryable, since weir answers it with a delay.
fn of_status(status: &tonic::Status) -> Failure {
    use tonic::Code;
    let error = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Failure::Retry(error),
        Code::Unauthenticated => Failure::Final(error + UNAUTHENTICATED),
        _ => Failure::Final(error),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tonic::transport::server::TcpIncoming;
    use tonic::{Request, Response, Status};
    use weir_proto::otlp::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    /// Takes what comes with the right token.
    struct Guarded;

    #[tonic::async_trait]
    impl TraceService for Guarded {
        async fn export(
            &self,
            request: Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            match request.metadata().get("authorization") {
                Some(value) if value == "Bearer weir_x" => Ok(Response::new(ExportTraceServiceResponse::default())),
                _ => Err(Status::unauthenticated("who are you?")),
            }
        }
    }

    #[tokio::test]
    async fn the_token_goes_with_every_grpc_request_and_without_it_the_report_says_what_to_do() {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Guarded));
        tokio::spawn(server.serve_with_incoming(incoming));
        let send = async |token: &str| {
            let cli = Cli::parse_from(["load", "--endpoint", &endpoint, "--token", token, "--rate", "0"]);
            let mut sender = Sender::new(&cli.args).unwrap();
            for _ in 0..3 {
                sender.send(ExportTraceServiceRequest::default(), 1).await;
            }
            sender.finish().await
        };
        let sent = send("weir_x").await;
        assert_eq!((sent.accepted, sent.first_error), (3, None));
        let sent = send("weir_y").await;
        let told = sent.first_error.unwrap();
        assert_eq!((sent.accepted, sent.refused), (0, 3));
        assert_eq!(told, "Unauthenticated: who are you? (the credential is given by --token or WEIR_TOKEN)");
    }
}
