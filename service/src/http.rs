//! The HTTP server, its routes, its limits and its errors.
//!
//! ```text
//! let bound = Server::bind("127.0.0.1:7400", false).await?;      // port 0 picks one; the address is known from here on
//! let server = bound.routes(routes).auth(auth).health(health).telemetry(telemetry);
//! server.serve(shutdown).await;                                  // until the token is cancelled; then drain
//! ```

mod about;
mod accept;
mod before;
mod bind;
mod compress;
mod door;
mod extract;
mod form;
mod guard;
mod openapi;
mod peer;
mod problem;
mod routes;
mod server;

pub use accept::{Accept, Peer};
pub use before::Before;
pub use bind::{BindError, Bound, is_loopback};
pub use extract::{Json, Query};
pub use form::Form;
pub use guard::Limits;
pub use problem::Problem;
pub use routes::{Parameter, Route, Routes};
pub use server::Server;

#[cfg(test)]
mod tests;
