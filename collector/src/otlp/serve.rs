//! Connections of one listener: HTTP/1 and HTTP/2, bounded in number, ended gracefully.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use weir_service::http::Accept;
use weir_service::tls::Tls;

use crate::limits::Windows;

/// More callers wait in the listener's backlog; one address has at most half of them.
const MAX_CONNECTIONS: usize = 1024;

/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// Of one HTTP/2 frame, where the sender makes such: most requests are one.
const MAX_FRAME: u32 = 256 << 10;

/// What is being answered has this long to end.
const DRAIN: Duration = Duration::from_secs(9);

/// Serves until cancelled; then takes no new requests and answers those it has.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    windows: Windows,
    shutdown: CancellationToken,
) {
    let builder = builder(windows);
    let accept = Accept { name: "otlp", builder, tls, connections: MAX_CONNECTIONS, drain: DRAIN };
    accept.serve(listener, router, shutdown).await;
}

fn builder(windows: Windows) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Also how long a connection may be idle between requests: exporters of metrics come once a minute.
    builder.http1().timer(TokioTimer::new()).max_buf_size(windows.http1).header_read_timeout(Duration::from_secs(90));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_frame_size(MAX_FRAME)
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .keep_alive_interval(Duration::from_mins(1))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
