//! Sign-ins that browsers have begun at the identity provider: each in memory, by the hash of a secret that its browser
//! has in a cookie, and good for one answer of the provider.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::secret::{self, Fingerprint};

/// A sign-in takes no longer.
pub(super) const MAX_AGE: Duration = Duration::from_mins(10);
/// Sign-ins at the same time; of more, the oldest ends.
const MAX_ATTEMPTS: usize = 10_000;

/// One sign-in.
pub(super) struct Attempt {
    /// What the provider's answer must carry.
    pub(super) state: String,
    /// What the ID token must carry.
    pub(super) nonce: String,
    /// Of PKCE (RFC 7636): whoever has the code alone gets no token.
    pub(super) verifier: String,
    /// The page to come back to.
    pub(super) return_to: String,
    began: Instant,
}

/// All of them.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<Fingerprint, Attempt>>);

impl Attempt {
    pub(super) fn new(return_to: &str) -> Self {
        let [state, nonce, verifier] = [(); 3].map(|()| secret::random());
        Self { state, nonce, verifier, return_to: return_to.to_owned(), began: Instant::now() }
    }
}

impl Attempts {
    /// Remembers one; its secret, for the cookie.
    pub(super) fn add(&self, attempt: Attempt) -> String {
        let secret = secret::random();
        let mut attempts = self.0.lock();
        if attempts.len() >= MAX_ATTEMPTS {
            attempts.retain(|_, other| attempt.began.saturating_duration_since(other.began) < MAX_AGE);
        }
        if attempts.len() >= MAX_ATTEMPTS
            && let Some(oldest) = attempts.iter().min_by_key(|(_, attempt)| attempt.began).map(|(key, _)| *key)
        {
            attempts.remove(&oldest);
        }
        attempts.insert(secret::fingerprint(&secret), attempt);
        secret
    }

    /// The attempt of this secret, if `state` is its own, once. The answer to another attempt, of another tab, leaves it.
    pub(super) fn take(&self, secret: &str, state: &str, now: Instant) -> Option<Attempt> {
        let mut attempts = self.0.lock();
        let key = secret::fingerprint(secret);
        let is_own = attempts.get(&key).is_some_and(|attempt| attempt.state == state);
        let attempt = if is_own { attempts.remove(&key) } else { None };
        attempt.filter(|attempt| now.saturating_duration_since(attempt.began) < MAX_AGE)
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} attempts", self.0.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds one; its secret and its state.
    fn add(attempts: &Attempts, path: &str) -> (String, String) {
        let attempt = Attempt::new(path);
        let state = attempt.state.clone();
        (attempts.add(attempt), state)
    }

    #[test]
    fn an_attempt_is_good_once_and_for_10_minutes_with_its_own_state() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let [(one, state), (two, other)] = ["/a", "/b"].map(|path| add(&attempts, path));
        assert!(attempts.take("guess", &state, now).is_none());
        assert!(attempts.take(&one, &other, now).is_none(), "of another tab");
        let first = attempts.take(&one, &state, now).unwrap();
        assert!(first.return_to == "/a" && first.state != first.nonce && first.nonce != first.verifier);
        assert!(attempts.take(&one, &state, now).is_none(), "taken already");
        assert!(attempts.take(&two, &other, Instant::now() + MAX_AGE).is_none(), "too old");
    }

    #[test]
    fn given_too_many_attempts_then_the_oldest_ends() {
        let attempts = Attempts::default();
        let (first, state) = add(&attempts, "/");
        let rest: Vec<_> = (0..MAX_ATTEMPTS).map(|_| add(&attempts, "/")).collect();
        assert_eq!(attempts.0.lock().len(), MAX_ATTEMPTS);
        assert!(attempts.take(&first, &state, Instant::now()).is_none());
        assert!(rest.iter().all(|(secret, state)| attempts.take(secret, state, Instant::now()).is_some()));
    }
}
