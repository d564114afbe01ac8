use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, lookup_host};

use super::{Routes, Server};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It is no address.
    #[error("«{address}» is no address to listen on; write host:port, such as 127.0.0.1:7400")]
    Resolve {
        /// As configured.
        address: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Something else listens there.
    #[error("the address {0} is in use by another program")]
    InUse(SocketAddr),
    /// Others could reach it.
    #[error(
        "{0} can be reached from other machines, and there is no authentication: listen on 127.0.0.1, or set \
         `allow_insecure: true`"
    )]
    Insecure(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}")]
    Other {
        /// Resolved.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
}

/// Whether only this machine reaches `host:port`. A name counts as loopback only where it is `localhost`.
pub fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A listener that is bound but does not serve yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    pub(super) async fn new(address: &str, allow_insecure: bool) -> Result<Self, BindError> {
        let resolve = |source| BindError::Resolve { address: address.to_owned(), source };
        let mut resolved = lookup_host(address).await.map_err(resolve)?;
        let resolved = resolved.next().ok_or_else(|| resolve(std::io::Error::other("the name has no address")))?;
        if !resolved.ip().is_loopback() && !allow_insecure {
            return Err(BindError::Insecure(resolved));
        }
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => BindError::InUse(resolved),
            _ => BindError::Other { address: resolved, source },
        };
        let listener = TcpListener::bind(resolved).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens; the port is the one that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is served there.
    pub fn routes(self, routes: Routes) -> Server {
        Server::new(self, routes)
    }
}
