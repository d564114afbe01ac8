//! A trigger's metadata: what KEDA hands over of a ScaledObject. Pure.

use std::collections::HashMap;

use super::answer::{Unanswered, no_instant, shown};
use crate::promql::{Kind, Query};

/// Longest name of a metric: it stands in the address of a request for it.
const MAX_NAME: usize = 63;

/// What a trigger asks for.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pub(super) query: Query,
    /// Of the metric that the HorizontalPodAutoscaler gets; above 0.
    pub(super) target: f64,
    /// The workload is active while the value is above it.
    pub(super) activation: f64,
}

impl Trigger {
    /// Reads `query`, `target` and `activationTarget`. Other keys are KEDA's own, such as `scalerAddress`.
    pub(super) fn read(metadata: &HashMap<String, String>) -> Result<Self, Unanswered> {
        let given = |key| metadata.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let missing = |key: &str, right: &str| Unanswered::Wrong(format!("metadata.{key} is missing: {right}"));
        let text = given("query").ok_or_else(|| missing("query", "write a PromQL expression of one value"))?;
        let query = parse(text).map_err(|error| Unanswered::Wrong(format!("metadata.{error}")))?;
        let target = given("target").ok_or_else(|| missing("target", "write the value of one replica, such as 100"))?;
        let target = number("target", target)?;
        if target <= 0.0 {
            return Err(Unanswered::Wrong(format!("metadata.target: «{target}» must be above 0")));
        }
        let activation = given("activationTarget").map_or(Ok(0.0), |text| number("activationTarget", text))?;
        Ok(Self { query, target, activation })
    }

    pub(super) fn is_active(&self, value: f64) -> bool {
        value > self.activation
    }

    /// The metric's name, made of the query: KEDA puts the trigger's number before it.
    pub(super) fn metric(&self) -> String {
        let mut name = String::new();
        for c in self.query.text().chars() {
            if c.is_ascii_alphanumeric() {
                name.push(c.to_ascii_lowercase());
            } else if !name.is_empty() && !name.ends_with('-') {
                name.push('-');
            }
            if name.len() >= MAX_NAME {
                break;
            }
        }
        let name = name.trim_end_matches('-');
        if name.is_empty() { "query".to_owned() } else { name.to_owned() }
    }
}

/// Reads a query of a scalar or an instant vector; the error begins with `query`.
pub(super) fn parse(text: &str) -> Result<Query, String> {
    let query = Query::parse(text).map_err(|error| format!("query: {error}"))?;
    match query.kind() {
        Kind::Scalar | Kind::Vector => Ok(query),
        _ => Err(no_instant(&shown(text))),
    }
}

fn number(key: &str, text: &str) -> Result<f64, Unanswered> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| {
        Unanswered::Wrong(format!("metadata.{key}: «{}» is not a number, such as 100 or 0.8", shown(text)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Trigger, String> {
        let metadata = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Trigger::read(&metadata).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_wrong_with_a_trigger_names_its_key() {
        for (metadata, told) in [
            (&[("target", "60")][..], "metadata.query is missing"),
            (&[("query", " "), ("target", "60")], "metadata.query is missing"),
            (&[("query", "sum("), ("target", "60")], "metadata.query: not a valid expression"),
            (&[("query", "up[5m]"), ("target", "60")], "metadata.query: «up[5m]» gives no value at one time"),
            (&[("query", "\"x\""), ("target", "60")], "metadata.query: «\"x\"» gives no value at one time"),
            (&[("query", "up")], "metadata.target is missing"),
            (&[("query", "up"), ("target", "many")], "metadata.target: «many» is not a number"),
            (&[("query", "up"), ("target", "NaN")], "metadata.target: «NaN» is not a number"),
            (&[("query", "up"), ("target", "0")], "metadata.target: «0» must be above 0"),
            (&[("query", "up"), ("target", "1"), ("activationTarget", "x")], "metadata.activationTarget: «x»"),
        ] {
            let error = read(metadata).unwrap_err();
            assert!(error.starts_with(told), "{metadata:?}: {error}");
        }
    }

    #[test]
    fn a_workload_is_active_while_the_value_is_above_the_activation_target() {
        let plain = read(&[("query", "up"), ("target", "2.5"), ("scalerAddress", "weir:9090")]).unwrap();
        assert_eq!((plain.target, plain.activation), (2.5, 0.0));
        assert_eq!([-1.0, 0.0, 0.001].map(|value| plain.is_active(value)), [false, false, true]);
        let set = read(&[("query", "up"), ("target", "60"), ("activationTarget", "5")]).unwrap();
        assert_eq!([5.0, 5.5].map(|value| set.is_active(value)), [false, true]);
    }

    #[test]
    fn the_name_of_a_metric_is_its_query_in_letters_that_an_address_may_have() {
        let name = |query: &str| read(&[("query", query), ("target", "1")]).unwrap().metric();
        assert_eq!(
            name("sum(rate(weir_calls_total{service=\"ocr\"}[1m]))"),
            "sum-rate-weir-calls-total-service-ocr-1m"
        );
        assert_eq!(name("{\"排队\"}"), "query");
        assert_eq!(name(&format!("{}_x", "a".repeat(80))), "a".repeat(63));
    }
}
