//! Clients over a real connection that do not read, or leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::metrics::MeterProvider as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use weir_query::line::{Body, Line, LineId};
use weir_service::http::Server;

use crate::Search;
use crate::head::InMemory;
use crate::schedule::Scheduler;
use crate::snapshot::{Candidate, Lines, Needs, Opened, Snapshot};

/// Lines of 1 MiB, one to a time, each of which takes some time to read.
struct Slow {
    lines: i64,
    pause: Duration,
    read: Arc<AtomicUsize>,
}

struct One {
    at: i64,
    pause: Duration,
    read: Arc<AtomicUsize>,
}

impl Lines for One {
    fn min_time(&self) -> i64 {
        self.at
    }
    fn max_time(&self) -> i64 {
        self.at
    }
    fn count(&self) -> usize {
        1
    }
    fn is_in_memory(&self) -> bool {
        true
    }
    fn lines(&self) -> Result<Arc<Vec<Line>>, crate::Error> {
        self.read.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.pause);
        Ok(Arc::new(vec![Line {
            id: LineId { partition: 0, offset: self.at, index: 0 },
            time: self.at,
            severity: 0,
            severity_text: String::new(),
            body: Body::Text("x".repeat(1 << 20)),
            trace_id: Bytes::new(),
            span_id: Bytes::new(),
            attributes: Vec::new(),
            source: Arc::default(),
            span: None,
        }]))
    }
    fn open(&self) -> Result<Box<dyn Opened>, crate::Error> {
        Ok(Box::new(InMemory(self.lines()?)))
    }
}

impl Snapshot for Slow {
    fn within(self: Arc<Self>, _: &crate::Budget) -> Arc<dyn Snapshot> {
        self
    }
    fn candidates(&self, _: &Needs, start: i64, end: i64) -> Result<Vec<Candidate>, crate::Error> {
        let of = |at| Arc::new(One { at, pause: self.pause, read: self.read.clone() }) as Candidate;
        Ok((0..self.lines).filter(|at| (start..end).contains(at)).map(of).collect())
    }
    fn indexed_until(&self) -> i64 {
        0
    }
}

/// Serves the lines; the address, and how many were read.
async fn serve(lines: i64, pause: Duration) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let read = Arc::<AtomicUsize>::default();
    let slow: Arc<dyn Snapshot> = Arc::new(Slow { lines, pause, read: read.clone() });
    let meter = opentelemetry::metrics::noop::NoopMeterProvider::new().meter("test");
    let searches = Scheduler::new(&Search::default(), &meter);
    let routes = super::routes(Arc::new(move |_| slow.clone()), super::tail::Live::new(1), searches);
    let bound = Server::bind("127.0.0.1:0", false).await.unwrap();
    let address = bound.address();
    tokio::spawn(bound.routes(routes).serve(CancellationToken::new()));
    (address, read)
}

async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Until no more lines are read; how many were.
async fn settled(read: &AtomicUsize) -> usize {
    for _ in 0..50 {
        let before = read.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        if before > 0 && read.load(Ordering::Relaxed) == before {
            return before;
        }
    }
    panic!("it reads on and on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_a_client_that_leaves_then_its_search_ends() {
    let (address, read) = serve(10_000, Duration::from_millis(10)).await;
    let leaves = ask(address, "/api/v1/logs/count").await;
    while read.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(leaves);
    assert!(settled(&read).await < 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_a_client_that_does_not_read_then_its_page_waits_and_is_whole_once_it_reads() {
    let (address, read) = serve(64, Duration::ZERO).await;
    let mut idle = ask(address, "/api/v1/logs/search?limit=64").await;
    assert!(settled(&read).await < 64, "one part is made, and what is behind it is not read");
    let mut other = String::new();
    ask(address, "/api/v1/logs/count?start=0&end=1").await.read_to_string(&mut other).await.unwrap();
    assert!(other.contains("200 OK"), "{other}");
    let mut page = Vec::new();
    idle.read_to_end(&mut page).await.unwrap();
    assert!(page.len() > 64 << 20 && page.ends_with(b"0\r\n\r\n"), "{}", page.len());
}
