//! Durations of the calls of the last minutes, by interface.

use std::collections::BTreeMap;
use std::time::Duration;

use ahash::AHashMap;
use tokio::time::Instant;
use weir_calls::Hdr;
use weir_proto::v1;

/// So much event time counts, in pieces of this many seconds.
const WINDOW: u64 = 300;
const PIECE: u64 = 10;
/// With fewer calls in the window a quantile says little.
const LEAST_CALLS: u64 = 50;
/// How long a quantile is used before it is made again.
const FRESH: Duration = Duration::from_millis(500);
/// Most interfaces; at more, all are learnt anew.
const MOST_INTERFACES: usize = 200_000;

/// Histograms of all interfaces.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By tenant, service and interface.
    interfaces: AHashMap<String, AHashMap<String, AHashMap<String, Interface>>>,
    count: usize,
    /// The latest second that calls ended in.
    latest: u64,
    swept: u64,
}

#[derive(Debug, Default)]
struct Interface {
    pieces: BTreeMap<u64, Hdr>,
    made: Option<(Instant, f64, Option<u64>)>,
}

impl Recent {
    /// Adds a range of calls; `now` is unix seconds, and what lies in the future counts as now.
    pub(super) fn add(&mut self, range: &v1::CallDeltas, now: u64) {
        for series in &range.series {
            if self.count >= MOST_INTERFACES {
                self.interfaces.clear();
                self.count = 0;
            }
            let services = self.interfaces.entry(series.tenant.clone()).or_default();
            let interfaces = services.entry(series.service.clone()).or_default();
            let before = interfaces.len();
            let interface = interfaces.entry(series.interface.clone()).or_default();
            for slot in &series.slots {
                let second = slot.unix_seconds.min(now);
                self.latest = self.latest.max(second);
                if second + WINDOW < self.latest {
                    continue;
                }
                if let Some(hdr) = slot.durations.as_ref().and_then(|hdr| Hdr::from_message(hdr).ok()) {
                    interface.pieces.entry(second / PIECE).or_default().merge(&hdr);
                }
            }
            self.count += interfaces.len() - before;
        }
        if self.latest >= self.swept + PIECE {
            self.sweep();
        }
    }

    /// Forgets what is too old.
    fn sweep(&mut self) {
        self.swept = self.latest;
        let oldest = self.latest.saturating_sub(WINDOW) / PIECE;
        let mut count = 0;
        for services in self.interfaces.values_mut() {
            for interfaces in services.values_mut() {
                interfaces.retain(|_, interface| {
                    interface.pieces = interface.pieces.split_off(&oldest);
                    !interface.pieces.is_empty()
                });
                count += interfaces.len();
            }
            services.retain(|_, interfaces| !interfaces.is_empty());
        }
        self.interfaces.retain(|_, services| !services.is_empty());
        self.count = count;
    }

    /// A quantile of an interface in microseconds; `None` where there are too few calls.
    pub(super) fn quantile(
        &mut self,
        tenant: &str,
        service: &str,
        interface: &str,
        q: f64,
        now: Instant,
    ) -> Option<u64> {
        let interface = self.interfaces.get_mut(tenant)?.get_mut(service)?.get_mut(interface)?;
        if let Some((at, of, value)) = interface.made
            && of.to_bits() == q.to_bits()
            && now.saturating_duration_since(at) < FRESH
        {
            return value;
        }
        let mut all = Hdr::default();
        for hdr in interface.pieces.values() {
            all.merge(hdr);
        }
        let value = all.quantile(q).filter(|_| all.count() >= LEAST_CALLS);
        interface.made = Some((now, q, value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(second: u64, micros: &[u64]) -> v1::CallDeltas {
        let mut hdr = Hdr::default();
        for micros in micros {
            hdr.record(*micros);
        }
        let durations = Some(hdr.to_message());
        let slots = vec![v1::CallSlot { unix_seconds: second, durations, ..v1::CallSlot::default() }];
        let (tenant, service, interface) = ("acme".to_owned(), "ocr".to_owned(), "POST /v1/ocr".to_owned());
        let series = vec![v1::CallSeries { tenant, service, interface, slots }];
        v1::CallDeltas { series, ..v1::CallDeltas::default() }
    }

    #[test]
    fn given_calls_of_some_minutes_then_a_quantile_is_of_those_that_are_not_too_old() {
        let mut recent = Recent::default();
        let mut now = Instant::now();
        let mut p99 = |recent: &mut Recent| {
            now += FRESH;
            recent.quantile("acme", "ocr", "POST /v1/ocr", 0.99, now)
        };
        recent.add(&range(1000, &[100; 49]), 2000);
        assert_eq!(p99(&mut recent), None, "too few");
        recent.add(&range(1001, &[100; 51]), 2000);
        assert_eq!(p99(&mut recent), Some(100));
        recent.add(&range(1290, &[200; 100]), 2000);
        assert_eq!(p99(&mut recent), Some(200));
        recent.add(&range(1600, &[50; 100]), 2000);
        assert_eq!(p99(&mut recent), Some(50), "the others are too old");
        recent.add(&range(9_999_999, &vec![70; 10_000]), 1700);
        assert_eq!(recent.latest, 1700, "the future counts as now");
        assert_eq!(recent.quantile("globex", "ocr", "POST /v1/ocr", 0.99, now), None);
    }
}
