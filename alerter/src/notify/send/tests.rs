use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::group::{Alert, Groups};
use super::*;

/// A server that answers 200, or this redirection the first time, and keeps what each request asked for and showed.
async fn server(redirect: Option<u16>) -> (String, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (asked, kept) = (Arc::new(AtomicUsize::new(0)), seen.clone());
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let shown =
            |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
        kept.lock().push(format!("{} {} {}", request.uri(), shown("authorization"), shown("proxy-authorization")));
        let status = if asked.fetch_add(1, Ordering::SeqCst) == 0 { redirect.unwrap_or(200) } else { 200 };
        async move { (axum::http::StatusCode::from_u16(status).unwrap(), [("location", "/moved")], "ok") }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), seen)
}

fn options(channels: &str) -> Options {
    Options {
        route: serde_saphyr::from_str("{receiver: ops, group_by: [alertname]}").unwrap(),
        receivers: serde_saphyr::from_str(&format!("[{{name: ops, {channels}}}]")).unwrap(),
        ..Options::default()
    }
}

/// What the channels of a receiver are sent of one alert, and the answers.
async fn sent(channels: &str) -> (Arc<Sender>, Vec<Answer>) {
    let options = options(channels);
    options.check().unwrap();
    let mut groups = Groups::new(&options, Vec::new(), Vec::new());
    let labels = Arc::new(BTreeMap::from([("alertname".to_owned(), "A".to_owned())]));
    let alert =
        Alert { labels, annotations: Arc::default(), starts_at_ms: 0, ends_at_ms: None, generator_url: String::new() };
    groups.update(vec![alert], 0);
    let sender = Arc::new(Sender::new(&options).unwrap());
    let mut answers = Vec::new();
    for delivery in groups.due(1) {
        answers.push(sender.send(Arc::new(delivery), 1).await.0);
    }
    (sender, answers)
}

#[tokio::test]
async fn credentials_are_shown_and_one_client_serves_each_configuration() {
    let (url, seen) = server(None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "of-file\n").unwrap();
    let file = file.display();
    let of = |config: &str| format!("{{url: '{url}/', http_config: {{{config}}}}}");
    let (sender, answers) = sent(&format!(
        "webhook_configs: [{{url: '{url}/'}}, {}, {}, {}, {}, {}]",
        of("basic_auth: {username: weir, password: p}"),
        of(&format!("basic_auth: {{username: weir, password_file: '{file}'}}")),
        of("authorization: {type: Token, credentials: c}"),
        of(&format!("bearer_token_file: '{file}'")),
        of(&format!("authorization: {{credentials_file: '{file}'}}")),
    ))
    .await;
    assert_eq!(answers, vec![Answer::Taken; 6]);
    let shown = ["-", "Basic d2Vpcjpw", "Basic d2VpcjpvZi1maWxl", "Token c", "Bearer of-file", "Bearer of-file"];
    let shown: Vec<String> = shown.iter().map(|shown| format!("/ {shown} -")).collect();
    assert_eq!(*seen.lock(), shown);
    assert_eq!(sender.clients.lock().len(), 5, "two are the same");
}

#[tokio::test]
async fn redirections_are_followed_only_where_the_configuration_lets_them() {
    for (config, answer, requests) in
        [("{}", Answer::Taken, 2), ("{follow_redirects: false}", Answer::Again("it answered 307".to_owned()), 1)]
    {
        let (url, seen) = server(Some(307)).await;
        let (_, answers) = sent(&format!("webhook_configs: [{{url: '{url}/', http_config: {config}}}]")).await;
        assert_eq!((answers, seen.lock().len()), (vec![answer], requests), "{config}");
    }
}

#[tokio::test]
async fn a_proxy_is_asked_but_for_hosts_that_are_spoken_with_directly() {
    let (proxy, seen) = server(None).await;
    let proxy = proxy.replace("http://", "http://u:p@");
    let of = |host: &str, more: &str| {
        format!("webhook_configs: [{{url: 'http://{host}/hook', http_config: {{proxy_url: '{proxy}'{more}}}}}]")
    };
    assert_eq!(sent(&of("receiver.invalid", "")).await.1, [Answer::Taken]);
    assert_eq!(*seen.lock(), ["http://receiver.invalid/hook - Basic dTpw"]);
    let (_, answers) = sent(&of("receiver.invalid", ", no_proxy: 'receiver.invalid'")).await;
    assert!(matches!(&answers[..], [Answer::Again(_)]) && seen.lock().len() == 1, "{answers:?}");
}

/// Every kind, with this in each of its secrets, at a port where nobody listens.
fn every_kind(secret: &str) -> Vec<String> {
    let url = format!("http://u:{secret}@127.0.0.1:1/{secret}?access_token={secret}");
    let http = format!(
        "http_config: {{authorization: {{credentials: '{secret}'}}, proxy_url: 'http://u:{secret}@127.0.0.1:1/'}}"
    );
    let basic = format!("http_config: {{basic_auth: {{username: u, password: '{secret}'}}}}");
    let bearer = format!("http_config: {{bearer_token: '{secret}'}}");
    vec![
        format!("webhook_configs: [{{url: '{url}', {basic}}}]"),
        format!("dingtalk_configs: [{{url: '{url}', secret: '{secret}', {bearer}}}]"),
        format!("wecom_configs: [{{url: '{url}', {http}}}]"),
        format!("feishu_configs: [{{url: '{url}', secret: '{secret}', {http}}}]"),
        format!("slack_configs: [{{api_url: '{url}', {http}}}]"),
        format!("pagerduty_configs: [{{routing_key: '{secret}', url: '{url}', {http}}}]"),
        format!("alertmanager_configs: [{{url: '{url}', {http}}}]"),
        format!(
            "email_configs: [{{to: a@b.c, from: a@b.c, smarthost: '127.0.0.1:1', auth_username: u, \
             auth_password: '{secret}', require_tls: false}}]"
        ),
    ]
}

#[tokio::test]
async fn no_secret_is_in_an_answer_an_error_or_what_is_shown_of_the_configuration() {
    let secret = "s3cret-marker";
    for channel in every_kind(secret) {
        let shown = format!("{:?}", options(&channel));
        assert!(shown.contains("127.0.0.1:1") || shown.contains("<secret>"), "{shown}");
        assert!(!shown.contains(secret), "{shown}");
        let (_, answers) = sent(&channel).await;
        let answer = format!("{answers:?}");
        assert!(answer.contains("Again") && !answer.contains(secret), "{channel}: {answer}");
        for (from, to) in [("}]", ", nonsense: 1}]"), ("configs: [{", "configs: [{timeout: x, "), ("}]", "}")] {
            let end = channel.rfind(from).unwrap();
            let text = format!("[{{name: ops, {}{to}{}}}]", &channel[..end], &channel[end + from.len()..]);
            // As the configuration is read: without the lines around the error.
            let error = serde_saphyr::from_str::<Vec<super::super::Receiver>>(&text).unwrap_err();
            let error = error.without_snippet().to_string();
            assert!(!error.contains(secret), "{error}");
        }
    }
    let every: Vec<String> = every_kind("not an address: s3cret-marker")
        .into_iter()
        .map(|text| text.replace("http://u:", "ht tp://u:"))
        .collect();
    for channel in every.iter().filter(|text| text.contains("url: 'ht")) {
        let error = options(channel).check().unwrap_err().to_string();
        assert!(error.contains("is not an http or https address") && !error.contains(secret), "{error}");
    }
}
