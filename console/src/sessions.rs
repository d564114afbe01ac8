//! Who has signed in: in memory, by the hash of a secret that the browser has in a cookie.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::Mutex;

use crate::secret::{self, Fingerprint};

/// Sessions at the same time; of more, the one that was not used for longest ends.
const MAX_SESSIONS: usize = 10_000;
/// A session that is not used ends.
const MAX_IDLE: Duration = Duration::from_hours(12);
/// An access token is renewed so long before its end.
const RENEW_BEFORE: Duration = Duration::from_secs(30);
/// Every session ends.
const MAX_AGE: Duration = Duration::from_hours(7 * 24);

/// What a session has of its user.
pub(crate) struct Tokens {
    /// `authorization` of its requests; sensitive, so that nothing prints it.
    bearer: HeaderValue,
    /// Of an identity provider.
    pub(crate) granted: Option<Granted>,
}

/// What an identity provider gave besides the access token.
#[derive(Clone, Default)]
pub(crate) struct Granted {
    /// Renews the access token.
    pub(crate) refresh: Option<String>,
    /// Says at sign-out which session at the provider ends.
    pub(crate) id: Option<String>,
    /// When the access token ends, where that was said.
    pub(crate) until: Option<Instant>,
    /// Not before this is a renewal tried again that found the provider away.
    pub(crate) retry: Option<Instant>,
}

/// A session of a request.
#[derive(Clone)]
pub(crate) struct Session {
    key: Fingerprint,
    /// Held while they are renewed, so that this happens once.
    pub(crate) tokens: Arc<tokio::sync::Mutex<Tokens>>,
}

struct Entry {
    began: Instant,
    used: Instant,
    tokens: Arc<tokio::sync::Mutex<Tokens>>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Fingerprint, Entry>>);

impl Tokens {
    /// `None` where the token cannot be sent in a header.
    pub(crate) fn new(bearer: &str, granted: Option<Granted>) -> Option<Self> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {bearer}")).ok()?;
        bearer.set_sensitive(true);
        Some(Self { bearer, granted })
    }

    pub(crate) fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }

    /// `authorization`, unless it should be renewed first.
    pub(crate) fn usable(&self, now: Instant) -> Option<HeaderValue> {
        let is_due = self.granted.as_ref().is_some_and(|granted| granted.is_due(now));
        (!is_due).then(|| self.bearer())
    }
}

impl Granted {
    /// Whether the access token ends soon, and a renewal did not fail just now.
    fn is_due(&self, now: Instant) -> bool {
        let margin = if self.refresh.is_some() { RENEW_BEFORE } else { Duration::ZERO };
        let is_near = self.until.is_some_and(|until| now + margin >= until);
        is_near && (self.is_over(now) || self.retry.is_none_or(|retry| now >= retry))
    }

    /// Whether the access token has ended.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

impl Sessions {
    /// Begins one; its secret, for the cookie.
    pub(crate) fn begin(&self, tokens: Tokens) -> String {
        self.begin_at(tokens, Instant::now())
    }

    fn begin_at(&self, tokens: Tokens, now: Instant) -> String {
        let secret = secret::random();
        let mut sessions = self.0.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, entry| entry.is_alive(now));
        }
        if sessions.len() >= MAX_SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        let tokens = Arc::new(tokio::sync::Mutex::new(tokens));
        sessions.insert(secret::fingerprint(&secret), Entry { began: now, used: now, tokens });
        secret
    }

    /// The session of this secret, which is used now.
    pub(crate) fn find(&self, secret: &str) -> Option<Session> {
        self.find_at(secret, Instant::now())
    }

    fn find_at(&self, secret: &str, now: Instant) -> Option<Session> {
        let key = secret::fingerprint(secret);
        let mut sessions = self.0.lock();
        let entry = sessions.get_mut(&key)?;
        if !entry.is_alive(now) {
            sessions.remove(&key);
            return None;
        }
        entry.used = now;
        Some(Session { key, tokens: entry.tokens.clone() })
    }

    pub(crate) fn end(&self, session: &Session) {
        self.0.lock().remove(&session.key);
    }
}

