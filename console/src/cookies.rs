use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};

/// A cookie of the console. No script reads it, and no request that another site caused brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Which session a browser has.
    Session,
    /// Which sign-in at the identity provider a browser has begun.
    SignIn,
}

impl Cookie {
    /// Browsers take a name that begins with `__Host-` over TLS alone, and from this host alone.
    fn name(self, is_secure: bool) -> &'static str {
        match (self, is_secure) {
            (Self::Session, false) => "weir_session",
            (Self::Session, true) => "__Host-weir_session",
            (Self::SignIn, false) => "weir_sign_in",
            (Self::SignIn, true) => "__Host-weir_sign_in",
        }
    }

    /// Its value in a request.
    pub(crate) fn of(self, headers: &HeaderMap, is_secure: bool) -> Option<&str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, value)| *name == self.name(is_secure) && !value.is_empty()).map(|(_, value)| value)
    }

    /// `Set-Cookie` that sets it until the browser ends, or for `seconds`.
    pub(crate) fn set(self, value: &str, seconds: Option<u64>, is_secure: bool) -> HeaderValue {
        let mut text = format!("{}={value}; HttpOnly; SameSite=Strict; Path=/", self.name(is_secure));
        if is_secure {
            text.push_str("; Secure");
        }
        if let Some(seconds) = seconds {
            // A String takes what is written to it.
            let _ = write!(text, "; Max-Age={seconds}");
        }
        // A value is base64 of this crate's own.
        let mut header = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }

    /// `Set-Cookie` that removes it.
    pub(crate) fn clear(self, is_secure: bool) -> HeaderValue {
        self.set("", Some(0), is_secure)
    }
}

/// Whether the browser speaks TLS: to the server, or to a proxy that says so. Who claims it wrongly gets a cookie that
/// its own browser does not take.
pub(crate) fn is_secure(headers: &HeaderMap, is_tls: bool) -> bool {
    is_tls || headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookies: &[&'static str], is_secure: bool) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        Cookie::Session.of(&headers, is_secure).map(str::to_owned)
    }

    #[test]
    fn the_cookie_is_found_by_its_whole_name_and_over_tls_only_by_the_name_that_no_other_host_can_set() {
        for (cookies, is_secure, right) in [
            (&["weir_session=a"][..], false, Some("a")),
            (&["x=1; weir_session=a;y=2"], false, Some("a")),
            (&["x=1", "weir_session=a"], false, Some("a")),
            (&["weir_session=a"], true, None),
            (&["weir_session=a; __Host-weir_session=b"], true, Some("b")),
            (&["__Host-weir_session=b"], false, None),
            (&["xweir_session=a; weir_session2=b; weir_session"], false, None),
            (&["weir_session="], false, None),
            (&[], false, None),
        ] {
            assert_eq!(of(cookies, is_secure).as_deref(), right, "{cookies:?} {is_secure}");
        }
    }

    #[test]
    fn every_cookie_is_strict_and_hidden_from_scripts() {
        assert_eq!(Cookie::Session.set("a", None, false), "weir_session=a; HttpOnly; SameSite=Strict; Path=/");
        let secure = Cookie::SignIn.set("a", Some(600), true);
        assert_eq!(secure, "__Host-weir_sign_in=a; HttpOnly; SameSite=Strict; Path=/; Secure; Max-Age=600");
        assert_eq!(Cookie::Session.clear(false), "weir_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
        assert_eq!(format!("{:?}", Cookie::Session.set("secret", None, true)), "Sensitive");
    }
}
