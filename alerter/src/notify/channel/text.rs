//! What a message for people says of a group of alerts: a title, and a part for each alert.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::super::group::{Alert, Delivery};
use super::super::template::Texts;

/// What messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Language {
    /// 中文
    #[serde(rename = "zh")]
    Chinese,
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
}

struct Words {
    firing: &'static str,
    resolved: &'static str,
    since: &'static str,
    until: &'static str,
    view: &'static str,
}

impl Language {
    fn words(self) -> Words {
        match self {
            Self::Chinese => {
                Words { firing: "告警", resolved: "恢复", since: "开始", until: "结束", view: "查看" }
            }
            Self::English => {
                Words { firing: "FIRING", resolved: "RESOLVED", since: "since", until: "until", view: "view" }
            }
        }
    }

    fn more(self, alerts: usize) -> String {
        match self {
            Self::Chinese => format!("另有 {alerts} 条告警"),
            Self::English => format!("and {alerts} more alerts"),
        }
    }
}

/// How a chat writes bold, quotes, links and text that means itself.
#[derive(Clone, Copy)]
pub(super) struct Markup {
    pub(super) bold: fn(&str) -> String,
    pub(super) link: fn(&str, &str) -> String,
    pub(super) plain: fn(&str) -> String,
    /// Between lines of one part.
    pub(super) newline: &'static str,
    /// Bytes of a whole text at most.
    pub(super) most: usize,
}

pub(super) fn is_firing(delivery: &Delivery) -> bool {
    delivery.alerts.iter().any(|alert| alert.ends_at_ms.is_none())
}

/// Labels that all alerts have.
pub(super) fn common(delivery: &Delivery) -> BTreeMap<&str, &str> {
    let mut all = delivery.alerts.iter().map(|alert| &*alert.labels);
    let first = all.next().into_iter().flatten();
    let mut common: BTreeMap<&str, &str> = first.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for labels in all {
        common.retain(|name, value| labels.get(*name).is_some_and(|other| other == value));
    }
    common
}

/// As Alertmanager's `__subject`: what state, how many, the group's labels, and in brackets the other common ones.
pub(super) fn title(delivery: &Delivery, language: Language) -> String {
    let words = language.words();
    let firing = delivery.alerts.iter().filter(|alert| alert.ends_at_ms.is_none()).count();
    let state = match (firing, language) {
        (0, _) => words.resolved.to_owned(),
        (firing, _) => format!("{}:{firing}", words.firing),
    };
    let of_group: Vec<&str> = delivery.group_labels.values().map(String::as_str).collect();
    let common = common(delivery);
    let others: Vec<&str> = common
        .iter()
        .filter(|(name, _)| !delivery.group_labels.contains_key(**name))
        .map(|(_, value)| *value)
        .collect();
    let mut title = format!("[{state}] {}", of_group.join(" "));
    if !others.is_empty() {
        let _ = write!(title, " ({})", others.join(" "));
    }
    // The title is one line, and not the message.
    let line: String = title.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&line, 250).to_owned()
}

/// A text that a template may have written, as long as there is room for, with what failed of the templates.
pub(super) fn noted(mut text: String, markup: Markup, texts: &Texts<'_>) -> String {
    let failed = texts.failed().map(|failed| format!("{0}{0}{1}", markup.newline, (markup.plain)(&failed)));
    let failed = failed.unwrap_or_default();
    let room = markup.most.saturating_sub(failed.len());
    if text.len() > room {
        text.truncate(text.floor_char_boundary(room));
    }
    text + &failed
}

/// The alerts one after the other, those that fire first, as many as there is room for.
pub(super) fn alerts(delivery: &Delivery, language: Language, markup: Markup) -> String {
    let mut sorted: Vec<&Alert> = delivery.alerts.iter().collect();
    sorted.sort_by_key(|alert| alert.ends_at_ms.is_some());
    let room = markup.most.saturating_sub(64);
    let mut text = String::new();
    for (at, alert) in sorted.iter().enumerate() {
        let part = one(alert, language, markup);
        let between = if at == 0 { "" } else { "\n\n" };
        if text.len() + between.len() + part.len() > room {
            if at == 0 {
                text.push_str(cut(&part, room));
            }
            let more = sorted.len() - at.max(1);
            if more > 0 {
                let _ = write!(text, "\n\n{}", language.more(more));
            }
            break;
        }
        text.push_str(between);
        text.push_str(&part);
    }
    text
}

fn one(alert: &Alert, language: Language, markup: Markup) -> String {
    let words = language.words();
    let name = alert.labels.get("alertname").map_or("", String::as_str);
    let state = if alert.ends_at_ms.is_none() { words.firing } else { words.resolved };
    let mut lines = vec![format!("{} {}", (markup.bold)(&(markup.plain)(name)), state)];
    let says = ["summary", "description", "message"].iter().filter_map(|key| alert.annotations.get(*key));
    lines.extend(says.flat_map(|text| text.trim().lines()).map(markup.plain));
    let others = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
    if !labels.is_empty() {
        lines.push((markup.plain)(&labels.join(" ")));
    }
    let mut times = format!("{} {}", words.since, time(alert.starts_at_ms));
    if let Some(ends_at_ms) = alert.ends_at_ms {
        let _ = write!(times, " {} {}", words.until, time(ends_at_ms));
    }
    lines.push(times);
    let runbook = alert.annotations.get("runbook_url").map(|url| (markup.link)("runbook", url));
    let view = (!alert.generator_url.is_empty()).then(|| (markup.link)(words.view, &alert.generator_url));
    let links: Vec<String> = view.into_iter().chain(runbook).collect();
    if !links.is_empty() {
        lines.push(links.join(" "));
    }
    lines.join(markup.newline)
}

/// In the zone of the machine, with its distance from UTC.
fn time(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(
        |_| unix_ms.to_string(),
        |time| jiff::ZonedDateTime::new(time, jiff::tz::TimeZone::system()).strftime("%F %T%:z").to_string(),
    )
}

/// The first bytes of a text, whole characters of it.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
