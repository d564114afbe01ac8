//! Who has signed in: in memory, by the hash of a secret that the browser has in a cookie.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use parking_lot::Mutex;

use crate::secret::{self, Fingerprint};

/// Sessions at the same time; of more, the one that was not used for longest ends.
const MAX_SESSIONS: usize = 10_000;
/// Sessions of one user at the same time; of more, that user's oldest ends.
const MAX_OF_ONE: usize = 100;
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

/// What can be done with a session now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its `authorization`.
    Usable(HeaderValue),
    /// The same, which should be renewed meanwhile.
    Due(HeaderValue),
    /// Its access token has ended; a renewal may help.
    Over,
    /// It has ended.
    Ended,
}

/// A session of a request.
#[derive(Clone)]
pub(crate) struct Session {
    key: Fingerprint,
    /// `None` once it has ended.
    tokens: Arc<Mutex<Option<Tokens>>>,
    /// Held while they are renewed, so that this happens once.
    pub(crate) renewal: Arc<tokio::sync::Mutex<()>>,
}

struct Entry {
    began: Instant,
    used: Instant,
    /// Name of the credential.
    owner: Arc<str>,
    session: Session,
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

    fn state(&self, now: Instant) -> State {
        let Some(granted) = &self.granted else { return State::Usable(self.bearer()) };
        let ends_within = |margin: Duration| granted.until.is_some_and(|until| now + margin >= until);
        if ends_within(Duration::ZERO) {
            return State::Over;
        }
        let is_due = granted.refresh.is_some() && ends_within(RENEW_BEFORE) && granted.may_ask(now);
        if is_due { State::Due(self.bearer()) } else { State::Usable(self.bearer()) }
    }
}

impl Granted {
    /// Whether no renewal has found the provider away just now.
    pub(crate) fn may_ask(&self, now: Instant) -> bool {
        self.retry.is_none_or(|retry| now >= retry)
    }
}

impl Session {
    pub(crate) fn state(&self, now: Instant) -> State {
        self.tokens.lock().as_ref().map_or(State::Ended, |tokens| tokens.state(now))
    }

    /// What the provider gave, where it has not ended.
    pub(crate) fn granted(&self) -> Option<Granted> {
        self.tokens.lock().as_ref()?.granted.clone()
    }

    /// Has these tokens from now on, unless it has ended.
    pub(crate) fn renewed(&self, tokens: Tokens) {
        if let Some(kept) = self.tokens.lock().as_mut() {
            *kept = tokens;
        }
    }

    /// The provider is not asked for it again before then.
    pub(crate) fn retry_at(&self, at: Instant) {
        if let Some(granted) = self.tokens.lock().as_mut().and_then(|tokens| tokens.granted.as_mut()) {
            granted.retry = Some(at);
        }
    }
}

impl Sessions {
    /// Begins one of this user; its secret, for the cookie.
    pub(crate) fn begin(&self, owner: Arc<str>, tokens: Tokens) -> String {
        self.begin_at(owner, tokens, Instant::now())
    }

