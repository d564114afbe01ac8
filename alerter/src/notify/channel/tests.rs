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
        templates: Vec::new(),
        external_url: String::new(),
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
