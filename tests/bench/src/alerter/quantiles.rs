//! How far quantiles are from the exact ones: durations of known distributions, recorded as the fold does, merged across
//! seconds and partitions as the series are, and asked for as a rule does.

use std::f64::consts::TAU;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, json};
use weir_alerter::promql::{Number, Query, Value};
use weir_alerter::series::store::{Refused, Store};
use weir_calls::Recorder;
use weir_proto::v1;

use super::START;
use crate::{Ready, Work};

const SECONDS: usize = 1000;
const PARTITIONS: usize = 8;
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
/// Durations are from a microsecond to an hour.
const LONGEST: f64 = 3.6e9;

#[derive(Debug, Clone, Copy)]
enum Distribution {
    Uniform,
    LogNormal,
    Bimodal,
    HeavyTailed,
}

const DISTRIBUTIONS: [Distribution; 4] =
    [Distribution::Uniform, Distribution::LogNormal, Distribution::Bimodal, Distribution::HeavyTailed];

impl Distribution {
    /// A duration in microseconds.
    fn draw(self, rng: &mut Xoshiro256PlusPlus) -> u64 {
        let uniform = |rng: &mut Xoshiro256PlusPlus| 1.0 - rng.random::<f64>();
        // The transform of Box and Muller.
        let normal = |rng: &mut Xoshiro256PlusPlus| (-2.0 * uniform(rng).ln()).sqrt() * (TAU * uniform(rng)).cos();
        let micros = match self {
            Self::Uniform => 1.0 + uniform(rng) * 2e6,
            Self::LogNormal => 50_000.0 * (1.2 * normal(rng)).exp(),
            Self::Bimodal if rng.random_bool(0.8) => 20_000.0 + 2_000.0 * normal(rng),
            Self::Bimodal => 2e6 + 2e5 * normal(rng),
            // Pareto's, whose variance is infinite.
            Self::HeavyTailed => 5_000.0 * uniform(rng).powf(-1.0 / 1.1),
        };
        micros.clamp(1.0, LONGEST) as u64
    }
}

/// The durations as the ranges of all partitions have them.
fn store(values: &[u64]) -> anyhow::Result<Store> {
    let mut cells: Vec<(u64, Recorder)> = (0..SECONDS * PARTITIONS).map(|_| Default::default()).collect();
    for (at, value) in values.iter().enumerate() {
        let (calls, cell) = &mut cells[at % (SECONDS * PARTITIONS)];
        *calls += 1;
        cell.record(*value);
    }
    let mut store = Store::new(7_200_000, 100);
    let mut cells = cells.into_iter();
    for partition in 0..PARTITIONS {
        let slot = |(second, (calls, cell)): (u64, (u64, Recorder))| v1::CallSlot {
            unix_seconds: START + second,
            calls,
            durations: Some(cell.into_message()),
            ..v1::CallSlot::default()
        };
        let [tenant, service, interface] = ["acme", "ocr", "POST /ocr"].map(str::to_owned);
        let slots = (0..).zip(cells.by_ref().take(SECONDS)).filter(|(_, (calls, _))| *calls > 0).map(slot).collect();
        let range = v1::CallDeltas {
            source_topic: "otlp_spans".to_owned(),
            source_partition: partition as i32,
            end_offset: 1,
            watermark_unix_nano: (START + SECONDS as u64) * 1_000_000_000,
            series: vec![v1::CallSeries { tenant, service, interface, slots }],
            ..v1::CallDeltas::default()
        };
        let mut refused = Refused::default();
        store.add_calls(&range, &mut refused);
        anyhow::ensure!(refused == Refused::default(), "calls were refused: {refused:?}");
    }
    Ok(store)
}

