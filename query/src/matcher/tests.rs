use std::sync::Arc;

use bytes::Bytes;
use weir_proto::otlp::common::v1::any_value::Value;

use super::Matcher;
use crate::line::{Body, Line, LineId, Source};
use crate::parse;

pub(super) fn line(body: &str) -> Line {
    Line {
        id: LineId { partition: 0, offset: 1, index: 2 },
        time: 1_700_000_000_000_000_000,
        severity: 13,
        severity_text: String::new(),
        body: Body::Text(body.to_owned()),
        trace_id: Bytes::from_static(&[0xab; 16]),
        span_id: Bytes::new(),
        attributes: vec![
            ("user.id".into(), Value::IntValue(42)),
            ("path".into(), Value::StringValue("/v1/OCR".into())),
        ],
        source: Arc::new(Source {
            tenant: "acme".into(),
            service: "ocr".into(),
            resource: vec![("k8s.pod.name".into(), Value::StringValue("ocr-7".into()))],
            scope: vec![
                ("name".into(), Value::StringValue("ocr.http".into())),
                ("lang".into(), Value::StringValue("rust".into())),
            ],
        }),
        span: None,
    }
}

#[test]
fn given_a_scope_then_it_is_found_by_its_name_and_its_attributes() {
    for query in ["scope:ocr.http", "scope.name:ocr.*", "scope.lang:rust", "_exists_:scope.lang", "scope:*"] {
        assert!(matches(query, "x"), "{query}");
    }
    for query in ["scope:http", "scope.version:*", "scope.lang:go", "name:ocr.http"] {
        assert!(!matches(query, "x"), "{query}");
    }
}

fn matches(query: &str, body: &str) -> bool {
    Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&line(body))
}

#[test]
fn words_match_in_either_case_and_phrases_in_a_row() {
    let body = "GET /v1/ocr: Connection reset by peer, order_id=a1b2 显存不足";
    for query in
        ["reset", "\"connection RESET\"", "order_id", "显存", "a1b2", "/v1/ocr", "显存不足", "retry OR peer", ""]
    {
        assert!(matches(query, body), "{query}");
    }
    for query in
        ["rese", "\"reset connection\"", "order", "存显", "NOT reset", "reset AND retry", "\"connection peer\""]
    {
        assert!(!matches(query, body), "{query}");
    }
}

#[test]
fn a_text_is_searched_as_a_terminal_shows_it() {
    let body = "\x1b[31mERROR \x1b[0m disk \x1b[1mfu\x1b[mll";
    for query in ["error", "full", "\"error disk full\"", "err*", "*disk\\ full*"] {
        assert!(matches(query, body), "{query}");
    }
    for query in ["31merror", "0m", "31m*", "*31mERROR\\ *"] {
        assert!(!matches(query, body), "{query}");
    }
}

#[test]
fn any_part_of_a_chinese_text_is_found_and_a_phrase_that_repeats_itself() {
    let body: Vec<char> = "显存不足,请稍后重试".chars().collect();
    let text: String = body.iter().collect();
    for from in 0..body.len() {
        for until in from + 1..=body.len() {
            let part: String = body[from..until].iter().collect();
            assert!(matches(&format!("\"{part}\""), &text) && matches(&part, &text), "{part}");
        }
    }
    assert!(matches("\"a b a b c\"", "a b a b a b c") && matches("\"a a b\"", "a a a b"));
    assert!(!matches("\"a b a b c\"", "a b a b a c") && !matches("\"a a a\"", "a a b a a"));
}

#[test]
fn a_line_without_a_severity_is_in_no_range_of_severities() {
    let unknown = Line { severity: 0, ..line("x") };
    let matches = |query: &str| Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&unknown);
    assert!(!matches("severity:<error") && !matches("severity:[* TO *]") && matches("severity:<=0 OR severity:0"));
}

#[test]
fn patterns_match_words_and_across_them() {
    let body = "retrying aceManager at /api/v1/items 显存不足";
    for query in ["retry*", "*Manag*", "*api/v1*", "*存不*", "body:ret?ying"] {
        assert!(matches(query, body), "{query}");
    }
    assert!(!matches("etry*", body) && !matches("*api/v2*", body));
}

