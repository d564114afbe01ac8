use proptest::prelude::*;

use super::*;

fn limits(text: &str, tenant: &str) -> Vec<(Per, Unit, u64, String)> {
    shown(&Limits::parse(text).unwrap(), tenant)
}

fn shown(limits: &Limits, tenant: &str) -> Vec<(Per, Unit, u64, String)> {
    let zone = |limit: &Limit| limit.zone.iana_name().unwrap_or("?").to_owned();
    limits.of(tenant).iter().map(|limit| (limit.per, limit.unit, limit.limit, zone(limit))).collect()
}

#[test]
fn given_quotas_then_a_tenants_own_take_the_place_of_those_of_each() {
    use Unit::{Calls, GpuSeconds, Tokens};
    let text = "
quotas:
  - {tenant: '*', per: day, calls: 100, tokens: 1000}
  - {tenant: acme, per: day, tz: Asia/Shanghai, calls: 7}
  - {tenant: acme, per: month, gpu_seconds: 3600}
";
    let row = |per, unit, limit, zone: &str| (per, unit, limit, zone.to_owned());
    for (tenant, want) in [
        ("globex", vec![row(Per::Day, Calls, 100, "UTC"), row(Per::Day, Tokens, 1000, "UTC")]),
        (
            "acme",
            vec![
                row(Per::Day, Calls, 7, "Asia/Shanghai"),
                row(Per::Day, Tokens, 1000, "UTC"),
                row(Per::Month, GpuSeconds, 3600, "UTC"),
            ],
        ),
    ] {
        assert_eq!(limits(text, tenant), want, "{tenant}");
    }
    assert!(Limits::parse("").is_err(), "a file that is being written takes no quota away");
    assert!(Limits::parse("quotas: []").unwrap().is_empty());
}

#[test]
fn given_sums_then_what_is_used_is_in_the_unit() {
    let sums =
        Sums { calls: 3, errors: 1, input_tokens: 5, output_tokens: 6, gpu_micros: 1_999_999, ..Sums::default() };
    let most = Sums::from_array([u64::MAX; Sums::FIELDS]);
    for (unit, want, of_most) in
        [(Unit::Calls, 3, u64::MAX), (Unit::Tokens, 11, u64::MAX), (Unit::GpuSeconds, 1, 18_446_744_073_709)]
    {
        let limit = Limit { unit, per: Per::Day, zone: TimeZone::UTC, limit: 1 };
        assert_eq!((limit.used(&sums), limit.used(&most)), (want, of_most), "{unit}");
    }
}

#[test]
fn given_a_wrong_file_then_the_error_says_where_and_what_would_be_right() {
    let quota = |keys: &str| format!("quotas:\n  - {{tenant: a, per: day, calls: 1}}\n  - {{{keys}}}\n");
    for (text, wanted) in [
        (quota("tenant: b, per: week, calls: 1"), &["quotas:3: `quotas[1].per`", "`week`", "day, month"][..]),
        (quota("tenant: b, per: dya, calls: 1"), &["quotas:3: `quotas[1].per`", "did you mean `day`?"]),
        (quota("tenant: b, per: day, call: 1"), &["quotas:3:", "`call`", "did you mean `calls`?"]),
        (quota("tenant: b, per: day"), &["quotas:3: `quotas[1]`", "at least one of calls, tokens, gpu_seconds"]),
        (quota("tenant: b, per: day, calls: 0"), &["quotas:3: `quotas[1].calls`", "at least 1"]),
        (quota("tenant: b, per: day, calls: -3"), &["quotas:3: `quotas[1].calls`", "at least 1"]),
        (quota("tenant: b, per: day, calls: 1.5"), &["quotas:3: `quotas[1].calls`", "a whole number of at least 1"]),
        (quota("tenant: b, per: day, calls: many"), &["quotas:3: `quotas[1].calls`", "a whole number of at least 1"]),
        (quota("tenant: b, per: day, tz: Mars/Base, calls: 1"), &["quotas:3: `quotas[1].tz`", "Mars/Base", "IANA"]),
        (
            quota("tenant: b, per: day, tz: Asia/Kolkata, calls: 1"),
            &["quotas:3: `quotas[1]`: `tz`", "Kolkata", "full hours"],
        ),
        (quota("tenant: '', per: day, calls: 1"), &["quotas:3: `quotas[1]`: `tenant` is empty"]),
        (quota("tenant: 'a*', per: day, calls: 1"), &["quotas:3: `quotas[1]`", "no pattern"]),
        (quota("per: day, calls: 1"), &["quotas:3: `quotas[1]", "`tenant` is missing"]),
        (quota("tenant: a, per: day, calls: 1"), &["quotas:3: `quotas[1]`: calls of `a` per day", "at quotas:2"]),
        ("quota: []".to_owned(), &["quotas:1:", "did you mean `quotas`?"]),
    ] {
        let error = Limits::parse(&text).unwrap_err().to_string();
        assert!(wanted.iter().all(|wanted| error.contains(wanted)), "{text}\n{error}");
    }
}

#[test]
fn given_several_files_then_they_are_taken_together_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("a.yaml", "quotas: [{tenant: acme, per: day, calls: 1}]");
    write("more/b.yaml", "quotas: [{tenant: acme, per: month, calls: 2}]");
    write("more/c.txt", "no quotas");
    let at = |glob: &str| format!("{}/{glob}", folder.path().display());
    let count = |globs: &[&str]| {
        let globs: Vec<_> = globs.iter().map(|glob| at(glob)).collect();
        Limits::load(&globs).map(|limits| limits.of("acme").len()).map_err(|error| error.to_string())
    };
    assert_eq!(count(&[]), Ok(0));
    assert_eq!(count(&["*.yaml"]), Ok(1));
    assert_eq!(count(&["**/*.yaml"]), Ok(2));
    assert_eq!(count(&["*/b.yaml", "a.yaml", "*.yaml"]), Ok(2));
    assert_eq!(
        count(&["none/../more/*.none"]).unwrap_err(),
        format!("`{0}`: {1} is not there", at("none/../more/*.none"), at("none/../more"))
    );
    assert!(count(&["d.yaml"]).unwrap_err().contains("d.yaml is not there"));
    assert!(count(&["[.yaml"]).unwrap_err().contains("is no glob"));
    write("more/d.yaml", "quotas:\n  - {tenant: acme, per: day, calls: 3}");
    let error = count(&["**/*.yaml"]).unwrap_err();
    assert!(error.starts_with(&at("more/d.yaml:2")) && error.contains(&at("a.yaml:1")), "{error}");
}

#[test]
fn given_the_example_then_it_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/quotas.yaml");
    let limits = Limits::load(&[path.display().to_string()]).unwrap();
    assert!(!limits.of("globex").is_empty() && limits.of("acme").len() > limits.of("globex").len());
}

proptest! {
    #[test]
    fn given_any_text_then_it_is_read_or_refused(text in any::<String>(), keys in "[a-z_*:'\"{}\\[\\], 0-9.\\n-]{0,80}") {
        let _ = Limits::parse(&text);
        let _ = Limits::parse(&format!("quotas: [{{{keys}}}]"));
    }
}
