//! Browsers that send OTLP/HTTP from a page of another origin: they ask first, and show the page no answer that does not
//! allow it.

use std::time::Duration;

use axum::Router;
use http::{HeaderValue, Method, Uri, header};
use serde::Deserialize;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// So long a browser may keep the answer to its question; it keeps none longer.
const MAX_AGE: Duration = Duration::from_hours(2);

/// Which pages may send OTLP/HTTP from a browser.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsOptions {
    /// Their origins.
    pub origins: Vec<Origin>,
}

/// The origin of a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Origin {
    /// `*`.
    Any,
    /// As browsers send it: `https://shop.example`, `http://localhost:3000`.
    Exact(HeaderValue),
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let parts = text.parse::<Uri>().ok().map(Uri::into_parts);
        let origin = parts.and_then(|parts| Some(format!("{}://{}", parts.scheme?, parts.authority?).to_lowercase()));
        let exact = origin.filter(|origin| *origin == text && !text.contains(['*', '@']));
        exact.and_then(|origin| HeaderValue::from_str(&origin).ok()).map(Self::Exact).ok_or_else(|| {
            format!(
                "`{text}` is no origin: write it as browsers send it, https://HOST or https://HOST:PORT in lower case \
                 and without a path, or *"
            )
        })
    }
}

/// The same, answering browsers as the options say; without options they are told nothing, so they send nothing.
pub(super) fn allow(router: Router, options: Option<&CorsOptions>) -> Router {
    let Some(CorsOptions { origins }) = options else { return router };
    let exact = origins.iter().filter_map(|origin| match origin {
        Origin::Any => None,
        Origin::Exact(origin) => Some(origin.clone()),
    });
    let allowed = if origins.contains(&Origin::Any) { AllowOrigin::any() } else { AllowOrigin::list(exact) };
    router.layer(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::POST])
            // Content type and encoding, authorization, trace context, and whatever a gateway on the way asks for.
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([header::RETRY_AFTER])
            .max_age(MAX_AGE)
            .vary([header::ORIGIN]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for text in ["https://shop.example", "http://localhost:3000", "http://[::1]:8080", "capacitor://localhost"] {
            assert_eq!(Origin::try_from(text.to_owned()), Ok(Origin::Exact(HeaderValue::from_static(text))));
        }
        assert_eq!(Origin::try_from("*".to_owned()), Ok(Origin::Any));
        for text in ["", "shop.example", "https://shop.example/", "https://Shop.example", "https://*.example", "a b"] {
            assert!(Origin::try_from(text.to_owned()).unwrap_err().contains("is no origin"), "{text}");
        }
    }
}