#[test]
fn fields_match_by_value_range_and_presence() {
    for query in [
        "service:OCR",
        "tenant:acme",
        "severity:warn",
        "severity:>=warn",
        "severity:<error",
        "attributes.user.id:42",
        "user.id:>=42",
        "user.id:[40 TO 50}",
        "k8s.pod.name:ocr-*",
        "resource.k8s.pod.name:*",
        "user.id IN [7, 42]",
        "trace_id:abababababababababababababababab",
        "timestamp:>=2023-01-01T00:00:00Z",
        "path:/v1/ocr",
        "timestamp:2023-11-14T22:13:20Z",
        "_exists_:user.id",
        "service:ocr AND severity:>=warn AND attributes.user.id:42 AND NOT body:retry*",
    ] {
        assert!(matches(query, "x"), "{query}");
    }
    for query in ["severity:>warn", "user.id:>42", "user.id:{42 TO 50]", "attributes.k8s.pod.name:*", "span_id:*"] {
        assert!(!matches(query, "x"), "{query}");
    }
}

#[test]
fn a_severity_that_is_none_is_refused_with_what_would_be_right() {
    let error = Matcher::new(&parse("severity:loud").unwrap(), 0).unwrap_err();
    assert!(error.to_string().contains("use trace, debug"), "{error}");
}

#[test]
fn given_a_pattern_beside_many_then_all_together_have_a_bound_and_errors_show_its_start() {
    let of = |count: usize| vec![r"/\w{8}/"; count].join(" OR ");
    assert!(Matcher::new(&parse(&of(8)).unwrap(), 0).is_ok());
    assert!(Matcher::new(&parse(&of(100)).unwrap(), 0).is_err());
    let error = Matcher::new(&parse(&format!("{}*", "显?".repeat(50_000))).unwrap(), 0).unwrap_err();
    assert!(error.to_string().len() < 500, "{error}");
}

#[test]
fn given_words_that_may_be_moved_then_a_field_has_them_as_the_text_does() {
    let attributes = [("k", text("connection was reset by peer"))];
    assert!(has("k:\"connection peer\"~3", &attributes) && has("k:\"reset connection\"~3", &attributes));
    assert!(!has("k:\"connection peer\"~2", &attributes) && !has("k:\"connection peer\"", &attributes));
}

/// Whether a line with attributes matches.
fn has(query: &str, attributes: &[(&str, Value)]) -> bool {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&Line { attributes, ..line("x") })
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

#[test]
fn numbers_are_compared_by_value_and_exactly() {
    let int = [("n", Value::IntValue(9_007_199_254_740_993))];
    for (query, is_there) in [
        ("n:9007199254740993", true),
        ("n:9007199254740992", false),
        ("n:9007199254740993.0", true),
        ("n:>9007199254740992", true),
        ("n:>=9007199254740994", false),
        ("n:[9007199254740993 TO 9007199254740993]", true),
        ("n:(>=400 AND <500)", false),
        ("n IN [1, 9007199254740993]", true),
        ("n IN [1, 9007199254740992]", false),
        ("n:9007*", true),
    ] {
        assert_eq!(has(query, &int), is_there, "{query}");
    }
    for (query, value) in [
        ("n:200.0", Value::IntValue(200)),
        ("n:2e2", Value::IntValue(200)),
        ("n:3.0", Value::DoubleValue(3.0)),
        ("n:3", Value::DoubleValue(3.0)),
        ("n:0", Value::DoubleValue(-0.0)),
        ("n:-1.50", Value::DoubleValue(-1.5)),
        ("n:(>=400 AND <500)", text("404")),
        ("n:(>=400 AND <500)", Value::IntValue(404)),
        ("n:true", Value::BoolValue(true)),
    ] {
        assert!(has(query, &[("n", value)]), "{query}");
    }
    assert!(!has("n:7", &[("n", text("007"))]) && has("n:007", &[("n", text("007"))]), "text is text");
}