    fn begin_at(&self, owner: Arc<str>, tokens: Tokens, now: Instant) -> String {
        let secret = secret::random();
        let key = secret::fingerprint(&secret);
        let mut sessions = self.0.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, entry| entry.is_alive(now));
        }
        let own = sessions.values().filter(|entry| entry.owner == owner).count();
        // Who signs in without end ends sessions of their own.
        let is_crowded = |entry: &Entry| own < MAX_OF_ONE || entry.owner == owner;
        if sessions.len() >= MAX_SESSIONS || own >= MAX_OF_ONE {
            let others = sessions.iter().filter(|(_, entry)| is_crowded(entry));
            if let Some(oldest) = others.min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key) {
                sessions.remove(&oldest);
            }
        }
        let session = Session { key, tokens: Arc::new(Mutex::new(Some(tokens))), renewal: Arc::default() };
        sessions.insert(key, Entry { began: now, used: now, owner, session });
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
        Some(entry.session.clone())
    }

    pub(crate) fn end(&self, session: &Session) {
        self.0.lock().remove(&session.key);
        *session.tokens.lock() = None;
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

    fn begin(sessions: &Sessions, owner: &str, now: Instant) -> String {
        sessions.begin_at(owner.into(), tokens("weir_1"), now)
    }

    #[test]
    fn a_session_is_found_by_its_secret_until_it_ends() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let [one, other] = ["alice", "bob"].map(|owner| begin(&sessions, owner, now));
        let found = sessions.find_at(&one, now).unwrap();
        assert_eq!(found.state(now), State::Usable(HeaderValue::from_static("Bearer weir_1")));
        assert!(one.len() == 43 && one != other && sessions.find_at("guess", now).is_none());
        sessions.end(&found);
        assert_eq!(found.state(now), State::Ended, "for requests under way too");
        found.renewed(tokens("weir_2"));
        assert_eq!(found.state(now), State::Ended, "a renewal under way does not bring it back");
        assert!(sessions.find_at(&one, now).is_none() && sessions.find_at(&other, now).is_some());
        assert!(!sessions.0.lock().keys().any(|key| key.as_slice() == other.as_bytes()), "only its hash is kept");
    }

    #[test]
    fn a_session_ends_when_it_is_unused_for_12_hours_or_7_days_old() {
        let (sessions, began) = (Sessions::default(), Instant::now());
        let hours = |hours: u64| began + Duration::from_hours(hours);
        let [idle, busy] = [(); 2].map(|()| begin(&sessions, "alice", began));
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
            (0..MAX_SESSIONS as u64).map(|n| begin(&sessions, &format!("u{n}"), seconds(n % 7))).collect();
        sessions.find_at(&secrets[0], seconds(10)).unwrap();
        for n in 0..7 {
            begin(&sessions, &format!("v{n}"), seconds(20 + n));
        }
        assert_eq!(sessions.0.lock().len(), MAX_SESSIONS);
        assert!(sessions.find_at(&secrets[0], seconds(30)).is_some(), "it was used meanwhile");
        let gone = secrets.iter().enumerate().filter(|(_, secret)| sessions.find_at(secret, seconds(30)).is_none());
        let gone: Vec<_> = gone.map(|(n, _)| n % 7).collect();
        assert_eq!(gone, [0; 7]);
    }

    #[test]
    fn given_one_user_who_signs_in_without_end_then_no_other_is_signed_out() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let other = begin(&sessions, "bob", now);
        let first = begin(&sessions, "alice", now);
        for n in 0..MAX_OF_ONE as u64 {
            begin(&sessions, "alice", now + Duration::from_secs(n + 1));
        }
        assert_eq!(sessions.0.lock().len(), MAX_OF_ONE + 1);
        assert!(sessions.find_at(&first, now).is_none() && sessions.find_at(&other, now).is_some());
    }

    #[test]
    fn an_access_token_is_renewed_30_seconds_before_its_end_where_it_can_be() {
        let now = Instant::now();
        let seconds = |seconds: u64| now + Duration::from_secs(seconds);
        let bearer = || HeaderValue::from_static("Bearer a");
        for (refresh, until, retry, right) in [
            (true, Some(31), None, State::Usable(bearer())),
            (true, Some(30), None, State::Due(bearer())),
            (true, Some(0), None, State::Over),
            (true, Some(20), Some(10), State::Usable(bearer())),
            (true, Some(20), Some(0), State::Due(bearer())),
            (true, Some(0), Some(10), State::Over),
            (false, Some(20), None, State::Usable(bearer())),
            (false, Some(0), None, State::Over),
            (true, None, None, State::Usable(bearer())),
        ] {
            let refresh = refresh.then(|| "r".to_owned());
            let (until, retry) = (until.map(seconds), retry.map(seconds));
            let granted = Granted { refresh, id: None, until, retry };
            let tokens = Tokens::new("a", Some(granted)).unwrap();
            assert_eq!(tokens.state(now), right, "{until:?} {retry:?}");
        }
    }

    #[test]
    fn no_token_is_printed_and_one_that_is_no_header_is_refused() {
        assert_eq!(format!("{:?}", tokens("weir_secret").bearer()), "Sensitive");
        assert!(Tokens::new("a\nb", None).is_none());
    }
}
