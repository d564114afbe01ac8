use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Options;
use super::super::group::{Alert, Delivery, Groups};
use super::*;

const NOW_MS: i64 = 1_764_451_200_123;

fn channel(receiver: &str) -> Channel {
    let mut all: Vec<super::super::Receiver> = serde_saphyr::from_str(&format!("[{{name: ops, {receiver}}}]")).unwrap();
    all.remove(0).channels.remove(0)
}

fn alert(service: &str, ends_at_ms: Option<i64>) -> Alert {
    let map = |of: &[(&str, &str)]| -> Arc<BTreeMap<String, String>> {
        Arc::new(of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    };
    Alert {
        labels: map(&[("alertname", "PayFails"), ("service", service), ("severity", "critical")]),
        annotations: map(&[("summary", "支付失败 <b>pay</b> *1*")]),
        starts_at_ms: 1_700_000_000_000,
        ends_at_ms,
        generator_url: "http://weir:7400/q".to_owned(),
    }
}

/// What a channel would be told of these alerts, as the groups hand it over.
fn delivery(channel: &Channel, alerts: Vec<Alert>) -> Delivery {
    let options = Options {
        route: serde_saphyr::from_str("{receiver: ops, group_by: [alertname]}").unwrap(),
        receivers: vec![super::super::Receiver { name: "ops".to_owned(), channels: vec![channel.clone()] }],
        ..Options::default()
    };
    let mut groups = Groups::new(&options, Vec::new(), Vec::new());
    groups.update(alerts.iter().map(|alert| Alert { ends_at_ms: None, ..alert.clone() }).collect(), 0);
    Delivery { alerts, ..groups.due(1).remove(0) }
}

fn post(receiver: &str, alerts: Vec<Alert>) -> Post {
    posted(receiver, alerts, &[]).unwrap()
}

/// With a file of templates.
fn posted(receiver: &str, alerts: Vec<Alert>, files: &[String]) -> Result<Post, String> {
    let channel = channel(receiver);
    let delivery = delivery(&channel, alerts);
    let templates = Templates::load(files).unwrap();
    channel.check(&templates)?;
    match channel.request(&delivery, &Texts::new(&templates, &delivery, "http://weir:7400", NOW_MS))? {
        Request::Post(post) => Ok(post),
        Request::Mail(_) => panic!("a mail"),
    }
}

fn text<'a>(body: &'a Value, path: &str) -> &'a str {
    body.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn dingtalk_gets_markdown_with_a_signed_address() {
    let config =
        "dingtalk_configs: [{url: 'http://h/send?access_token=t', secret: SEC1, mention: ['13800000000', all]}]";
    let told = post(config, vec![alert("pay", None)]);
    // Computed with Python's hmac, base64 and urllib.
    let sign = "4tSLn8alLs66zTnslaeWbwUCy0Bi0d9wrOWpiWV2o5U%3D";
    assert_eq!(told.url, format!("http://h/send?access_token=t&timestamp={NOW_MS}&sign={sign}"));
    assert_eq!(told.body["msgtype"], "markdown");
    assert_eq!(told.body["markdown"]["title"], "[告警:1] PayFails (pay critical)");
    assert_eq!(told.body["at"], json!({"atMobiles": ["13800000000"], "isAtAll": true}));
    let body = text(&told.body, "/markdown/text");
    assert!(body.contains("支付失败 ＜b＞pay＜/b＞") && body.ends_with(" @13800000000"), "{body}");
    let told = post(config, vec![alert("pay", Some(1_700_000_060_000))]);
    assert_eq!(told.body["at"], json!({"isAtAll": false}), "nobody is called for what is over");
    assert!(text(&told.body, "/markdown/title").starts_with("[恢复] PayFails"), "{told:?}");
}