#[test]
fn ranges_of_texts_and_addresses_are_as_their_equality() {
    for (query, value, is_there) in [
        ("n:[alpha TO beta]", "Alpha", true),
        ("n:[ALPHA TO beta]", "alpine", true),
        ("n:>beta", "Alpha", false),
        ("n:>5", "word", false),
        ("n:<word", "5", false),
        ("n:10.0.0.0/8", "10.1.2.3", true),
        ("n:10.0.0.0/8", "11.1.2.3", false),
        ("n:10.0.0.0/8", "10.0.0.0/8", true),
        ("n:0.0.0.0/0", "11.1.2.3", true),
        ("n:fd00::/8", "fd12::1", true),
        ("n:[10.0.0.9 TO 10.0.0.20]", "10.0.0.10", true),
        ("n:[10.0.0.9 TO 10.0.0.20]", "10.0.0.21", false),
        ("n:\"\"", "", true),
        ("n:\"\"", "x", false),
        ("n:/a(b|c)+/", "ABC", true),
        ("n:/a(b|c)/", "abc", false),
        ("n:timeout~1", "Timeot", true),
    ] {
        assert_eq!(has(query, &[("n", text(value))]), is_there, "{query} {value}");
    }
    assert!(!has("service:\"\"", &[]) && has("span_id:\"\"", &[]), "what is not there is empty");
}

#[test]
fn names_with_a_star_are_those_of_any_field_like_it() {
    let attributes = [("color", text("Red")), ("http.code", Value::IntValue(404)), ("http.path", text("/v1"))];
    for query in [
        "attributes.*:red",
        "*:red",
        "col*:RED",
        "http.*:>=400",
        r"http.\*:404",
        "*:ocr",
        "*:ocr-7",
        "resource.*:ocr-7",
    ] {
        assert!(has(query, &attributes), "{query}");
    }
    for query in ["resource.*:red", "http.*:red", "*:blue", "attributes.*:ocr-7"] {
        assert!(!has(query, &attributes), "{query}");
    }
    assert!(has("*:x", &[]), "the body is a field");
}

#[test]
fn fields_of_a_body_that_is_json_are_asked_by_their_names() {
    let body = r#" {"level":"error","msg":"Connection reset\nby peer","status":503,"ratio":2.50,"big":9007199254740993,
        "user":{"id":42,"tags":["a","VIP"]},"a.b":{"c":true},"path":"/v1/ocr","none":null}"#;
    for query in [
        "body.status:503",
        "body.status:>=500",
        "body.status:(>=500 AND <600)",
        "body.ratio:2.5",
        "body.big:9007199254740993",
        "body.user.id:42",
        "body.user.tags:vip",
        "body.a.b.c:true",
        "body.path:/v1/ocr",
        "body.path:/v1/*",
        "body.msg:reset",
        "body.msg:\"connection reset by\"",
        "message:\"by peer\"",
        "body.user:*",
        "_exists_:body.ratio",
        "body.*:vip",
        "peer",
        "\"reset by\"",
        "level AND 503",
        "log.level:error",
        "body.level:err*",
    ] {
        let line = filled(body);
        assert!(Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&line), "{query}");
    }
    for query in [
        "body.status:50",
        "body.status:404",
        "body.big:9007199254740992",
        "body.nothing:*",
        "body.none:*",
        "body.user.id:4",
        "message:503",
        "body.path:/v1",
        "NOT body.status:503",
    ] {
        let line = filled(body);
        let is_word_of_path = query == "body.path:/v1";
        assert_eq!(Matcher::new(&parse(query).unwrap(), 0).unwrap().matches(&line), is_word_of_path, "{query}");
    }
    assert!(matches("message:reset", "connection reset"), "a body that is text is its message");
}

/// A record as it is decoded, without a severity of its own.
fn filled(body: &str) -> Line {
    let mut filled = Line { severity: 0, trace_id: Bytes::new(), ..line(body) };
    crate::body::fill(&mut filled);
    filled
}

