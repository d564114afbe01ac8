//! How every weir program starts, serves, tells of itself and stops. Knows no room.
//!
//! Every room has the same shape:
//! ```text
//! let room = Room::open(options, context, bus).await?;  // whatever can fail at start fails here, ports are bound here
//! let handle = room.handle();                           // cheap to clone: routes(), addresses
//! room.run(shutdown).await?;                            // until the token is cancelled; then drain, commit, return
//! ```

pub mod audit;
pub mod auth;
pub mod config;
pub mod elastic;
pub mod file;
pub mod globs;
pub mod health;
pub mod http;
pub mod lock;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod terminal;
pub mod time;
pub mod tls;

use std::path::PathBuf;

use opentelemetry::metrics::Meter;

/// What every room gets from the program around it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// All state of the role lies below this folder.
    pub data_dir: PathBuf,
    /// Makes the room's instruments; shown at `/metrics` and exported over OTLP where that is configured.
    pub meter: Meter,
    /// Readiness, part by part: `/readyz`.
    pub health: health::Health,
    /// Who may send: asked by listeners of a room's own.
    pub auth: auth::Auth,
}
