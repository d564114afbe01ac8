//! How long a limit held back, and what is said of it.

use std::time::{Duration, Instant};

/// Nothing is told more often.
const QUIET: Duration = Duration::from_mins(1);

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Begins,
    Ends,
}

/// The times in which one limit held somebody back. It holds back and lets go many times a second: what is told is that
/// it began, and that a minute has passed without it.
#[derive(Debug)]
pub(super) struct Spell {
    limit: &'static str,
    total: Duration,
    /// Held back from when until when, as far as it is not in the total yet.
    open: Option<(Instant, Instant)>,
    last_held: Option<Instant>,
    told: Option<(Instant, Told)>,
}

impl Spell {
    pub(super) fn new(limit: &'static str) -> Self {
        Self { limit, total: Duration::ZERO, open: None, last_held: None, told: None }
    }

    /// `cpu` or `memory`.
    pub(super) fn limit(&self) -> &'static str {
        self.limit
    }

    /// Somebody asked, and was held back until then, or was not.
    pub(super) fn note(&mut self, now: Instant, until: Option<Instant>) {
        self.total = self.total(now);
        self.open = until.map(|until| (now, until));
        if until.is_some() {
            self.last_held = Some(now);
        }
        self.quiet(now);
    }

    /// Says what is to be said now.
    pub(super) fn quiet(&mut self, now: Instant) {
        match self.news(now) {
            Some(Told::Begins) => {
                tracing::warn!(limit = self.limit, "collector.limits: files and OTLP are held back to keep to it");
            }
            Some(Told::Ends) => {
                let seconds = self.total.as_secs();
                tracing::info!(limit = self.limit, seconds, "collector.limits: nothing was held back for a minute");
            }
            None => {}
        }
    }

    /// How long it held back in all.
    pub(super) fn total(&self, now: Instant) -> Duration {
        self.total + self.open.map_or(Duration::ZERO, |(since, until)| now.min(until).saturating_duration_since(since))
    }

    fn news(&mut self, now: Instant) -> Option<Told> {
        let is_quiet = |since: Instant| now.saturating_duration_since(since) >= QUIET;
        let held = self.last_held?;
        let news = match self.told {
            Some((at, Told::Begins)) => is_quiet(at.max(held)).then_some(Told::Ends),
            Some((at, Told::Ends)) => (held >= at && is_quiet(at)).then_some(Told::Begins),
            None => Some(Told::Begins),
        }?;
        self.told = Some((now, news));
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_that_somebody_waited_is_counted() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut spell = Spell::new("cpu");
        spell.note(at(0), Some(at(50)));
        assert_eq!(spell.total(at(20)), Duration::from_millis(20));
        // Two wait at once.
        spell.note(at(20), Some(at(50)));
        spell.note(at(60), None);
        spell.note(at(100), Some(at(150)));
        // Nobody came for a while.
        assert_eq!(spell.total(at(9000)), Duration::from_millis(100));
    }

    #[test]
    fn what_is_held_back_all_the_time_is_told_once_and_its_end_a_minute_later() {
        let start = Instant::now();
        let mut spell = Spell::new("cpu");
        let mut told = Vec::new();
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            if (100..300).contains(&second) || second == 365 {
                spell.last_held = Some(now);
            }
            told.extend(spell.news(now).map(|news| (second, news)));
        }
        assert_eq!(told, [(100, Told::Begins), (359, Told::Ends), (419, Told::Begins), (479, Told::Ends)]);
    }
}
