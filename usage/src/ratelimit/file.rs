//! One file of limits in the format of envoyproxy/ratelimit: what it holds, and what is wrong with it.
//!
//! What this service does not do is refused by name rather than ignored, so that no limit silently means less than its
//! file says.

use std::path::Path;

use serde::Deserialize;
use serde_saphyr::{Error as Yaml, Location, Spanned};
use weir_service::config::instead;

use super::limits::{Domain, Level, Limit, Node, Rate};
use super::load::LoadError;
use super::tally::Tallies;
use super::unit::Unit;

/// Deeper trees are a mistake.
const MAX_DEPTH: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileYaml {
    domain: Spanned<String>,
    descriptors: Option<Vec<Spanned<DescriptorYaml>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescriptorYaml {
    key: String,
    value: Option<String>,
    rate_limit: Option<Spanned<RateYaml>>,
    descriptors: Option<Vec<Spanned<DescriptorYaml>>>,
    #[serde(default)]
    shadow_mode: bool,
    #[serde(default)]
    detailed_metric: bool,
    #[serde(default)]
    value_to_metric: bool,
    #[serde(default)]
    share_threshold: bool,
    #[serde(default)]
    quota_mode: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateYaml {
    unit: Option<Spanned<String>>,
    requests_per_unit: Option<u32>,
    #[serde(default)]
    unlimited: bool,
    name: Option<String>,
    replaces: Option<Vec<ReplacesYaml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplacesYaml {
    name: String,
}

/// Reads a file's text; all that is wrong with its descriptors is reported at once.
pub(super) fn parse(file: &Path, text: &str, tallies: &Tallies) -> Result<Domain, Vec<LoadError>> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 2 * MAX_DEPTH + 8, max_nodes: 2_000_000, max_events: 8_000_000 },
        strict_booleans: true,
    };
    let yaml: FileYaml = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        vec![LoadError::at(file, line, explain(&error))]
    })?;
    let domain = yaml.domain.value;
    let mut reader = Reader { file, domain: &domain, tallies, errors: Vec::new() };
    if domain.is_empty() {
        reader
            .wrong(yaml.domain.defined, "`domain` is empty: name it as the rate limit filter of Envoy does".to_owned());
    }
    let top = reader.level("", yaml.descriptors.unwrap_or_default(), 1);
    if reader.errors.is_empty() {
        let overrides = tallies.of(&domain, "override");
        Ok(Domain { top, overrides, name: domain })
    } else {
        Err(reader.errors)
    }
}

