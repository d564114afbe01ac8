//! Callers that show wrong credentials again and again are told to wait. A right credential is never told so, wherever
//! it comes from: it is looked at first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::header::Fingerprint;

/// Failures within [`WINDOW`] after which one is told to wait.
const MOST: u32 = 30;
const WINDOW: Duration = Duration::from_mins(1);
/// Callers that are remembered; when there are more, those whose window has passed are forgotten, or all.
const MOST_CALLERS: usize = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Caller {
    Address(IpAddr),
    Credential([u8; 8]),
}

/// Recent failures, by address and by credential.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Caller, (Instant, u32)>>);

impl Failures {
    /// Counts a failure; how long to wait, where there were too many.
    pub(super) fn add(&self, address: Option<IpAddr>, credential: &Fingerprint, now: Instant) -> Option<Duration> {
        let mut short = [0; 8];
        short.copy_from_slice(&credential[..8]);
        let callers = [address.map(|ip| Caller::Address(ip.to_canonical())), Some(Caller::Credential(short))];
        let mut seen = self.0.lock();
        if seen.len() + callers.len() > MOST_CALLERS {
            seen.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
            if seen.len() + callers.len() > MOST_CALLERS {
                seen.clear();
            }
        }
        let mut wait = None;
        for caller in callers.into_iter().flatten() {
            let (began, count) = seen.entry(caller).or_insert((now, 0));
            if now.duration_since(*began) >= WINDOW {
                (*began, *count) = (now, 0);
            }
            *count = count.saturating_add(1);
            if *count > MOST {
                let left = WINDOW.saturating_sub(now.duration_since(*began));
                wait = wait.max(Some(left));
            }
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_many_failures_of_an_address_or_a_credential_then_it_waits_until_the_window_has_passed() {
        let (failures, now) = (Failures::default(), Instant::now());
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|ip| Some(ip.parse().unwrap()));
        for n in 0..MOST {
            assert_eq!(failures.add(one, &[n as u8; 32], now), None);
        }
        assert!(failures.add(one, &[100; 32], now).is_some(), "an address with ever other credentials");
        assert_eq!(failures.add(other, &[101; 32], now), None, "nobody else waits");
        for _ in 0..MOST {
            failures.add(None, &[200; 32], now);
        }
        assert!(failures.add(other, &[200; 32], now).is_some(), "a credential from ever other addresses");
        assert_eq!(failures.add(one, &[102; 32], now + WINDOW), None);
    }

    #[test]
    fn given_ever_new_callers_then_the_memory_is_bounded() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..3 * MOST_CALLERS as u64 {
            let mut credential = [0; 32];
            credential[..8].copy_from_slice(&n.to_be_bytes());
            failures.add(None, &credential, now);
        }
        assert!(failures.0.lock().len() <= MOST_CALLERS);
    }
}
