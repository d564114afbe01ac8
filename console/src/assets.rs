//! The bundle that `web/` builds: one page, and the files that it loads, whose names change with their content.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};
use weir_service::http::Problem;

/// In the binary, in debug builds too.
#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Bundle;

/// The page loads nothing from elsewhere, runs no inline script, and is shown in no frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The page; 304 where the browser has it already.
pub(crate) fn page(headers: &HeaderMap) -> Response {
    let Some(file) = Bundle::get("index.html") else { return missing("index.html") };
    // Weak: the same page may be sent compressed.
    let tag = format!("W/\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|known| is_same(known.trim(), &tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body(file)).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    secured(response)
}

/// A file below `assets/`; its name holds the hash of its content, so browsers keep it.
pub(crate) fn asset(name: &str) -> Response {
    let Some(file) = Bundle::get(&format!("assets/{name}")) else { return missing(name) };
    let headers =
        [(header::CONTENT_TYPE, content_type(name)), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    secured((headers, body(file)).into_response())
}

fn body(file: EmbeddedFile) -> Body {
    match file.data {
        std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
        std::borrow::Cow::Owned(bytes) => Body::from(bytes),
    }
}

fn missing(name: &str) -> Response {
    secured(Problem::new(StatusCode::NOT_FOUND, format!("the console has no file {name}")).into_response())
}

fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    response
}

/// Weak comparison of RFC 9110.
fn is_same(known: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    known == "*" || opaque(known) == opaque(tag)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Names and sizes of all files but the page.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = (String, usize)> {
    Bundle::iter().filter(|name| name.starts_with("assets/")).map(|name| {
        let size = Bundle::get(&name).map_or(0, |file| file.data.len());
        (name.into_owned(), size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(response: &Response, name: impl http::header::AsHeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn the_page_is_checked_again_each_time_and_sent_once() {
        let first = page(&HeaderMap::new());
        assert_eq!((first.status(), of(&first, header::CACHE_CONTROL)), (StatusCode::OK, "no-cache"));
        let tag = of(&first, header::ETAG).to_owned();
        for (known, right) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (tag.trim_start_matches("W/").to_owned(), StatusCode::NOT_MODIFIED),
            (format!("\"x\", {tag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"x\"".to_owned(), StatusCode::OK),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&known).unwrap());
            let answer = page(&headers);
            assert_eq!((answer.status(), of(&answer, header::ETAG)), (right, tag.as_str()), "{known}");
            assert!(of(&answer, header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'; script-src 'self';"));
        }
    }

    #[test]
    fn every_asset_has_a_content_type_and_is_kept_for_ever() {
        for name in Bundle::iter() {
            let Some(name) = name.strip_prefix("assets/") else { continue };
            let answer = asset(name);
            assert_ne!(of(&answer, header::CONTENT_TYPE), "application/octet-stream", "{name}");
            assert_eq!(of(&answer, header::CACHE_CONTROL), "public, max-age=31536000, immutable", "{name}");
            assert_eq!(of(&answer, header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{name}");
        }
        for name in ["none-1.js", "../index.html", "", "index.html"] {
            let answer = asset(name);
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{name}");
            assert_eq!(of(&answer, header::CONTENT_TYPE), "application/problem+json", "{name}");
        }
    }

    #[test]
    fn the_page_names_only_files_that_are_there_and_has_no_inline_script_or_style() {
        let html = String::from_utf8(Bundle::get("index.html").unwrap().data.into_owned()).unwrap();
        for attribute in html.split(['"', '\'']).skip(1).step_by(2) {
            if let Some(name) = attribute.trim_start_matches('/').strip_prefix("assets/") {
                assert_eq!(asset(name).status(), StatusCode::OK, "{name}");
            }
        }
        for tag in html.split("<script").skip(1) {
            assert!(tag.split('>').next().unwrap().contains("src="), "an inline script: {tag}");
        }
        assert!(!html.contains("<style") && !html.contains(" style="), "inline styles: {html}");
    }
}
