//! Listeners of one configuration that cannot be bound side by side.

use std::net::{IpAddr, SocketAddr};

use weir_service::config::Address;

/// Names the first two keys whose addresses clash. Port 0 is another one each time.
pub(crate) fn check(listeners: &[(&str, String)]) -> Result<(), String> {
    for (at, (first, one)) in listeners.iter().enumerate() {
        for (second, other) in &listeners[at + 1..] {
            if clash(one, other) {
                return Err(format!(
                    "`{first}` and `{second}`: {one} and {other} cannot both be listened on: give one of them another \
                     port"
                ));
            }
        }
    }
    Ok(())
}

/// A name other than localhost may be any address: it clashes with the same name, and with all addresses.
fn clash(one: &str, other: &str) -> bool {
    match (one.parse::<Address>(), other.parse::<Address>()) {
        (Ok(Address(one)), Ok(Address(other))) => {
            one.port() != 0 && one.port() == other.port() && overlap(one.ip(), other.ip())
        }
        (Ok(Address(known)), Err(_)) => is_everywhere(known, other),
        (Err(_), Ok(Address(known))) => is_everywhere(known, one),
        (Err(_), Err(_)) => one.eq_ignore_ascii_case(other) && port(one) != Some(0),
    }
}

fn overlap(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    // All addresses of IPv6 are those of IPv4, too.
    let covers = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}

fn is_everywhere(known: SocketAddr, name: &str) -> bool {
    known.port() != 0 && known.ip().is_unspecified() && port(name) == Some(known.port())
}

fn port(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_clash_where_one_holds_the_other() {
        for (one, other, right) in [
            ("127.0.0.1:4317", "127.0.0.1:4317", true),
            ("127.0.0.1:4317", "127.0.0.1:4318", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:0", "127.0.0.1:0", false),
            ("127.0.0.1:4317", "127.0.0.2:4317", false),
            ("0.0.0.0:4317", "127.0.0.1:4317", true),
            ("localhost:4317", "127.0.0.1:4317", true),
            ("LOCALHOST:4317", "127.0.0.2:4317", false),
            ("[::1]:4317", "127.0.0.1:4317", false),
            ("[::]:4317", "127.0.0.1:4317", true),
            ("[::]:4317", "0.0.0.0:4317", true),
            ("[::]:4317", "[::1]:4317", true),
            ("0.0.0.0:4317", "[::1]:4317", false),
            ("[::ffff:127.0.0.1]:4317", "127.0.0.1:4317", true),
            ("weir:4317", "weir:4317", true),
            ("weir:0", "weir:0", false),
            ("weir:4317", "0.0.0.0:4317", true),
            ("weir:4317", "0.0.0.0:4318", false),
            ("weir:4317", "127.0.0.1:4317", false),
        ] {
            assert_eq!((clash(one, other), clash(other, one)), (right, right), "{one} {other}");
        }
    }

    #[test]
    fn what_clashes_cannot_be_bound_together_and_all_else_can() {
        let is_dual = std::net::TcpListener::bind("[::]:0").is_ok();
        let hosts = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::]"];
        for one in hosts.iter().filter(|host| is_dual || !host.contains(':')) {
            for other in hosts.iter().filter(|host| is_dual || !host.contains(':')) {
                // Another program may have the port there, but hardly several in a row.
                let is_bound = (0..5).any(|_| {
                    let first = std::net::TcpListener::bind(format!("{one}:0")).unwrap();
                    let port = first.local_addr().unwrap().port();
                    std::net::TcpListener::bind(format!("{other}:{port}")).is_ok()
                });
                assert_eq!(clash(&format!("{one}:9"), &format!("{other}:9")), !is_bound, "{one} {other}");
            }
        }
    }

    #[test]
    fn both_keys_are_named() {
        let listeners = |port: u16| {
            let otlp = |port| format!("127.0.0.1:{port}");
            [("listen", otlp(port)), ("collector.otlp.grpc", otlp(4317)), ("collector.otlp.http", otlp(4318))]
        };
        assert_eq!(check(&listeners(7400)), Ok(()));
        let told = check(&listeners(4318)).unwrap_err();
        assert!(told.starts_with("`listen` and `collector.otlp.http`: 127.0.0.1:4318 and 127.0.0.1:4318 "), "{told}");
    }
}
