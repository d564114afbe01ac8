//! Requests that change something must not come from a page of another site (CSRF), and where no credential is asked for,
//! none at all from a page whose name leads here (DNS rebinding).

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Uri, header};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request may go on. `target` is its address, which holds the host in HTTP/2. `authorization` says nothing of
/// who sends it: browsers add the password of Basic by themselves.
pub(crate) fn is_allowed(method: &Method, target: &Uri, headers: &HeaderMap, has_session: bool) -> bool {
    if method.is_safe() {
        return true;
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(&SITE), text(&header::ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        // Browsers send no `Sec-Fetch-Site` over plain HTTP to other machines.
        (None, Some(origin)) => {
            let host = host(target, headers);
            let of_origin = origin.split_once("://").map(|(_, host)| host);
            of_origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
        }
        // No browser.
        (None, None) => !has_session,
    }
}

/// Whether the host of a request is none that a stranger's name can be: it is an address, `localhost`, or a name without a
/// dot. A page of another site can have its own name lead to this machine, and is then of the same origin; without `auth`
/// it would be let in.
pub(crate) fn is_of_this_machine(target: &Uri, headers: &HeaderMap) -> bool {
    let Some(host) = host(target, headers) else { return true };
    let name = host.parse::<Authority>().map(|authority| authority.host().to_ascii_lowercase()).unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || name.ends_with(".localhost") || (!name.is_empty() && !name.contains('.'))
}

fn host<'a>(target: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let of_header = || headers.get(header::HOST).map(|value| value.to_str().unwrap_or_default());
    target.authority().map(Authority::as_str).or_else(of_header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn given_a_request_that_writes_then_it_must_be_of_the_same_origin_or_bring_its_own_credential() {
        let host = ("host", "weir.example:7400");
        let session = true;
        for (method, headers, has_session, right) in [
            ("POST", &[host, ("sec-fetch-site", "same-origin")][..], session, true),
            ("POST", &[host, ("sec-fetch-site", "none")], session, true),
            ("POST", &[host, ("sec-fetch-site", "same-site")], session, false),
            ("POST", &[host, ("sec-fetch-site", "cross-site")], !session, false),
            ("DELETE", &[host, ("sec-fetch-site", "cross-site")], !session, false),
            ("PUT", &[host, ("sec-fetch-site", "cross-site"), ("origin", "http://weir.example:7400")], session, false),
            ("POST", &[host, ("origin", "http://weir.example:7400")], session, true),
            ("POST", &[host, ("origin", "https://WEIR.example:7400")], session, true),
            ("POST", &[host, ("origin", "http://weir.example")], session, false),
            ("POST", &[host, ("origin", "http://evil.example")], !session, false),
            ("POST", &[host, ("origin", "http://weir.example:7400.evil.example")], session, false),
            ("POST", &[host, ("origin", "null")], !session, false),
            ("POST", &[("origin", "http://weir.example:7400")], session, false),
            ("POST", &[host], session, false),
            ("POST", &[host], !session, true),
            ("BREW", &[host], session, false),
            ("POST", &[host, ("sec-fetch-site", "cross-site"), ("authorization", "Basic x")], !session, false),
            ("POST", &[host, ("origin", "http://evil.example"), ("authorization", "Basic x")], !session, false),
            ("POST", &[host, ("authorization", "Bearer x")], !session, true),
            ("GET", &[host, ("sec-fetch-site", "cross-site")], session, true),
            ("HEAD", &[host, ("sec-fetch-site", "cross-site")], session, true),
            ("OPTIONS", &[host, ("origin", "http://evil.example")], session, true),
        ] {
            let map =
                headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let allowed = is_allowed(&method.parse().unwrap(), &Uri::from_static("/x"), &map.collect(), has_session);
            assert_eq!(allowed, right, "{method} {headers:?} {has_session}");
        }
    }

    #[test]
    fn a_name_that_others_can_have_lead_here_is_not_of_this_machine() {
        for (host, right) in [
            ("127.0.0.1:7400", true),
            ("127.0.0.1", true),
            ("[::1]:7400", true),
            ("10.1.2.3:7400", true),
            ("localhost:7400", true),
            ("LOCALHOST", true),
            ("weir.localhost:7400", true),
            ("weir", true),
            ("evil.example:7400", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
            ("a b", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_of_this_machine(&Uri::from_static("/x"), &headers), right, "{host}");
        }
        assert!(!is_of_this_machine(&Uri::from_static("http://evil.example/x"), &HeaderMap::new()));
        assert!(is_of_this_machine(&Uri::from_static("/x"), &HeaderMap::new()), "no browser");
    }

    #[test]
    fn given_http_2_then_the_host_is_in_the_address() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://weir.example"));
        for (target, right) in [("https://weir.example/x", true), ("https://other.example/x", false)] {
            assert_eq!(is_allowed(&Method::POST, &Uri::from_static(target), &headers, true), right, "{target}");
        }
    }
}
