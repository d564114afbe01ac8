//! Key `global` of the configuration: what receivers have that do not say otherwise, filled in before they are read.

use std::path::Path;

use weir_service::config::{Span, instead};

use super::node::Node;

/// Kinds of channels that speak HTTP.
const HTTP: &[&str] = &[
    "webhook_configs",
    "dingtalk_configs",
    "wecom_configs",
    "feishu_configs",
    "slack_configs",
    "pagerduty_configs",
    "alertmanager_configs",
];
const EMAIL: &[&str] = &["email_configs"];

/// Kinds of channels, and what is filled in where they have none of these keys: keys of `global`, and theirs.
type Fill = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const FILLS: &[Fill] = &[
    (HTTP, &[("http_config", "http_config")]),
    (&["slack_configs"], &[("slack_api_url", "api_url"), ("slack_api_url_file", "api_url_file")]),
    (&["pagerduty_configs"], &[("pagerduty_url", "url")]),
    (EMAIL, &[("smtp_smarthost", "smarthost")]),
    (EMAIL, &[("smtp_from", "from")]),
    (EMAIL, &[("smtp_hello", "hello")]),
    (EMAIL, &[("smtp_auth_username", "auth_username")]),
    (EMAIL, &[("smtp_auth_password", "auth_password"), ("smtp_auth_password_file", "auth_password_file")]),
    (EMAIL, &[("smtp_auth_secret", "auth_secret")]),
    (EMAIL, &[("smtp_auth_identity", "auth_identity")]),
    (EMAIL, &[("smtp_require_tls", "require_tls")]),
    (EMAIL, &[("smtp_force_implicit_tls", "force_implicit_tls")]),
    (EMAIL, &[("smtp_tls_config", "tls_config")]),
];

/// Of Alertmanager's receivers that are refused here: there is nobody to fill them in for.
const OF_OTHERS: &[&str] = &[
    "opsgenie_api_url",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "victorops_api_url",
    "victorops_api_key",
    "victorops_api_key_file",
    "wechat_api_url",
    "wechat_api_secret",
    "wechat_api_corp_id",
    "telegram_api_url",
    "webex_api_url",
    "rocketchat_api_url",
    "jira_api_url",
];

/// How long Alertmanager takes an alert for firing that does not say when it ends. Alerts of weir's rules always do.
const RESOLVE_TIMEOUT: &str = "resolve_timeout";

/// Checks the keys of `global`.
pub(super) fn check(global: &Node) -> Result<(), String> {
    let entries = match global {
        Node::Null => return Ok(()),
        Node::Map(entries) => entries,
        _ => return Err("global: should be a mapping, such as {smtp_from: weir@example.org}".to_owned()),
    };
    let filled = || FILLS.iter().flat_map(|(_, keys)| keys.iter()).map(|(key, _)| *key);
    for (key, value) in entries {
        if key == RESOLVE_TIMEOUT {
            value.clone().read::<Span>().map_err(|error| format!("global.{key}: {error}"))?;
        } else if !filled().chain(OF_OTHERS.iter().copied()).any(|known| known == key) {
            let known: Vec<&str> = filled().chain([RESOLVE_TIMEOUT]).collect();
            return Err(format!("global: unknown key `{key}`{}", instead(key, &known)));
        }
    }
    for (_, keys) in FILLS.iter().filter(|(_, keys)| keys.len() > 1) {
        if keys.iter().all(|(key, _)| global.get(key).is_some()) {
            let keys: Vec<String> = keys.iter().map(|(key, _)| format!("`{key}`")).collect();
            return Err(format!("global: {} are both there; one of them is needed", keys.join(" and ")));
        }
    }
    Ok(())
}

/// Gives a receiver what it has not.
pub(super) fn fill(receiver: &mut Node, global: &Node) {
    let Node::Map(kinds) = receiver else { return };
    for (kind, channels) in kinds {
        let Node::List(channels) = channels else { continue };
        for (_, keys) in FILLS.iter().filter(|(kinds, _)| kinds.contains(&kind.as_str())) {
            for channel in &mut *channels {
                if keys.iter().any(|(_, own)| channel.get(own).is_some()) {
                    continue;
                }
                let given = keys.iter().filter_map(|(key, own)| Some(((*own).to_owned(), global.get(key)?.clone())));
                if let Node::Map(entries) = channel {
                    // A key without a value makes room.
                    entries.retain(|(name, _)| !keys.iter().any(|(_, own)| own == name));
                    entries.extend(given);
                }
            }
        }
    }
}

/// Makes relative paths of files, which keys that end with `_file` name, those below a folder.
pub(super) fn rebase(node: &mut Node, folder: &Path) {
    match node {
        Node::List(items) => items.iter_mut().for_each(|item| rebase(item, folder)),
        Node::Map(entries) => {
            for (key, value) in entries {
                match value {
                    Node::Text(path) if key.ends_with("_file") && !path.is_empty() => {
                        *path = below(folder, path);
                    }
                    value => rebase(value, folder),
                }
            }
        }
        _ => {}
    }
}

/// A path, relative to a folder unless it is absolute.
pub(super) fn below(folder: &Path, path: &str) -> String {
    folder.join(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(yaml: &str) -> Node {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn a_receiver_gets_what_it_does_not_say_itself() {
        let global = node(
            "{slack_api_url_file: s, pagerduty_url: 'http://p', smtp_from: a@b, smtp_auth_password: x,
              smtp_require_tls: false, http_config: {follow_redirects: true}, resolve_timeout: 5m}",
        );
        check(&global).unwrap();
        let filled = |yaml: &str| {
            let mut receiver = node(yaml);
            fill(&mut receiver, &global);
            receiver
        };
        for (receiver, want) in [
            (
                "{name: a, slack_configs: [{channel: c}, {api_url: own}]}",
                "{name: a, slack_configs: [{channel: c, http_config: {follow_redirects: true}, api_url_file: s},
                  {api_url: own, http_config: {follow_redirects: true}}]}",
            ),
            (
                "{pagerduty_configs: [{http_config: {}, url: null}]}",
                "{pagerduty_configs: [{http_config: {}, url: 'http://p'}]}",
            ),
            (
                "{email_configs: [{auth_password_file: f, to: b@c}]}",
                "{email_configs: [{auth_password_file: f, to: b@c, from: a@b, require_tls: false}]}",
            ),
        ] {
            assert_eq!(filled(receiver), node(want), "{receiver}");
        }
    }

    #[test]
    fn a_key_that_is_not_known_or_is_there_in_two_ways_is_refused() {
        for (global, part) in [
            ("{slack_api_ulr: x}", "unknown key `slack_api_ulr`; did you mean `slack_api_url`?"),
            ("{slack_api_url: x, slack_api_url_file: y}", "`slack_api_url` and `slack_api_url_file` are both there"),
            ("{resolve_timeout: soon}", "global.resolve_timeout: "),
            ("[a]", "should be a mapping"),
        ] {
            let error = check(&node(global)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        check(&node("{opsgenie_api_key: x}")).unwrap();
    }

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let mut receiver = node("{slack_configs: [{api_url_file: s, a: b}, {api_url_file: /abs}]}");
        rebase(&mut receiver, Path::new("/etc/am"));
        assert_eq!(receiver, node("{slack_configs: [{api_url_file: /etc/am/s, a: b}, {api_url_file: /abs}]}"));
    }
}
