//! What holds for every text.

use proptest::prelude::*;

use super::*;

/// Pieces of secrets and of what surrounds them, so that random texts come close to hits.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "13812345678", "138", "1234", "5678", "+86", "86", "11010519491231002", "X", "Ｘ", "4111", "1111", "4111111111111111",
            "a@b.com", "@", "＠", "例子.中国", ".", "com", "10.0.0.1", "fe80::1", ":", "::", "Bearer ", "bearer abcdefghijklmnop",
            "Authorization: ", "eyJhbGciOiJIUzI1NiJ9.", "sk-", "abcdEFGH12345678", "ghp_", "AKIA", "password", "=", "：", "\"", "\\",
            "\\n", "\\u0031", "\\u53f7", "{\"a\":\"", "\"}", "[", "]", "[email]", "[phone_cn:0123456789abcdef]", "-----BEGIN PRIVATE KEY-----",
            "-----END ", "中文", "１３８", "　", " ", "-", "_", "\n", "é", "🙂", "v", "0", "密码",
        ]).prop_map(str::to_owned),
        1 => ".{0,8}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn own() -> Redactor {
    let patterns = [Pattern::PhoneCn, Pattern::Email];
    Redactor::new(&[rule("text", Method::Mask, &patterns, &["[a-z]{3,}[0-9]*", "1234"])], &["text"], &key()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_makes_it_panic(text in text(), any in any::<String>()) {
        for method in [Method::Mask, Method::Hmac, Method::Drop] {
            let redactor = redactor(method);
            apply(&redactor, &text);
            apply(&redactor, &any);
            let mut value = serde_json::json!({ text.clone(): [text.clone()], "password": any });
            prop_assert!(!redactor.json(0, &mut value, &mut Counts::default()));
        }
    }

    #[test]
    fn what_was_masked_is_not_masked_again(text in text()) {
        for redactor in [redactor(Method::Mask), own()] {
            let once = apply(&redactor, &text);
            prop_assert_eq!(redactor.text(0, &once, &mut Counts::default()), Redacted::Same, "{}", once);
        }
    }

    #[test]
    fn pseudonyms_are_not_replaced_again(text in text()) {
        let redactor = redactor(Method::Hmac);
        let once = apply(&redactor, &text);
        prop_assert_eq!(redactor.text(0, &once, &mut Counts::default()), Redacted::Same, "{}", once);
    }

    #[test]
    fn text_without_secrets_stays_the_same(text in "[a-z ,。，中文字A-FM-R\n]{0,200}") {
        prop_assert_eq!(redactor(Method::Mask).text(0, &text, &mut Counts::default()), Redacted::Same);
    }

    #[test]
    fn json_stays_json(text in text(), number in any::<u64>()) {
        let json = serde_json::json!({ "a": text, "n": number, "k": [{ text.clone(): number }] }).to_string();
        let redacted = apply(&redactor(Method::Mask), &json);
        prop_assert!(serde_json::from_str::<Value>(&redacted).is_ok(), "{} -> {}", json, redacted);
    }
}
