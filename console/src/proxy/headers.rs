//! Which headers pass.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Of one connection (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a role gets: the visitor's credential, never its cookies, and its address at the end of `X-Forwarded-For`.
pub(super) fn of_request(headers: &HeaderMap, peer: Option<IpAddr>) -> HeaderMap {
    let mut passed = end_to_end(headers);
    for name in [header::COOKIE, header::HOST, header::EXPECT] {
        passed.remove(name);
    }
    if let Some(peer) = peer {
        let before = passed.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<String> = before.map(str::to_owned).chain([peer.to_canonical().to_string()]).collect();
        if let Ok(hops) = HeaderValue::from_str(&hops.join(", ")) {
            passed.insert(FORWARDED_FOR, hops);
        }
    }
    passed
}

/// What the visitor gets: nothing that sets cookies or lets other origins read.
pub(super) fn of_answer(headers: &HeaderMap) -> HeaderMap {
    let mut passed = end_to_end(headers);
    passed.remove(header::SET_COOKIE);
    for name in headers.keys().filter(|name| name.as_str().starts_with("access-control-")) {
        passed.remove(name);
    }
    passed
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut passed = headers.clone();
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    for name in named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok()) {
        passed.remove(name);
    }
    for name in &HOP_BY_HOP {
        passed.remove(name);
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn a_role_gets_the_visitors_credential_and_address_but_no_cookie_and_nothing_of_the_connection() {
        let sent = map(&[
            ("host", "console:7400"),
            ("authorization", "Bearer weir_x"),
            ("cookie", "weir_session=secret"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-scope-orgid", "acme"),
            ("accept-encoding", "gzip"),
        ]);
        let passed = of_request(&sent, Some("::ffff:192.0.2.7".parse().unwrap()));
        let right = map(&[
            ("authorization", "Bearer weir_x"),
            ("x-forwarded-for", "203.0.113.9, 10.0.0.1, 192.0.2.7"),
            ("x-scope-orgid", "acme"),
            ("accept-encoding", "gzip"),
        ]);
        assert_eq!(passed, right);
        assert_eq!(of_request(&HeaderMap::new(), Some("::1".parse().unwrap())), map(&[("x-forwarded-for", "::1")]));
    }

    #[test]
    fn the_visitor_gets_no_cookie_and_no_other_origin_is_let_in() {
        let sent = map(&[
            ("content-type", "application/json"),
            ("content-range", "bytes 0-1/2"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
            ("transfer-encoding", "chunked"),
        ]);
        let right = map(&[("content-type", "application/json"), ("content-range", "bytes 0-1/2")]);
        assert_eq!(of_answer(&sent), right);
    }
}