/// The greatest error of all quantiles, as a part of the exact value; an error where one lies above the true maximum.
fn worst(distribution: Distribution, count: usize) -> anyhow::Result<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(count as u64);
    let mut values: Vec<u64> = (0..count).map(|_| distribution.draw(&mut rng)).collect();
    let store = store(&values)?;
    values.sort_unstable();
    let at = ((START + SECONDS as u64) * 1000) as i64;
    let mut worst = 0.0_f64;
    for q in QUANTILES {
        let query = format!("histogram_quantile({q}, sum(increase(weir_call_duration_seconds[{SECONDS}s])))");
        let Value::Vector(answer) = Query::parse(&query)?.at(&store, at)? else {
            anyhow::bail!("{query} is no vector")
        };
        let [sample] = &answer[..] else { anyhow::bail!("{query} has {} samples", answer.len()) };
        let Number::Float(seconds) = sample.value else { anyhow::bail!("{query} is no number") };
        let (rank, micros) = ((q * count as f64).ceil() as usize, (seconds * 1e6).round());
        let (exact, greatest) = (values[rank.clamp(1, count) - 1] as f64, values[count - 1] as f64);
        anyhow::ensure!(micros <= greatest, "{distribution:?} of {count}: {micros} µs at {q} is above {greatest}");
        worst = worst.max((micros - exact).abs() / exact);
    }
    Ok(worst)
}

fn table(sizes: &[usize]) -> anyhow::Result<Map<String, serde_json::Value>> {
    let (mut greatest, mut table) = (0.0_f64, Map::new());
    for distribution in DISTRIBUTIONS {
        for count in sizes {
            let error = worst(distribution, *count)?;
            anyhow::ensure!(error <= 0.01, "{distribution:?} of {count}: an error of {error}");
            greatest = greatest.max(error);
            table.insert(format!("{distribution:?}/{count}"), json!(error));
        }
    }
    Ok(Map::from_iter([("worst_error".to_owned(), json!(greatest)), ("errors".to_owned(), table.into())]))
}

/// Errors at p50, p90, p99 and p99.9 of 10 to 10 million durations of each distribution, in 1,000 seconds of 8
/// partitions.
#[allow(clippy::unnecessary_wraps, reason = "what makes a case")]
pub(crate) fn quantiles(smoke: bool) -> anyhow::Result<Ready> {
    let sizes: &[usize] = if smoke { &[10, 1000] } else { &[10, 1000, 100_000, 1_000_000, 10_000_000] };
    Ok(Box::new(move || {
        let records = (sizes.iter().sum::<usize>() * DISTRIBUTIONS.len()) as u64;
        Ok(Work { records, bytes: records * 8, more: table(sizes)? })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_durations_of_any_distribution_then_quantiles_are_within_a_percent_and_never_above_the_greatest() {
        let table = table(&[10, 100, 1000, 10_000, 100_000]).unwrap();
        assert_eq!(table["errors"].as_object().unwrap().len(), 20);
        assert!(table["worst_error"].as_f64().unwrap() > 0.0, "something was measured: {table:?}");
    }

    #[test]
    fn given_a_distribution_then_its_values_spread_as_its_name_says() {
        let draw = |distribution: Distribution| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
            let mut values: Vec<u64> = (0..10_000).map(|_| distribution.draw(&mut rng)).collect();
            values.sort_unstable();
            [values[0], values[5000], values[9_000], values[9_999]]
        };
        let [least, median, _, greatest] = draw(Distribution::Uniform);
        assert!(least < 1000 && median.abs_diff(1_000_000) < 50_000 && greatest <= 2_000_001);
        let [_, median, p90, _] = draw(Distribution::LogNormal);
        assert!(median.abs_diff(50_000) < 3_000 && p90.abs_diff(232_000) < 15_000);
        let [_, median, p90, _] = draw(Distribution::Bimodal);
        assert!(median.abs_diff(20_000) < 3_000 && p90.abs_diff(2_000_000) < 50_000);
        let [least, _, _, greatest] = draw(Distribution::HeavyTailed);
        assert!(least >= 5_000 && greatest > 5_000_000);
    }
}