#[test]
fn feishu_gets_a_card_with_a_signature_of_the_second() {
    let told = post("feishu_configs: [{url: 'http://h/hook', secret: s, mention: [ou_1]}]", vec![alert("pay", None)]);
    assert_eq!(told.body["timestamp"], "1764451200");
    assert_eq!(told.body["sign"], "mmf3/VBbyj5zWPX5hYB79Ll+YHQvSNCtCQZHbdnHiVM=");
    assert_eq!(told.body["msg_type"], "interactive");
    assert_eq!(told.body["card"]["header"]["template"], "red");
    let content = text(&told.body, "/card/elements/0/content");
    assert!(content.contains("支付失败 &#60;b&#62;pay&#60;/b&#62; &#42;1&#42;"), "{content}");
    assert!(content.ends_with("<at id=ou_1></at>"), "{content}");
    let unsigned = post("feishu_configs: [{url: 'http://h/hook', language: en}]", vec![alert("pay", Some(1))]);
    assert_eq!(unsigned.body.get("sign"), None);
    assert_eq!(unsigned.body["card"]["header"]["template"], "green");
    assert!(text(&unsigned.body, "/card/header/title/content").starts_with("[RESOLVED] PayFails"));
}

#[test]
fn wecom_gets_markdown_that_fits_however_many_alerts_there_are() {
    let config = "wecom_configs: [{url: 'http://h/send?key=k', mention: [zhang]}]";
    let content = |alerts: Vec<Alert>| text(&post(config, alerts).body, "/markdown/content").to_owned();
    let one = content(vec![alert("<@all>", None)]);
    assert!(one.contains("＜@all＞") && !one.contains("<@all>"), "a label mentions nobody: {one}");
    assert!(one.ends_with("<@zhang>"), "{one}");
    let many = content((0..100).map(|n| alert(&format!("{n:03}{}", "长".repeat(40)), None)).collect());
    assert!(many.len() <= 4096 && many.contains("条告警") && many.ends_with("<@zhang>"), "{} {many}", many.len());
    let long = content(vec![alert(&"长".repeat(4000), None)]);
    assert!(long.len() <= 4096, "{}", long.len());
}

#[test]
fn those_that_fire_stand_first() {
    let told = post("slack_configs: [{api_url: 'http://h/'}]", vec![alert("a", Some(1)), alert("b", None)]);
    let body = text(&told.body, "/attachments/0/text");
    let at = |what: &str| body.find(what).unwrap_or_else(|| panic!("no {what} in {body}"));
    assert!(at("service=b") < at("service=a"), "{body}");
}

#[test]
fn slack_gets_an_attachment() {
    let told = post("slack_configs: [{api_url: 'http://h/', channel: '#ops'}]", vec![alert("pay", None)]);
    assert_eq!(told.body["channel"], "#ops");
    assert_eq!(told.body["attachments"][0]["color"], "danger");
    assert_eq!(told.body["attachments"][0]["title"], "[FIRING:1] PayFails (pay critical)");
    assert!(text(&told.body, "/attachments/0/text").contains("支付失败 &lt;b&gt;pay&lt;/b&gt;"), "{told:?}");
}

#[test]
fn pagerduty_gets_one_incident_a_group_that_is_resolved_under_the_same_key() {
    let config = "pagerduty_configs: [{routing_key: r, url: 'http://h/v2/enqueue'}]";
    let (fires, ends) = (post(config, vec![alert("pay", None)]), post(config, vec![alert("pay", Some(1))]));
    assert_eq!((&fires.body["event_action"], &ends.body["event_action"]), (&json!("trigger"), &json!("resolve")));
    assert_eq!(fires.body["dedup_key"], ends.body["dedup_key"]);
    assert_eq!((&fires.body["routing_key"], &fires.body["payload"]["severity"]), (&json!("r"), &json!("critical")));
    assert!(text(&fires.body, "/payload/custom_details/firing").contains(" - service = pay\n"));
    let by_default = channel("pagerduty_configs: [{routing_key: r}]");
    assert_eq!(by_default.address().unwrap().read().unwrap(), "https://events.pagerduty.com/v2/enqueue");
}

#[test]
fn an_alertmanager_holds_a_firing_alert_until_it_is_told_again() {
    let told = post(
        "alertmanager_configs: [{url: 'http://h:9093/am/'}]",
        vec![alert("a", None), alert("b", Some(1_700_000_060_000))],
    );
    assert_eq!(told.url, "http://h:9093/am/api/v2/alerts");
    assert_eq!(told.body[0]["labels"]["service"], "a");
    let ends: jiff::Timestamp = text(&told.body, "/0/endsAt").parse().unwrap();
    assert!(ends.as_millisecond() > NOW_MS + 4 * 3_600_000, "{ends}");
    assert_eq!(told.body[1]["endsAt"], "2023-11-14T22:14:20Z");
}

