//! Ten thousand secrets of all patterns, of which none may be left.

use serde_json::json;

use super::generator::{Random, secret};
use super::*;

const SECRETS: usize = 10_000;

/// The secret in text, in JSON and in JSON within JSON.
fn embed(random: &mut Random, written: &str) -> String {
    let before = random.one(&["", "我的号码是", "请联系 ", "call me at ", "(", "订单：", "x, ", "第2行\n", "“"]);
    let after = random.one(&["", "谢谢", " 请尽快", " please", ")", "。", ", y", "\n下一行", "”"]);
    let text = format!("{before}{written}{after}");
    match random.below(6) {
        0 => json!({ "content": text }).to_string(),
        1 => json!({ "body": json!({ "content": [text] }).to_string() }).to_string(),
        2 => escaped(&json!({ "内容": text }).to_string()),
        // Cut off in its middle, so that it is no JSON.
        3 => format!("{{\"messages\": [{}", json!({ "content": text })),
        _ => text,
    }
}

/// With everything but ASCII, and some digits, as `\uXXXX`, as many writers of JSON do.
fn escaped(json: &str) -> String {
    let mut out = String::new();
    for (at, c) in json.chars().enumerate() {
        if c.is_ascii() && !(c.is_ascii_digit() && at % 3 == 0) {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.extend(["\\u", &hex::encode(unit.to_be_bytes())]));
        }
    }
    out
}

#[test]
fn no_planted_secret_is_left() {
    let redactor = redactor(Method::Mask);
    let mut random = Random(1);
    let mut counts = Counts::default();
    let mut misnamed = 0;
    for at in 0..SECRETS {
        let pattern = Pattern::ALL[at % Pattern::ALL.len()];
        let (written, core) = secret(&mut random, pattern);
        let text = embed(&mut random, &written);
        let Redacted::Changed(redacted) = redactor.text(0, &text, &mut counts) else { panic!("{pattern} in {text}") };
        assert!(!redacted.contains(&core), "{pattern} in {text}: {redacted}");
        misnamed += usize::from(!redacted.contains(&format!("[{pattern}]")));
    }
    assert!(counts.total() >= SECRETS as u64);
    // Fifteen digits can be a card and an old identity number, whose pattern comes first.
    assert!(misnamed <= SECRETS / 1000, "{misnamed}");
}

#[test]
fn secrets_in_one_long_text_are_all_found() {
    let mut random = Random(2);
    let mut text = String::new();
    let cores: Vec<String> = (0..2_000)
        .map(|at| {
            let (written, core) = secret(&mut random, Pattern::ALL[at % Pattern::ALL.len()]);
            text.extend([random.one(&["，然后是 ", "\n", "; then ", "、"]), &written]);
            core
        })
        .collect();
    let mut counts = Counts::default();
    let Redacted::Changed(redacted) = redactor(Method::Drop).text(0, &text, &mut counts) else { panic!("nothing") };
    for core in cores {
        assert!(!redacted.contains(&core), "{core}");
    }
}