struct Reader<'a> {
    file: &'a Path,
    domain: &'a str,
    tallies: &'a Tallies,
    errors: Vec<LoadError>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: Location, problem: String) {
        self.errors.push(LoadError::at(self.file, Some(at.line()), problem));
    }

    fn level(&mut self, above: &str, descriptors: Vec<Spanned<DescriptorYaml>>, depth: usize) -> Level {
        let mut level = Level::default();
        for Spanned { value: yaml, defined: at, .. } in descriptors {
            if depth > MAX_DEPTH {
                self.wrong(at, format!("`descriptors` lie more than {MAX_DEPTH} deep"));
                break;
            }
            let value = yaml.value.clone().unwrap_or_default();
            let separator = if value.is_empty() { "" } else { "_" };
            let label = format!("{}{separator}{value}", yaml.key);
            let path = if above.is_empty() { label.clone() } else { format!("{above}.{label}") };
            self.check(&yaml, &value, at);
            let key = yaml.key.clone();
            let node = self.node(&path, label, &value, yaml, depth);
            let values = level.keys.entry(key).or_default();
            let is_twice = match value.strip_suffix('*') {
                Some(prefix) => {
                    let is_twice = values.prefixes.iter().any(|(known, _)| known == prefix);
                    values.prefixes.push((prefix.to_owned(), node));
                    is_twice
                }
                None if value.is_empty() => values.any.replace(node).is_some(),
                None => values.exact.insert(value, node).is_some(),
            };
            if is_twice {
                self.wrong(at, format!("the descriptor `{path}` is there twice; keep one of them"));
            }
        }
        level
    }

    fn check(&mut self, yaml: &DescriptorYaml, value: &str, at: Location) {
        if yaml.key.is_empty() {
            self.wrong(at, "`key` is empty; name a descriptor key, such as tenant".to_owned());
        }
        if yaml.key.ends_with('*') {
            let problem = "a wildcard is for values; write `key` without `*`, and no `value` to match every value";
            self.wrong(at, format!("`key`: `{}`: {problem}", yaml.key));
        }
        if yaml.quota_mode {
            let problem = "`quota_mode` is not supported: it would refuse nothing; use `shadow_mode`, or take it out";
            self.wrong(at, problem.to_owned());
        }
        if yaml.shadow_mode && yaml.rate_limit.is_none() {
            self.wrong(
                at,
                "`shadow_mode` without `rate_limit` beside it does nothing; put it where the limit is".to_owned(),
            );
        }
        if yaml.share_threshold && !value.ends_with('*') {
            let problem = "`share_threshold` is for a `value` that ends with `*`: its values share one count";
            self.wrong(at, problem.to_owned());
        }
        if yaml.share_threshold && yaml.key == super::TENANT {
            let problem = "`share_threshold` would tell one tenant what others used; give each tenant its limit";
            self.wrong(at, problem.to_owned());
        }
    }

    fn node(&mut self, path: &str, label: String, value: &str, yaml: DescriptorYaml, depth: usize) -> Node {
        let is_shadow = yaml.shadow_mode;
        let limit = yaml.rate_limit.and_then(|rate| self.limit(path, rate.value, rate.defined, is_shadow));
        let below = self.level(path, yaml.descriptors.unwrap_or_default(), depth + 1);
        Node {
            label,
            limit,
            below,
            shared: yaml.share_threshold.then(|| value.to_owned()),
            is_detailed: yaml.detailed_metric || yaml.value_to_metric,
        }
    }

    fn limit(&mut self, path: &str, yaml: RateYaml, at: Location, is_shadow: bool) -> Option<Limit> {
        let before = self.errors.len();
        let name = yaml.name.unwrap_or_default();
        let replaces: Vec<String> = yaml.replaces.unwrap_or_default().into_iter().map(|other| other.name).collect();
        if replaces.iter().any(String::is_empty) {
            self.wrong(
                at,
                "`replaces`: a `name` is empty; name the limit that does not count beside this one".to_owned(),
            );
        }
        if !name.is_empty() && replaces.contains(&name) {
            self.wrong(at, format!("`replaces`: the limit `{name}` cannot replace itself"));
        }
        let rate = if yaml.unlimited {
            if yaml.unit.is_some() || yaml.requests_per_unit.is_some() {
                let problem = "`unlimited` has neither `unit` nor `requests_per_unit`; take them out, or `unlimited`";
                self.wrong(at, problem.to_owned());
            }
            None
        } else {
            Some(self.rate(yaml.unit, yaml.requests_per_unit, at)?)
        };
        (self.errors.len() == before).then(|| Limit {
            rate,
            is_shadow,
            name,
            replaces,
            tally: self.tallies.of(self.domain, path),
        })
    }

    fn rate(&mut self, unit: Option<Spanned<String>>, requests: Option<u32>, at: Location) -> Option<Rate> {
        let Some(unit) = unit else {
            self.wrong(at, format!("`rate_limit`: the key `unit` is missing; write {}", Unit::NAMES.join(", ")));
            return None;
        };
        let Some(requests) = requests else {
            self.wrong(at, "`rate_limit`: the key `requests_per_unit` is missing; 0 refuses everything".to_owned());
            return None;
        };
        let Some(unit) = Unit::named(&unit.value) else {
            let hint = instead(&unit.value.to_ascii_lowercase(), &Unit::NAMES);
            self.wrong(unit.defined, format!("`unit`: `{}` is not a unit of time{hint}", unit.value));
            return None;
        };
        Some(Rate { requests, unit })
    }
}

fn explain(error: &Yaml) -> String {
    match error.without_snippet() {
        Yaml::SerdeUnknownField { field, expected, .. } => format!("unknown key `{field}`{}", instead(field, expected)),
        Yaml::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        Yaml::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is there twice"),
        other => {
            let text = other.to_string();
            let text = text.lines().next().unwrap_or_default();
            // The place stands before it already.
            text.rsplit_once(" at line ").map_or(text, |(text, _)| text).to_owned()
        }
    }
}