#[test]
fn an_address_in_a_file_is_read_for_each_use() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = format!("webhook_configs: [{{url_file: '{}'}}]", file.path().display());
    std::fs::write(file.path(), "http://h/1\n").unwrap();
    assert_eq!(post(&config, vec![alert("a", None)]).url, "http://h/1");
    std::fs::write(file.path(), "http://h/2").unwrap();
    assert_eq!(post(&config, vec![alert("a", None)]).url, "http://h/2");
    let error = posted("webhook_configs: [{url_file: /no/such/file}]", vec![alert("a", None)], &[]).unwrap_err();
    assert!(error.starts_with("/no/such/file cannot be read"), "{error}");
}

#[test]
fn an_answer_counts_by_what_it_says() {
    let all = [
        ("webhook", "webhook_configs: [{url: 'http://h/'}]"),
        ("dingtalk", "dingtalk_configs: [{url: 'http://h/'}]"),
        ("wecom", "wecom_configs: [{url: 'http://h/'}]"),
        ("feishu", "feishu_configs: [{url: 'http://h/'}]"),
        ("slack", "slack_configs: [{api_url: 'http://h/'}]"),
    ];
    let is = |answer: &Answer| match answer {
        Answer::Taken => "taken",
        Answer::Again(_) => "again",
        Answer::Refused(_) => "refused",
    };
    let page = "<!DOCTYPE html><html>Please sign in</html>";
    for (kind, status, body, want) in [
        ("webhook", 200, "", "taken"),
        ("webhook", 204, "", "taken"),
        ("webhook", 200, "<b>ok</b>", "taken"),
        ("webhook", 200, page, "again"),
        ("webhook", 200, "\n <HTML>", "again"),
        ("webhook", 302, "", "again"),
        ("webhook", 304, "", "again"),
        ("webhook", 307, "", "again"),
        ("webhook", 400, "", "refused"),
        ("webhook", 404, "", "refused"),
        ("webhook", 408, "", "again"),
        ("webhook", 429, "", "again"),
        ("webhook", 503, "", "again"),
        ("dingtalk", 200, r#"{"errcode":0,"errmsg":"ok"}"#, "taken"),
        ("dingtalk", 200, r#"{"errcode":310000,"errmsg":"sign not match"}"#, "refused"),
        ("dingtalk", 200, r#"{"errcode":130101,"errmsg":"send too fast"}"#, "again"),
        ("dingtalk", 200, "ok", "again"),
        ("dingtalk", 200, page, "again"),
        ("wecom", 200, r#"{"errcode":0,"errmsg":"ok"}"#, "taken"),
        ("wecom", 200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, "refused"),
        ("wecom", 200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, "again"),
        ("feishu", 200, r#"{"code":0,"msg":"success","data":{}}"#, "taken"),
        ("feishu", 200, r#"{"code":19021,"msg":"sign match fail"}"#, "refused"),
        ("feishu", 200, r#"{"code":11232,"msg":"frequency limited"}"#, "again"),
        ("slack", 200, "ok", "taken"),
        ("slack", 200, r#"{"ok":false,"error":"channel_not_found"}"#, "refused"),
        ("slack", 200, r#"{"ok":false,"error":"ratelimited"}"#, "again"),
    ] {
        let config = all.iter().find(|(name, _)| *name == kind).unwrap().1;
        let answer = channel(config).judge(status, body.as_bytes());
        assert_eq!(is(&answer), want, "{kind} {status} {body}: {answer:?}");
    }
}

#[test]
fn a_configuration_that_cannot_work_names_the_key() {
    for (text, part) in [
        ("dingtalk_configs: [{}]", "`url` or `url_file` is missing"),
        ("slack_configs: [{api_url: 'http://h/', api_url_file: f}]", "`api_url` and `api_url_file` are both there"),
        ("pagerduty_configs: [{url: 'http://h/'}]", "`routing_key` or `routing_key_file` is missing"),
        ("pagerduty_configs: [{routing_key: r, severity: bad}]", "«bad» is none of critical"),
        ("wecom_configs: [{url: 'http://h/', secret: s}]", "WeCom's robots have no `secret`"),
        ("feishu_configs: [{url: 'http://h/', language: fr}]", "fr"),
        ("opsgenie_configs: []", "`opsgenie_configs` is not supported; there are `name`, `webhook_configs`"),
    ] {
        let read = serde_saphyr::from_str::<Vec<super::super::Receiver>>(&format!("[{{name: ops, {text}}}]"));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let shown = format!("{:?}", channel("dingtalk_configs: [{url: 'http://h/?t=1', secret: hidden}]"));
    assert!(!shown.contains("hidden") && !shown.contains("t=1"), "{shown}");
}

/// A file of templates that is there as long as the test.
fn file(text: &str) -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.tmpl");
    std::fs::write(&path, text).unwrap();
    (folder, vec![path.display().to_string()])
}

#[test]
fn robots_say_what_templates_write() {
    let own = "title: '{{ .Status }} {{ .GroupLabels.alertname }}', text: '{{ range .Alerts }}**{{ .Labels.service }}** \
        {{ (.StartsAt.Add 28800e9).Format \"2006-01-02 15:04:05\" }}{{ end }}', mention: [u]";
    let of = |kind: &str| {
        posted(&format!("{kind}_configs: [{{url: 'http://h/', {own}}}]"), vec![alert("pay", None)], &[]).unwrap()
    };
    let told = of("dingtalk").body;
    assert_eq!(told["markdown"], json!({"title": "firing PayFails", "text": "**pay** 2023-11-15 06:13:20 @u"}));
    let told = of("wecom").body;
    assert_eq!(text(&told, "/markdown/content"), "firing PayFails\n**pay** 2023-11-15 06:13:20\n<@u>");
    let told = of("feishu").body;
    assert_eq!(text(&told, "/card/header/title/content"), "firing PayFails");
    assert_eq!(text(&told, "/card/elements/0/content"), "**pay** 2023-11-15 06:13:20\n<at id=u></at>");
    // As users of prometheus-webhook-dingtalk have it, without a key; and a message alone is the whole of it.
    let (_folder, files) =
        file("{{ define \"ding.link.title\" }}T{{ end }}{{ define \"ding.link.content\" }}C{{ end }}");
    let told = posted("dingtalk_configs: [{url: 'http://h/'}]", vec![alert("pay", None)], &files).unwrap().body;
    assert_eq!(told["markdown"], json!({"title": "T", "text": "C"}));
    let told = posted("wecom_configs: [{url: 'http://h/', message: M}]", vec![alert("pay", None)], &[]).unwrap().body;
    assert_eq!(told["markdown"]["content"], "M");
    let long = "wecom_configs: [{url: 'http://h/', text: '{{ range 2000 }}长{{ end }}', mention: [zhang]}]";
    let told = posted(long, vec![alert("pay", None)], &[]).unwrap().body;
    let content = text(&told, "/markdown/content");
    assert!(content.len() <= 4096 && content.ends_with("长\n<@zhang>"), "{}", content.len());
}

#[test]
fn a_template_that_fails_leaves_the_default_text_and_says_so() {
    let bad = "{{ index .Alerts 5 }}";
    for (config, title, body) in [
        ("dingtalk_configs: [{url: 'http://h/', title: 'BAD', language: en}]", "/markdown/title", "/markdown/text"),
        ("wecom_configs: [{url: 'http://h/', text: 'BAD', language: en}]", "/markdown/content", "/markdown/content"),
        (
            "feishu_configs: [{url: 'http://h/', text: 'BAD', language: en}]",
            "/card/header/title/content",
            "/card/elements/0/content",
        ),
        ("slack_configs: [{api_url: 'http://h/', title: 'BAD'}]", "/attachments/0/title", "/attachments/0/text"),
        (
            "pagerduty_configs: [{routing_key: r, description: 'BAD'}]",
            "/payload/summary",
            "/payload/custom_details/weir",
        ),
    ] {
        let told = posted(&config.replace("BAD", bad), vec![alert("pay", None)], &[]).unwrap().body;
        assert!(text(&told, title).contains("[FIRING:1] PayFails (pay critical)"), "{told}");
        assert!(
            text(&told, body).contains("template failed: ") && text(&told, body).contains("index out of range"),
            "{told}"
        );
    }
}

#[test]
fn a_template_that_can_never_work_is_refused_with_its_key() {
    for (config, error) in [
        (
            "dingtalk_configs: [{url: 'http://h/', title: '{{ .Stauts }}'}]",
            "title: can't evaluate field Stauts in type Data",
        ),
        (
            "slack_configs: [{api_url: 'http://h/', fields: [{title: a, value: '{{ nosuch }}'}]}]",
            "fields[0].value: function \"nosuch\" not defined",
        ),
        (
            "slack_configs: [{api_url: 'http://h/', actions: [{type: button, text: t, url: '{{ template \"x\" }}'}]}]",
            "actions[0].url: template \"x\" not defined",
        ),
        ("pagerduty_configs: [{routing_key: r, details: {a: '{{ if }}'}}]", "details.a: "),
        ("email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'h:25', html: '<a href=\"{{ .Status }}'}]", "html: "),
        ("email_configs: [{to: nobody, from: a@b.c, smarthost: 'h:25'}]", "to: «nobody» is not a list of addresses"),
    ] {
        let told = channel(config).check(&Templates::load(&[]).unwrap()).unwrap_err();
        assert!(told.starts_with(error), "{config}: {told}");
    }
}

#[test]
fn slack_gets_all_that_alertmanager_sends() {
    let config = r#"slack_configs: [{api_url: 'http://h/', channel: '#{{ .CommonLabels.severity }}', username: u, icon_url: 'http://i/',
        link_names: true, color: '{{ if eq .Status "firing" }}#ff0000{{ else }}good{{ end }}', title: '{{ template "slack.default.title" . }}',
        title_link: 'http://t/', pretext: p, text: '{{ .CommonAnnotations.summary }}', fallback: f, callback_id: c, footer: w,
        image_url: 'http://img/', thumb_url: 'http://thumb/', short_fields: true, mrkdwn_in: [text],
        fields: [{title: s, value: '{{ .CommonLabels.service }}'}, {title: l, value: v, short: false}],
        actions: [{type: button, text: Runbook, url: 'http://r/{{ .CommonLabels.service }}', style: danger, name: n},
            {type: button, text: Ack, name: n, value: '{{ .Status }}', confirm: {text: sure?}}]}]"#;
    let told = posted(config, vec![alert("pay", None)], &[]).unwrap().body;
    let attachment = json!({
        "color": "#ff0000", "title": "[FIRING:1] PayFails (pay critical)", "title_link": "http://t/", "pretext": "p",
        "text": "支付失败 <b>pay</b> *1*", "fallback": "f", "callback_id": "c", "footer": "w", "image_url": "http://img/",
        "thumb_url": "http://thumb/", "mrkdwn_in": ["text"],
        "fields": [{"title": "s", "value": "pay", "short": true}, {"title": "l", "value": "v", "short": false}],
        "actions": [
            {"type": "button", "text": "Runbook", "url": "http://r/pay", "style": "danger"},
            {"type": "button", "text": "Ack", "name": "n", "value": "firing", "confirm": {"text": "sure?"}},
        ],
    });
    let body = json!({"channel": "#critical", "username": "u", "icon_url": "http://i/", "link_names": true, "attachments": [attachment]});
    assert_eq!(told, body);
}

#[test]
fn pagerduty_gets_all_that_alertmanager_sends() {
    let config = "pagerduty_configs: [{routing_key: r, client: c, client_url: 'http://c/', description: '{{ .Status }}', \
        severity: '{{ .CommonLabels.nothing }}', source: s, class: k, component: '{{ .CommonLabels.service }}', group: g, \
        details: {firing: own, more: '{{ len .Alerts }}'}, images: [{src: 'http://i/', alt: a}], links: [{href: 'http://l/', text: t}]}]";
    let told = posted(config, vec![alert("pay", None)], &[]).unwrap().body;
    assert_eq!((&told["client"], &told["client_url"]), (&json!("c"), &json!("http://c/")));
    assert_eq!(told["images"], json!([{"src": "http://i/", "alt": "a", "href": ""}]));
    assert_eq!(told["links"], json!([{"href": "http://l/", "text": "t"}]));
    assert_eq!(
        told["payload"],
        json!({
            "summary": "firing", "source": "s", "severity": "critical", "class": "k", "component": "pay", "group": "g",
            "custom_details": {"firing": "own", "resolved": "", "num_firing": "1", "num_resolved": "0", "more": "1"},
        })
    );
    let fixed = posted("pagerduty_configs: [{routing_key: r, severity: info}]", vec![alert("pay", None)], &[]).unwrap();
    assert_eq!(fixed.body["payload"]["severity"], "info");
}

#[test]
fn a_bots_answer_counts_only_where_it_is_slacks() {
    let bot = channel(
        "slack_configs: [{api_url: 'http://h/api/chat.postMessage', http_config: {authorization: {credentials: xoxb-1}}}]",
    );
    assert_eq!(bot.judge(200, br#"{"ok":true,"ts":"1"}"#), Answer::Taken);
    assert_eq!(bot.judge(200, br#"{"ok":false,"error":"invalid_auth"}"#), Answer::Refused("invalid_auth".to_owned()));
    assert_eq!(
        bot.judge(200, br#"{"ok":false,"error":"service_unavailable"}"#),
        Answer::Again("service_unavailable".to_owned())
    );
    assert!(matches!(bot.judge(200, b"ok"), Answer::Again(_)));
}

#[test]
fn http_config_and_email_configs_that_cannot_work_name_the_key() {
    let http = |text: &str| format!("webhook_configs: [{{url: 'http://h/', http_config: {{{text}}}}}]");
    let mail = |text: &str| format!("email_configs: [{{to: a@b.c, from: a@b.c, smarthost: 'h:25', {text}}}]");
    for (text, part) in [
        (http("oauth2: {client_id: a}"), "`oauth2` is not supported"),
        (http("basic_auth: {username: a}"), "basic_auth: `password` or `password_file` is missing"),
        (http("authorization: {type: Basic, credentials: a}"), "Basic is what basic_auth is for"),
        (http("bearer_token: a, bearer_token_file: b"), "`bearer_token` and `bearer_token_file` are both there"),
        (http("bearer_token: a, basic_auth: {username: u, password: p}"), "only one can be there"),
        (http("tls_config: {server_name: h}"), "`server_name` is not supported over HTTP"),
        (http("tls_config: {cert_file: c}"), "cert_file and key_file need each other"),
        (http("no_proxy: a"), "`no_proxy` goes with `proxy_url`"),
        (http("tls_config: {ca_file: /no/such}"), "http_config: cannot read /no/such"),
        (http("proxy_url: 'ftp://h'"), "http_config: proxy_url: is not"),
        (http("nonsense: 1"), "nonsense"),
        (mail("auth_secret: s"), "`auth_secret` is for CRAM-MD5"),
        (mail("auth_identity: i, auth_username: u, auth_password: p"), "`auth_identity` is not supported"),
        (mail("auth_username: u"), "`auth_password` or `auth_password_file` is missing"),
        (mail("auth_password: p"), "`auth_password` goes with `auth_username`"),
        (mail("html: '', text: ''"), "nothing to send"),
        (mail("headers: {'a b': c}"), "«a b» is not a header's name"),
        (mail("headers: {Subject: a, subject: b}"), "there are two named"),
        (mail("headers: {Content-Type: a}"), "that of the message's parts"),
        (mail("tls_config: {ca_file: /no/such}"), "tls_config: cannot read /no/such"),
        (mail("timeout: 0s"), "timeout: must be longer than 0"),
        ("email_configs: [{to: a@b.c, from: a@b.c}]".to_owned(), "`smarthost` is missing"),
        ("email_configs: [{to: a@b.c, from: a@b.c, smarthost: h}]".to_owned(), "«h» is not a host and a port"),
        ("pagerduty_configs: [{service_key: k}]".to_owned(), "`service_key` is for version 1"),
    ] {
        let read = serde_saphyr::from_str::<Vec<super::super::Receiver>>(&format!("[{{name: ops, {text}}}]"));
        let error = match read {
            Ok(mut all) => all.remove(0).channels.remove(0).check(&Templates::load(&[]).unwrap()).unwrap_err(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(part), "{text}: {error}");
    }
}