impl Entry {
    fn is_alive(&self, now: Instant) -> bool {
        now.duration_since(self.used) < MAX_IDLE && now.duration_since(self.began) < MAX_AGE
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sessions", self.0.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Tokens {
        Tokens::new(text, None).unwrap()
    }

    #[test]
    fn a_session_is_found_by_its_secret_until_it_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let [one, other] = ["weir_1", "weir_2"].map(|token| sessions.begin_at(tokens(token), now));
        let found = sessions.find_at(&one, now).unwrap();
        assert_eq!(found.tokens.try_lock().unwrap().bearer(), "Bearer weir_1");
        assert!(one.len() == 43 && one != other && sessions.find_at("guess", now).is_none());
        sessions.end(&found);
        assert!(sessions.find_at(&one, now).is_none() && sessions.find_at(&other, now).is_some());
        assert!(!sessions.0.lock().keys().any(|key| key.as_slice() == other.as_bytes()), "only its hash is kept");
    }

    #[test]
    fn a_session_ends_when_it_is_unused_for_12_hours_or_7_days_old() {
        let (sessions, began) = (Sessions::default(), Instant::now());
        let hours = |hours: u64| began + Duration::from_hours(hours);
        let [idle, busy] = [(); 2].map(|()| sessions.begin_at(tokens("weir_1"), began));
        for hour in (11..168).step_by(11) {
            assert!(sessions.find_at(&busy, hours(hour)).is_some(), "{hour}");
        }
        assert!(sessions.find_at(&busy, hours(168)).is_none());
        assert!(sessions.find_at(&idle, hours(12)).is_none());
        assert!(sessions.0.lock().is_empty());
    }

    #[test]
    fn given_too_many_sessions_then_the_one_that_was_not_used_for_longest_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let seconds = |seconds: u64| now + Duration::from_secs(seconds);
        let secrets: Vec<_> =
            (0..MAX_SESSIONS as u64).map(|n| sessions.begin_at(tokens("weir_1"), seconds(n % 7))).collect();
        sessions.find_at(&secrets[0], seconds(10)).unwrap();
        for n in 0..7 {
            sessions.begin_at(tokens("weir_2"), seconds(20 + n));
        }
        assert_eq!(sessions.0.lock().len(), MAX_SESSIONS);
        assert!(sessions.find_at(&secrets[0], seconds(30)).is_some(), "it was used meanwhile");
        let gone = secrets.iter().enumerate().filter(|(_, secret)| sessions.find_at(secret, seconds(30)).is_none());
        let gone: Vec<_> = gone.map(|(n, _)| n % 7).collect();
        assert_eq!(gone, [0; 7]);
    }

    #[test]
    fn an_access_token_is_renewed_30_seconds_before_its_end_where_it_can_be() {
        let now = Instant::now();
        let seconds = |seconds: u64| now + Duration::from_secs(seconds);
        for (refresh, until, retry, right) in [
            (true, Some(31), None, false),
            (true, Some(30), None, true),
            (true, Some(0), None, true),
            (true, Some(20), Some(10), false),
            (true, Some(20), Some(0), true),
            (true, Some(0), Some(10), true),
            (false, Some(20), None, false),
            (false, Some(0), None, true),
            (true, None, None, false),
        ] {
            let refresh = refresh.then(|| "r".to_owned());
            let (until, retry) = (until.map(seconds), retry.map(seconds));
            let granted = Granted { refresh, id: None, until, retry };
            let tokens = Tokens::new("a", Some(granted)).unwrap();
            assert_eq!(tokens.usable(now).is_none(), right, "{until:?} {retry:?}");
        }
    }

    #[test]
    fn no_token_is_printed_and_one_that_is_no_header_is_refused() {
        assert_eq!(format!("{:?}", tokens("weir_secret").bearer()), "Sensitive");
        assert!(Tokens::new("a\nb", None).is_none());
    }
}
