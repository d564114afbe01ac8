use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Definition, String> {
    let definition: Definition = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    definition.check().map(|()| definition)
}

const WHOLE: &str = "
name: ocr-failures
source: spans
query: 'service:ocr AND status:error'
tenants: [acme]
fields: {request: attributes.gen_ai.input.messages, ms: duration_ms, n: {from: attributes.n, type: int}}
sample: {ratio: 0.1, by: trace, rows_per_minute: 60, slower_than: p99, while_firing: SlowInterface}
redact: [{field: request, patterns: [phone_cn, id_cn, email]}, {field: n, method: hmac}]
roll: {rows: 100000, size: 128MB, age: 10m}
join: {within: 30s}
format: parquet
keep: 30d
";

#[test]
fn given_all_keys_then_they_are_read_and_written_so_that_they_are_read_again() {
    let definition = read(WHOLE).unwrap();
    let fields: Vec<_> = definition.fields.iter().map(|field| (field.name.as_str(), field.column)).collect();
    assert_eq!(fields, [("request", Column::String), ("ms", Column::Float), ("n", Column::Int)], "in their order");
    assert_eq!(definition.keep.unwrap().0, Duration::from_hours(30 * 24));
    assert_eq!(definition.sample.slower_than, "p99".to_owned().try_into().ok());
    let written = serde_json::to_string(&definition).unwrap();
    let again: Definition = serde_json::from_str(&written).unwrap();
    assert_eq!((&again, again.fingerprint()), (&definition, definition.fingerprint()), "{written}");
    assert!(written.contains(r#""slower_than":"p99""#) && written.contains(r#""size":"128MB""#), "{written}");
    let mut other = definition.clone();
    other.query.clear();
    assert_ne!(other.fingerprint(), definition.fingerprint());
}

#[test]
fn given_what_cannot_work_then_its_key_is_named() {
    let of = |change: &str| read(&format!("{{name: a, tenants: [acme], fields: {{t: trace_id}}, {change}}}"));
    assert_eq!(of("query: 'a'").map(|read| read.name), Ok("a".to_owned()));
    for (change, told) in [
        ("format: chat, source: logs", "format: "),
        ("format: csv", "unknown variant"),
        ("sample: {ratio: 0}", "sample.ratio: "),
        ("sample: {ratio: 1.5}", "sample.ratio: "),
        ("sample: {rows_per_minute: -1}", "sample.rows_per_minute: "),
        ("sample: {slower_than: 99}", "is no quantile"),
        ("sample: {slower_than: p100}", "is no quantile"),
        ("sample: {slower_than: p99}, source: logs", "sample.slower_than: "),
        ("sample: {while_firing: ''}", "sample.while_firing: "),
        ("sample: {ration: 1}", "ration"),
        ("roll: {rows: 0}", "roll: "),
        ("roll: {size: 1KB}", "roll.size: "),
        ("roll: {age: 10ms}", "roll: "),
        ("keep: 1s", "keep: "),
        ("join: {within: 1ms}", "join.within: "),
        ("join: {within: 1h}", "join.within: "),
        ("join: {}", "within"),
        ("redakt: []", "redakt"),
    ] {
        let error = of(change).unwrap_err();
        assert!(error.contains(told), "{change}: {error}");
    }
    for (text, told) in [
        ("{name: ../a, tenants: [acme], fields: {t: trace_id}}", "name: "),
        ("{name: A, tenants: [acme], fields: {t: trace_id}}", "name: "),
        ("{name: a..b, tenants: [acme], fields: {t: trace_id}}", "name: "),
        ("{name: _weir, tenants: [acme], fields: {t: trace_id}}", "name: "),
        ("{name: a, tenants: [], fields: {t: trace_id}}", "tenants: "),
        ("{name: a, tenants: ['*', acme], fields: {t: trace_id}}", "tenants: "),
        ("{name: a, tenants: [weir], fields: {t: trace_id}}", "tenants: "),
        ("{name: a, tenants: [acme]}", "fields: "),
        ("{name: a, tenants: [acme], fields: {}}", "fields: "),
        ("{name: a, tenants: [acme], fields: {_t: trace_id}}", "begin with `_`"),
        ("{name: a, tenants: [acme], fields: {t: trace_id, T: name}}", "there twice"),
        ("{name: a, tenants: [acme], fields: {t: {from: name, type: text}}}", "unknown variant `text`"),
        ("{name: a, tenants: [acme], fields: {t: [name]}}", "{from: FIELD, type: TYPE}"),
        ("{name: a, tenants: [acme], fields: {messages: name}, format: chat}", "`messages`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn given_files_then_all_their_captures_are_loaded_or_the_place_of_what_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let globs = [folder.path().join("*.yaml").display().to_string(), "/no/such/folder/*.yaml".to_owned()];
    let good = "captures:\n  - {name: a, tenants: [acme], fields: {t: trace_id}}\n";
    std::fs::write(&path, good).unwrap();
    assert_eq!(load(&globs, |_| Ok(())).unwrap().len(), 1, "a folder that is not there has none");
    let stamped = stamp(&globs);
    for (text, told) in [
        ("captures:\n  - {name: a, tenants: [acme], fieldz: {t: trace_id}}\n", "a.yaml:2"),
        ("captures:\n  - {name: a, tenants: [acme], fields: {t: trace_id}, keep: 1s}\n", "capture `a`: keep: "),
        (
            &format!("{good}  - {{name: a, tenants: [acme], fields: {{t: trace_id}}}}\n"),
            "capture `a`: is defined twice",
        ),
        ("capture: []\n", "capture"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = load(&globs, |_| Ok(())).unwrap_err();
        let error = weir_service::telemetry::whole(&error).to_string();
        assert!(error.contains(told) && error.contains("a.yaml") && !error.contains('\n'), "{text}: {error}");
    }
    assert_ne!(stamp(&globs), stamped);
    let missing = load(&["/no/such/file.yaml".to_owned()], |_| Ok(())).unwrap_err().to_string();
    assert!(missing.contains("is not there"), "{missing}");
}

proptest! {
    #[test]
    fn given_any_text_then_a_name_that_is_taken_is_no_path(name in ".{0,80}") {
        if check_name(&name).is_ok() {
            prop_assert!(!name.contains('/') && !name.contains("..") && !name.starts_with('.') && name.len() <= MAX_NAME);
        }
    }
}
