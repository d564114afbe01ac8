//! What programs that speak to Prometheus ask of it itself.

use std::collections::{BTreeMap, HashSet};

use axum::extract::State;
use serde_json::{Value, json};

use super::Api;
use super::answer::{Answer, success};
use super::parameters::Asked;

/// Metrics that are listed where no limit is given, as Prometheus does.
const TOP: usize = 10;

/// Grafana asks for the version to know what it may ask; it is that of the API that is spoken here.
pub(super) async fn buildinfo() -> Answer {
    success(&json!({
        "version": "2.55.0", "revision": "weir", "branch": "weir", "buildUser": "", "buildDate": "", "goVersion": ""
    }))
}

/// How many series there are, and of which metrics most.
pub(super) async fn tsdb(State(api): State<Api>, asked: Asked) -> Answer {
    let limit = asked.parameters.limit()?;
    let tenants = asked.tenants;
    let counts = move |api: &Api| {
        let (mut by_name, mut values) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
        let series = api.sight.of(&tenants).labels(&[], None);
        let mut pairs = HashSet::new();
        for labels in &series {
            *by_name.entry(labels.get("__name__").unwrap_or_default().to_owned()).or_default() += 1;
            for pair in labels {
                if pairs.insert(pair) {
                    *values.entry(pair.0.to_owned()).or_default() += 1;
                }
            }
        }
        Ok((series.len(), pairs.len(), by_name, values))
    };
    let (series, pairs, by_name, values) = api.run(counts).await?;
    let top = |counts: BTreeMap<String, usize>| -> Vec<Value> {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let most = if limit == 0 { TOP } else { limit };
        counts.into_iter().take(most).map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    success(&json!({
        "headStats": {"numSeries": series, "numLabelPairs": pairs},
        "seriesCountByMetricName": top(by_name),
        "labelValueCountByLabelName": top(values),
    }))
}
