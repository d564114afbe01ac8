//! What an answer of a receiver means, and how long to wait. Pure.

use std::time::Duration;

use http::StatusCode;

/// A receiver's wish is followed for so long at most.
const LONGEST_WISH: Duration = Duration::from_hours(1);

/// What to do with what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there.
    Taken,
    /// It is to be sent again, as the receiver wishes where it says when.
    Again { after: Option<Duration> },
    /// A part of it cannot be taken, or it is too large: the rest may be.
    InHalves,
    /// It will never be taken.
    Refused,
}

impl Answer {
    pub(super) fn of(status: StatusCode, retry_after: Option<Duration>) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Self::Again { after: retry_after },
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Self::InHalves,
            status if status.is_success() => Self::Taken,
            status if status.is_client_error() => Self::Refused,
            // An address that redirects is a mistake that somebody will mend.
            _ => Self::Again { after: retry_after },
        }
    }
}

/// Pauses that grow from failure to failure.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, next: least }
    }

    /// The pause behind a failure.
    pub(super) fn pause(&mut self, wish: Option<Duration>) -> Duration {
        let pause = self.next;
        self.next = self.next.saturating_mul(2).min(self.most);
        wish.map_or(pause, |wish| wish.clamp(self.least, LONGEST_WISH))
    }

    /// It was answered.
    pub(super) fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_it_is_sent_again() {
        let wish = Some(Duration::from_secs(7));
        for (status, want) in [
            (200, Answer::Taken),
            (204, Answer::Taken),
            (301, Answer::Again { after: wish }),
            (400, Answer::InHalves),
            (401, Answer::Refused),
            (404, Answer::Refused),
            (408, Answer::Again { after: wish }),
            (409, Answer::Refused),
            (413, Answer::InHalves),
            (429, Answer::Again { after: wish }),
            (500, Answer::Again { after: wish }),
            (503, Answer::Again { after: wish }),
        ] {
            assert_eq!(Answer::of(StatusCode::from_u16(status).unwrap(), wish), want, "{status}");
        }
    }

    #[test]
    fn pauses_grow_to_the_longest_and_a_wish_is_followed() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(30), ms(100));
        assert_eq!([None; 4].map(|wish| backoff.pause(wish)), [ms(30), ms(60), ms(100), ms(100)]);
        assert_eq!(backoff.pause(Some(ms(7000))), ms(7000));
        assert_eq!(backoff.pause(Some(ms(0))), ms(30), "none is shorter than the least");
        assert_eq!(backoff.pause(Some(Duration::MAX)), LONGEST_WISH);
        backoff.reset();
        assert_eq!(backoff.pause(None), ms(30));
    }
}
