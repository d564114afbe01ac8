//! JSON in texts and as values.

use serde_json::json;

use super::*;

#[test]
fn a_text_of_json_stays_json_and_keeps_what_is_around() {
    for (text, expected) in [
        (r#"{"b": 1.50, "a" : "tel 13812345678"}"#, r#"{"b": 1.50, "a" : "tel [phone_cn]"}"#),
        (r#"{"phone": 13812345678, "n":[1, 2]}"#, r#"{"phone": "[phone_cn]", "n":[1, 2]}"#),
        (r#"{"13812345678": 1}"#, r#"{"[phone_cn]": 1}"#),
        (r#"{"password": "p4ssw0rd\"x", "x": "12345678"}"#, r#"{"password": "[api_key]", "x": "12345678"}"#),
        (r#"{"password": 12345678}"#, r#"{"password": "[api_key]"}"#),
        (r#"{"password": {"a": "12345678"}}"#, r#"{"password": {"a": "12345678"}}"#),
        (r#"{"Authorization": "Bearer xyz"}"#, r#"{"Authorization": "Bearer [bearer]"}"#),
        // Cut off, so no JSON.
        (r#"{"phone": 13812345678, "n":[1, 2"#, r#"{"phone": [phone_cn], "n":[1, 2"#),
    ] {
        assert_eq!(mask(text), expected, "{text}");
    }
}

#[test]
fn escaped_secrets_are_found() {
    for (text, expected) in [
        (r#"{"a":"\u0031\u0033812345678 x"}"#, r#"{"a":"[phone_cn] x"}"#),
        (r#"{"a":"zhang\u0040example.com"}"#, r#"{"a":"[email]"}"#),
        (r#"["\u7535\u8bdd13812345678","\u4e2d"]"#, "[\"电话[phone_cn]\",\"\\u4e2d\"]"),
        (r#"{"\u0031\u0033812345678":1}"#, r#"{"[phone_cn]":1}"#),
        (r#"{"a":"{\"b\":\"\\u0031\\u0033812345678\"}"}"#, r#"{"a":"{\"b\":\"[phone_cn]\"}"}"#),
        (r#"{"a":"\ud800 13812345678"}"#, r#"{"a":"\ud800 [phone_cn]"}"#),
    ] {
        assert_eq!(mask(text), expected, "{text}");
    }
    let same = r#"{"a":"\u4e2d\u6587","n":1.0}"#;
    assert_eq!(redactor(Method::Mask).text(0, same, &mut Counts::default()), Redacted::Same);
}

#[test]
fn json_within_strings_of_json_is_redacted_to_any_depth() {
    let mut text = r#"{"phone":13812345678,"k":"\u0031\u0033912345678"}"#.to_owned();
    for _ in 0..6 {
        text = json!({ "inner": text, "mail": "a@b.com" }).to_string();
    }
    let redacted = mask(&text);
    for secret in ["13812345678", "912345678", "a@b.com"] {
        assert!(!redacted.contains(secret), "{redacted}");
    }
    let mut inner: Value = serde_json::from_str(&redacted).unwrap();
    while let Some(next) = inner["inner"].as_str() {
        inner = serde_json::from_str(next).unwrap();
    }
    assert_eq!(inner, json!({"phone": "[phone_cn]", "k": "[phone_cn]"}));
}

#[test]
fn nested_values_are_redacted_with_their_keys_and_numbers() {
    let mut value = json!({
        "list": ["tel 13812345678", 13_812_345_678_u64, 1.5, null, true],
        "13812345678": {"api_key": "abcd1234", "note": "abcd1234"},
        "13912345678": 2,
        "inner": "{\"phone\": 13812345678}",
    });
    let mut counts = Counts::default();
    assert!(!redactor(Method::Mask).json(0, &mut value, &mut counts));
    let expected = json!({
        "list": ["tel [phone_cn]", "[phone_cn]", 1.5, null, true],
        "[phone_cn]": {"api_key": "[api_key]", "note": "abcd1234"},
        "[phone_cn]#2": 2,
        "inner": "{\"phone\": \"[phone_cn]\"}",
    });
    assert_eq!(value, expected);
    assert_eq!((counts.of(Pattern::PhoneCn), counts.of(Pattern::ApiKey), counts.total()), (5, 1, 6));
}

#[test]
fn whole_rules_take_nested_values() {
    let redactor = |method| Redactor::new(&[rule("x", method, &[], &[])], &["x"], &key()).unwrap();
    let mut counts = Counts::default();
    let mut value = json!({"a": 1});
    assert!(!redactor(Method::Hmac).json(0, &mut value, &mut counts));
    assert_eq!(value, json!(key().sign(b"{\"a\":1}")));
    assert!(!redactor(Method::Mask).json(0, &mut value, &mut counts));
    assert_eq!(value, json!("[redacted]"));
    assert!(redactor(Method::Drop).json(0, &mut value, &mut counts));
    assert_eq!(counts.iter().last(), Some(("whole", 3)));
}
