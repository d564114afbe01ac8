//! Rules, methods, overlaps and errors.

use super::*;

fn one(field: &str, method: Method, patterns: &[Pattern], expressions: &[&str]) -> Redactor {
    Redactor::new(&[rule(field, method, patterns, expressions)], &["text"], &key()).unwrap()
}

#[test]
fn rules_are_read_as_the_configuration_writes_them() {
    let text = r#"[{"field": "request", "patterns": ["phone_cn", "id_cn", "email"]}, {"field": "user", "method": "hmac"},
        {"field": "note", "method": "drop"}, {"field": "*", "patterns": ["ip"], "expressions": ["order-[0-9]+"]}]"#;
    let rules: Vec<Rule> = serde_json::from_str(text).unwrap();
    assert_eq!(rules[0], rule("request", Method::Mask, &[Pattern::PhoneCn, Pattern::IdCn, Pattern::Email], &[]));
    assert_eq!(rules[1], rule("user", Method::Hmac, &[], &[]));
    assert_eq!(rules[3], rule("*", Method::Mask, &[Pattern::Ip], &["order-[0-9]+"]));
    for bad in [r#"{"field": "a", "pattern": []}"#, r#"{"field": "a", "patterns": ["phone"]}"#, r#"{"method": "mask"}"#]
    {
        assert!(serde_json::from_str::<Rule>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pattern_is_called_as_it_is_written() {
    for pattern in Pattern::ALL {
        let read: Pattern = serde_json::from_value(pattern.name().into()).unwrap();
        assert_eq!(read, pattern);
    }
}

#[test]
fn a_rule_without_patterns_takes_the_whole_value() {
    let mut counts = Counts::default();
    let text = |method, counts: &mut Counts| one("text", method, &[], &[]).text(0, "hello", counts);
    assert_eq!(text(Method::Mask, &mut counts), Redacted::Changed("[redacted]".into()));
    assert_eq!(text(Method::Hmac, &mut counts), Redacted::Changed(key().sign(b"hello")));
    assert_eq!(text(Method::Drop, &mut counts), Redacted::Gone);
    let searched = one("text", Method::Drop, &Pattern::ALL, &[]);
    assert_eq!(searched.whole(0, &[1, 2], &mut counts), None);
    assert_eq!(one("*", Method::Drop, &[], &[]).whole(0, &[1, 2], &mut counts), Some(Redacted::Gone));
}

#[test]
fn pseudonyms_are_those_of_the_normal_form() {
    let redactor = redactor(Method::Hmac);
    let digits = |value: &str| key().sign(value.as_bytes())[..16].to_owned();
    for (text, name, normal) in [
        ("+86 138-1234-5678", "phone_cn", "13812345678"),
        ("１３８１２３４５６７８", "phone_cn", "13812345678"),
        ("11010519491231002x", "id_cn", "11010519491231002X"),
        ("4111 1111 1111 1111", "bank_card", "4111111111111111"),
        ("Zhang@Example.com", "email", "zhang@example.com"),
        ("2001:DB8:0::1", "ip", "2001:db8::1"),
        ("hf_abcdefghijklmnopqrSTUVWX", "api_key", "hf_abcdefghijklmnopqrSTUVWX"),
    ] {
        assert_eq!(apply(&redactor, &format!("<{text}>")), format!("<[{name}:{}]>", digits(normal)), "{text}");
    }
}

#[test]
fn dropped_text_leaves_its_surroundings() {
    assert_eq!(apply(&redactor(Method::Drop), "tel 13812345678, mail a@b.com"), "tel , mail ");
    assert_eq!(apply(&redactor(Method::Drop), r#"{"tel":13812345678}"#), r#"{"tel":""}"#);
}

#[test]
fn own_expressions_are_found_beside_patterns() {
    let redactor = one("text", Method::Mask, &[Pattern::PhoneCn], &["order-[0-9]+", "名字[^,]+"]);
    assert_eq!(
        apply(&redactor, "order-12 of 13812345678, 名字张三, a@b.com"),
        "[expression] of [phone_cn], [expression], a@b.com"
    );
    // The expression begins first and takes what it touches with it.
    assert_eq!(apply(&redactor, "order-13812345678"), "[expression]");
    // What it matches across the strings of JSON counts too.
    let redactor = one("text", Method::Mask, &[Pattern::PhoneCn], &[r#""name":"[^"]+""#]);
    assert_eq!(apply(&redactor, r#"{"name":"x","t":"\u0031\u0033812345678"}"#), r#"{[expression],"t":"[phone_cn]"}"#);
    // Nor does one expression take the placeholder of another.
    let redactor = one("text", Method::Mask, &[], &["[a-z_]{4,}"]);
    assert_eq!(apply(&redactor, "[expression] word"), "[expression] [expression]");
    let redactor = one("text", Method::Mask, &[], &[r"\b"]);
    assert_eq!(apply(&redactor, "a b"), "a b");
}

#[test]
fn the_rule_that_names_the_field_decides_then_the_first() {
    let rules = [
        rule("*", Method::Mask, &[Pattern::Email, Pattern::Ip], &[]),
        rule("b", Method::Drop, &[Pattern::Email], &[]),
        rule("b", Method::Hmac, &[Pattern::Email], &[]),
        rule("c", Method::Hmac, &[], &[]),
        rule("c", Method::Drop, &[], &[]),
    ];
    let redactor = Redactor::new(&rules, &["a", "b", "c"], &key()).unwrap();
    let mut counts = Counts::default();
    let mut text = |field| redactor.text(field, "a@b.com 10.0.0.1", &mut counts);
    assert_eq!(text(0), Redacted::Changed("[email] [ip]".into()));
    assert_eq!(text(1), Redacted::Changed(" [ip]".into()));
    assert_eq!(text(2), Redacted::Gone);
    assert_eq!(text(3), Redacted::Gone, "a field that the redactor does not know");
    let named: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(named, [("email", 2), ("ip", 2), ("whole", 1)]);
    let mut sum = counts;
    sum.add(&counts);
    assert_eq!((sum.total(), sum.of(Pattern::Ip)), (10, 4));
}

#[test]
fn a_field_without_rules_is_left_alone() {
    let redactor = Redactor::new(&[rule("a", Method::Drop, &[], &[])], &["a", "b"], &key()).unwrap();
    let mut counts = Counts::default();
    assert_eq!(redactor.text(1, "13812345678", &mut counts), Redacted::Same);
    assert!(!redactor.json(1, &mut Value::Null, &mut counts));
    assert_eq!(counts.total(), 0);
}

#[test]
fn errors_name_the_rule_and_what_would_be_right() {
    let error = |rules: &[Rule]| Redactor::new(rules, &["user", "note"], &key()).unwrap_err().to_string();
    let fine = || rule("user", Method::Mask, &[], &[]);
    let unknown = error(&[fine(), rule("usr", Method::Mask, &[], &[])]);
    assert_eq!(unknown, "redact rule 2: unknown field `usr`, expected `*` or one of: user, note");
    let invalid = error(&[rule("user", Method::Mask, &[], &["a", "(b"])]);
    assert_eq!(invalid, "redact rule 1, field `user`: invalid expression `(b`");
    let empty = error(&[fine(), fine(), rule("note", Method::Mask, &[], &["a*"])]);
    assert!(empty.starts_with("redact rule 3, field `note`: expression `a*` matches the empty text"), "{empty}");
}