#[test]
fn what_loggers_write_fills_in_severity_and_ids_that_are_missing() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (body, severity, has_trace) in [
        (format!(r#"{{"level":"warn","traceId":"{trace}"}}"#), 13, true),
        (format!(r#"{{"severity":"ERROR","trace.id":"{trace}"}}"#), 17, true),
        (format!(r#"{{"log":{{"level":"INFO"}},"trace":{{"id":"{trace}"}}}}"#), 9, true),
        (r#"{"level":50,"msg":"x"}"#.to_owned(), 17, false),
        (r#"{"level":"loud","trace_id":"xyz"}"#.to_owned(), 0, false),
        (r#"{"level":{"a":1},"trace_id":7}"#.to_owned(), 0, false),
        (r#"{"level":"warn""#.to_owned(), 0, false),
        ("[1]".to_owned(), 0, false),
    ] {
        let line = filled(&body);
        assert_eq!((crate::severity::number(&line), !line.trace_id.is_empty()), (severity, has_trace), "{body}");
    }
    let mut own = line(r#"{"level":"error"}"#);
    crate::body::fill(&mut own);
    assert_eq!(own.severity, 13, "what the record says stays");
}

#[test]
fn the_severity_that_is_shown_can_be_asked_for() {
    let shown = |number, text: &str| {
        crate::severity::shown(&Line { severity: number, severity_text: text.into(), ..line("x") })
    };
    assert_eq!([shown(17, "ERR"), shown(0, "err"), shown(10, ""), shown(0, "custom")], ["ERROR", "ERROR", "INFO", ""]);
    let custom = Line { severity: 0, severity_text: "custom".into(), ..line("x") };
    assert!(Matcher::new(&parse("severity_text:Custom").unwrap(), 0).unwrap().matches(&custom));
}

#[test]
fn dates_are_all_of_their_day() {
    for query in [
        "timestamp:2023-11-14",
        "timestamp:>=2023-11-14",
        "@timestamp:[2023-11-14 TO 2023-11-14]",
        "timestamp:<=2023-11-14",
        "timestamp:>2023-11-13",
        "timestamp:2023-11-14T22",
        "timestamp:[2023-11-14||/M TO 2023-11-14||+1d]",
    ] {
        assert!(matches(query, "x"), "{query}");
    }
    for query in ["timestamp:2023-11-13", "timestamp:>2023-11-14", "timestamp:<2023-11-14", "timestamp:>=now-1d/d"] {
        let far = 1_800_000_000_000_000_000;
        assert!(!Matcher::new(&parse(query).unwrap(), far).unwrap().matches(&line("x")), "{query}");
    }
}

#[test]
fn patterns_expressions_and_words_nearby_are_found_in_bodies() {
    let body = "2026 [ERROR] Upstream timed out: 请求超时了 https://api.example.com/x?a=1 at 12:30:45 in C:\\Windows\\System32";
    for query in [
        "/time(d|out)/",
        "/timed out/",
        "/upstream.*out/",
        "/超时/",
        "/[0-9]{2}:[0-9]{2}/",
        "https://api.example.com/x",
        "12:30:45",
        r"C:\Windows\System32",
        "[ERROR]",
        "\"upstream out\"~1",
        "\"out timed\"~2",
        "upsteam~",
        "tmied~1",
        "*stream",
        "u*m",
        "*超时*",
        "api.example.com",
        "(timed OR x)^2",
        "nothing OR timed OR other",
    ] {
        assert!(matches(query, body), "{query}");
    }
    for query in
        ["/time/", "/ime./", "/upstream timed$/", "\"out timed\"~1", "upst~1", "13:30:45", "https://api.example.com/y"]
    {
        assert!(!matches(query, body), "{query}");
    }
    for wrong in ["/a(b/", "/[z-a]/", "\"a b\"~2000", "a~3", "/(a{500}){500}/"] {
        assert!(parse(wrong).map_or(true, |query| Matcher::new(&query, 0).is_err()), "{wrong}");
    }
    let many = (0..200).map(|n| format!("a*{n}")).collect::<Vec<_>>().join(" OR ");
    assert!(Matcher::new(&parse(&many).unwrap(), 0).unwrap_err().to_string().contains("at most 128"));
}

#[test]
fn queries_that_would_take_much_are_refused() {
    let names = (0..200).map(|n| format!("a{n}*:x")).collect::<Vec<_>>().join(" OR ");
    let near = format!("\"{}\"~5", "0 ".repeat(40));
    for text in [names, near] {
        assert!(Matcher::new(&parse(&text).unwrap(), 0).is_err(), "{text}");
    }
    assert_eq!(crate::hints(&"a=b ".repeat(60_000)), []);
}

#[test]
fn given_ideographs_in_a_row_then_they_are_found_whatever_stands_between_words() {
    let matches = |text: &str| {
        let query = parse("\"连接 超时\"").unwrap();
        Matcher::new(&query, 0).unwrap().matches(&line(text))
    };
    assert!(matches("x 连接超时") && matches("连-接 超\u{1b}[1m时 y"));
    assert!(!matches("连接时超") && !matches("连接超") && !matches("超时"));
}
