//! The HTTP server, its limits and its errors.
//!
//! ```text
//! let bound = Server::bind("127.0.0.1:7400", false).await?;      // port 0 picks one; the address is known from here on
//! let server = bound.router(router).health(health).telemetry(telemetry);
//! server.serve(shutdown).await;                                  // until the token is cancelled; then drain
//! ```

mod bind;
mod extract;
mod guard;
mod peer;
mod problem;
mod server;

pub use bind::{BindError, Bound, is_loopback};
pub use extract::{Json, Query};
pub use guard::Limits;
pub use peer::{Peers, Place, Prompt, set_up};
pub use problem::Problem;
pub use server::Server;

#[cfg(test)]
mod tests;
