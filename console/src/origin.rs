//! Requests that change something must not come from a page of another site (CSRF).

use http::{HeaderMap, HeaderName, Method, Uri, header};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request may go on. `target` is its address, which holds the host in HTTP/2. A browser cannot be made to send
/// `authorization` by another site, so who brings one is no victim.
pub(crate) fn is_allowed(method: &Method, target: &Uri, headers: &HeaderMap, has_session: bool) -> bool {
    if method.is_safe() || headers.contains_key(header::AUTHORIZATION) {
        return true;
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text(&SITE), text(&header::ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        // Browsers send no `Sec-Fetch-Site` over plain HTTP to other machines.
        (None, Some(origin)) => {
            let host = target.authority().map(http::uri::Authority::as_str).or(text(&header::HOST));
            let of_origin = origin.split_once("://").map(|(_, host)| host);
            of_origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
        }
        // No browser.
        (None, None) => !has_session,
    }
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
            ("POST", &[host, ("sec-fetch-site", "cross-site"), ("authorization", "Bearer x")], session, true),
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
    fn given_http_2_then_the_host_is_in_the_address() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://weir.example"));
        for (target, right) in [("https://weir.example/x", true), ("https://other.example/x", false)] {
            assert_eq!(is_allowed(&Method::POST, &Uri::from_static(target), &headers, true), right, "{target}");
        }
    }
}
