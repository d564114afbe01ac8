use std::sync::Arc;

use weir_proto::otlp::common::v1::any_value::Value;
use weir_query::line::{Body, LineId, OfSpan, Source as LineSource};

use super::*;

fn capture(text: &str) -> Result<Arc<Capture>, String> {
    let definition = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Compiler(Arc::new(HmacKey::generate().unwrap())).compile(definition)
}

pub(super) fn span(tenant: &str, attributes: &[(&str, Value)]) -> Line {
    let of = OfSpan { name: "chat".to_owned(), status: 2, start: 1_000, end: 250_001_000, ..OfSpan::default() };
    Line {
        id: LineId { partition: 1, offset: 2, index: 3 },
        time: 5_000,
        severity: 0,
        severity_text: String::new(),
        body: Body::Text(String::new()),
        trace_id: vec![0xab; 16].into(),
        span_id: vec![0xcd; 8].into(),
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        source: Arc::new(LineSource { tenant: tenant.to_owned(), service: "ocr".to_owned(), ..LineSource::default() }),
        span: Some(Box::new(of)),
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

#[test]
fn given_tenants_and_a_query_then_no_other_line_is_taken() {
    let acme =
        capture("{name: a, tenants: [acme], query: 'service:ocr AND status:error', fields: {t: trace_id}}").unwrap();
    let all = capture("{name: a, tenants: ['*'], fields: {t: trace_id}}").unwrap();
    let mut fine = span("acme", &[]);
    fine.span.as_mut().unwrap().status = 1;
    for (line, by_acme, by_all) in [
        (span("acme", &[]), true, true),
        (span("globex", &[]), false, true),
        (fine, false, true),
        (span(AUDIT_TENANT, &[]), false, false),
    ] {
        assert_eq!((acme.matches(&line), all.matches(&line)), (by_acme, by_all), "{}", line.source.tenant);
    }
}

#[test]
fn given_a_span_then_its_row_has_the_columns_and_nothing_that_is_to_be_redacted() {
    let capture = capture(
        "{name: a, tenants: [acme], fields: {request: attributes.request, user: attributes.user, n: {from: \
         attributes.n, type: int}, ms: duration_ms, none: attributes.none, secret: attributes.secret}, redact: [{field: \
         '*', patterns: [phone_cn]}, {field: user, method: hmac}, {field: secret, method: drop}]}",
    )
    .unwrap();
    let mut line = span(
        "acme",
        &[
            ("request", text("电话13812345678。")),
            ("user", text("u1")),
            ("n", Value::IntValue(13_812_345_678)),
            ("secret", text("s")),
        ],
    );
    line.span.as_mut().unwrap().dropped_attributes = 1;
    let mut counts = Counts::default();
    let row = capture.row(&line, &[line.id], &mut counts);
    let hash = match &row.cells[1] {
        Cell::Text(hash) => hash.clone(),
        other => panic!("{other:?}"),
    };
    assert!(hash.len() == 64 && !hash.contains("u1"));
    let [request, number, drop] = [0, 2, 5].map(|at| row.cells[at].clone());
    assert_eq!(request, Cell::Text("电话[phone_cn]。".to_owned()));
    assert_eq!((number, drop), (Cell::Null, Cell::Null), "a number that is a secret, and what is dropped");
    assert_eq!((&row.cells[3], &row.cells[4]), (&Cell::Float(250.0), &Cell::Null));
    assert!(row.is_incomplete && row.trace_id == "ab".repeat(16) && row.tenant == "acme");
    assert_eq!(row.source, "1-2-3");
    assert!(counts.iter().any(|(name, count)| name == "phone_cn" && count == 2));
}

#[test]
fn given_a_chat_then_its_messages_are_written_as_trainers_read_them() {
    let capture = capture(
        "{name: a, tenants: [acme], format: chat, fields: {ms: duration_ms}, redact: [{field: messages, patterns: [email]}]}",
    )
    .unwrap();
    let message = |role: &str, words: &str| {
        text(&serde_json::json!([{"role": role, "parts": [{"type": "text", "content": words}]}]).to_string())
    };
    let line = span(
        "acme",
        &[
            ("gen_ai.input.messages", message("user", "写信给 a@example.cn")),
            ("gen_ai.output.messages", message("assistant", "好的")),
        ],
    );
    let row = capture.row(&line, &[line.id], &mut Counts::default());
    let messages = serde_json::json!([
        {"role": "user", "content": "写信给 [email]"},
        {"role": "assistant", "content": "好的"},
    ]);
    assert_eq!(row.cells, [Cell::Json(messages), Cell::Null, Cell::Float(250.0)]);
    let nothing = capture.row(&span("acme", &[]), &[], &mut Counts::default());
    assert_eq!(nothing.cells[0], Cell::Null);
}

#[test]
fn given_what_cannot_be_compiled_then_its_key_is_named() {
    for (more, told) in [
        ("query: 'a AND ('", "query: "),
        ("query: 'severity:loud'", "query: "),
        ("fields: {t: ''}", "fields: `t`: "),
        ("fields: {t: name}, redact: [{field: other, patterns: [email]}]", "redact: "),
        ("fields: {t: name}, redact: [{field: t, expressions: ['(']}]", "redact: "),
        ("fields: {t: name}, redact: [{field: t, patterns: [emial]}]", "emial"),
    ] {
        let fields = if more.contains("fields") { String::new() } else { "fields: {t: name}, ".to_owned() };
        let error = capture(&format!("{{name: a, tenants: [acme], {fields}{more}}}")).unwrap_err();
        assert!(error.contains(told), "{more}: {error}");
    }
}
