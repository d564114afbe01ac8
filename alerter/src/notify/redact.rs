//! A configuration as it may be shown: with `<secret>` in place of all values that are not known to be none.

use super::node::Node;

const SECRET: &str = "<secret>";

/// Keys in `global` and `receivers` whose values are no secrets. Addresses are: webhooks' hold tokens.
const SHOWN: &[&str] = &[
    "name",
    "send_resolved",
    "max_alerts",
    "timeout",
    "language",
    "channel",
    "icon_emoji",
    "username",
    "severity",
    "mention",
    "to",
    "from",
    "smarthost",
    "hello",
    "require_tls",
    "auth_username",
    "auth_identity",
    "title",
    "text",
    "html",
    "message",
    "description",
    "title_link",
    "pretext",
    "fallback",
    "color",
    "footer",
    "class",
    "component",
    "group",
    "client",
    "client_url",
    "source",
    "smtp_smarthost",
    "smtp_from",
    "smtp_hello",
    "smtp_auth_username",
    "smtp_auth_identity",
    "smtp_require_tls",
    "resolve_timeout",
    "follow_redirects",
    "enable_http2",
    "insecure_skip_verify",
    "server_name",
    "min_version",
    "max_version",
    "type",
];

/// The same without secrets.
pub(super) fn redacted(node: &Node) -> Node {
    redact(node, "name")
}

fn redact(node: &Node, key: &str) -> Node {
    match node {
        Node::Null | Node::Bool(_) => node.clone(),
        Node::List(items) => Node::List(items.iter().map(|item| redact(item, key)).collect()),
        Node::Map(entries) => {
            Node::Map(entries.iter().map(|(name, value)| (name.clone(), redact(value, name))).collect())
        }
        _ if SHOWN.contains(&key) || key.ends_with("_file") => node.clone(),
        _ => Node::Text(SECRET.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_no_secret_is_shown() {
        let receivers = "[{name: ops, dingtalk_configs: [{url: 'http://h/?access_token=x', secret_file: f,
            mention: [all], send_resolved: true, http_config: {headers: {a: b}, basic_auth: {username: u, password: 1}}}]}]";
        let want = "[{name: ops, dingtalk_configs: [{url: <secret>, secret_file: f,
            mention: [all], send_resolved: true, http_config: {headers: {a: <secret>},
            basic_auth: {username: u, password: <secret>}}}]}]";
        let node = |yaml: &str| serde_saphyr::from_str::<Node>(yaml).unwrap();
        assert_eq!(redacted(&node(receivers)), node(want));
    }
}
