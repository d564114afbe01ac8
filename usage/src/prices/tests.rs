use proptest::prelude::*;

use super::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn sums(calls: u64, input_tokens: u64, output_tokens: u64, gpu_micros: u64) -> Sums {
    Sums { calls, input_tokens, output_tokens, gpu_micros, ..Sums::default() }
}

const NEW_YEAR: i64 = 1_767_225_600;

#[test]
fn given_prices_then_the_first_that_matches_and_has_begun_counts() {
    let prices = Prices::parse(
        "
currency: CNY
prices:
  - {tenant: acme, service: ocr, interface: '/v1/ocr*', from: 2026-01-01, per_call: '3'}
  - {tenant: acme, service: ocr, interface: '/v1/ocr*', per_call: '2'}
  - {tenant: 'team-*', per_call: '5'}
  - {service: chat, interface: 'POST /v1/chat', from: 2026-01-01, per_call: '7'}
  - {service: asr, interface: '', per_gpu_hour: '12.5'}
",
    )
    .unwrap();
    assert_eq!(prices.currency(), "CNY");
    assert_eq!(prices.changes(), [NEW_YEAR]);
    for (tenant, service, interface, at, want) in [
        ("acme", "ocr", "POST /v1/ocr", NEW_YEAR, Some("3")),
        ("acme", "ocr", "POST /v1/ocr/x", NEW_YEAR + 3599, Some("3")),
        ("acme", "ocr", "POST /v1/ocr", NEW_YEAR - 3600, Some("2")),
        ("acme", "ocr", "POST /v2", NEW_YEAR, None),
        ("team-a", "ocr", "POST /v2", 0, Some("5")),
        ("globex", "chat", "POST /v1/chat", NEW_YEAR, Some("7")),
        ("globex", "chat", "POST /v1/chat", NEW_YEAR - 3600, None),
        ("globex", "chat", "GET /v1/chat", NEW_YEAR, None),
        ("globex", "asr", "", 0, Some("0")),
        ("globex", "asr", "POST /v1/asr", 0, None),
    ] {
        let amount = prices.amount(tenant, service, interface, at, &sums(1, 0, 0, 0));
        assert_eq!(amount, want.map(decimal), "{tenant} {service} {interface} {at}");
    }
}

#[test]
fn given_dates_then_prices_begin_at_midnight_of_the_files_zone() {
    for (zone, dates, want) in [
        ("UTC", vec!["2026-01-01", "2025-06-01", "2026-01-01"], vec![1_748_736_000, NEW_YEAR]),
        ("Asia/Shanghai", vec!["2026-01-01"], vec![NEW_YEAR - 8 * 3600]),
        ("America/New_York", vec!["2026-01-01", "2026-07-01"], vec![NEW_YEAR + 5 * 3600, 1_782_878_400]),
    ] {
        let entries: Vec<_> = dates.iter().map(|date| format!("  - {{from: {date}, per_call: '1'}}\n")).collect();
        let prices = Prices::parse(&format!("currency: USD\ntz: {zone}\nprices:\n{}", entries.concat())).unwrap();
        assert_eq!(prices.changes(), want, "{zone}");
    }
}

#[test]
fn given_sums_then_amounts_are_exact() {
    let prices = Prices::parse(
        "{currency: CNY, prices: [{per_call: '0.01', per_1k_input_tokens: '2', per_1k_output_tokens: '10', \
         per_gpu_hour: '12.5'}]}",
    )
    .unwrap();
    for (sums, want) in [
        (sums(0, 0, 0, 0), "0"),
        (sums(12_000, 0, 0, 0), "120"),
        (sums(1, 1, 1, 0), "0.022"),
        (sums(3, 1_995_005, 799_999, 0), "11990.03"),
        (sums(0, 0, 0, 3_600_000_000), "12.5"),
        (sums(0, 0, 0, 36), "0.000000125"),
        (sums(1, 0, 0, 1_800_000_000), "6.26"),
        // 12.5 / 3: no decimal is exact.
        (sums(0, 0, 0, 1_200_000_000), "4.1666666666666666666666666667"),
        (sums(u64::MAX, 0, 0, 0), "184467440737095516.15"),
    ] {
        assert_eq!(prices.amount("a", "s", "i", 0, &sums), Some(decimal(want)), "{sums:?}");
    }
}

#[test]
fn given_more_than_a_decimal_holds_then_amounts_are_rounded_or_stay_at_the_greatest() {
    let most = sums(u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    let amount = |rate: &str| {
        let text = format!("{{currency: CNY, prices: [{{per_call: '{rate}', per_gpu_hour: '{rate}'}}]}}");
        Prices::parse(&text).unwrap().amount("a", "s", "i", 0, &most).unwrap()
    };
    assert_eq!(amount("999999999999999999"), Decimal::MAX);
    // 37 digits: the first 28 are right.
    assert!(amount("0.99999999999999999").to_string().starts_with("18446744078"), "{}", amount("0.99999999999999999"));
}

#[test]
fn given_a_wrong_file_then_the_error_says_where_and_what_would_be_right() {
    let price = |keys: &str| format!("currency: CNY\nprices:\n  - {{per_call: '1'}}\n  - {{{keys}}}\n");
    for (text, wanted) in [
        (price("per_call: 0.01"), &["prices:4: `prices[1].per_call`", "in quotes"][..]),
        (price("per_call: 1"), &["prices:4: `prices[1].per_call`", "in quotes"]),
        (price("per_call: '-1'"), &["prices:4: `prices[1].per_call`", "not negative"]),
        (price("per_call: '1e3'"), &["prices:4: `prices[1].per_call`", "decimal"]),
        (price("per_call: '.5'"), &["prices:4: `prices[1].per_call`", "decimal"]),
        (price("per_call: '1_000'"), &["prices:4: `prices[1].per_call`", "decimal"]),
        (price("per_call: '0.1234567890123456789'"), &["prices:4: `prices[1].per_call`", "18 digits"]),
        (price("per_call: [1]"), &["prices:4: `prices[1].per_call`", "decimal"]),
        (price("per_cal: '1'"), &["prices:4:", "`per_cal`", "did you mean `per_call`?"]),
        (price("tenant: acme"), &["prices:4: `prices[1]`", "at least one of per_call"]),
        (price("from: 2026-02-30, per_call: '1'"), &["prices:4: `prices[1].from`", "2026-01-01"]),
        (price("from: 20260101, per_call: '1'"), &["prices:4: `prices[1].from`", "2026-01-01"]),
        (price("from: 2026-01-01T00:00, per_call: '1'"), &["prices:4: `prices[1].from`", "2026-01-01"]),
        (price("tenant: [a], per_call: '1'"), &["prices:4: `prices[1].tenant`", "text"]),
        (price("per_call: '1', per_call: '2'"), &["prices:4:", "`per_call` is there twice"]),
        (
            "tz: Asia/Kolkata\ncurrency: INR\nprices: [{from: 2026-01-01, per_call: '1'}]".to_owned(),
            &["prices:3: `prices[0].from`", "full hour of UTC in Asia/Kolkata"],
        ),
        ("tz: Asia/Shanghia\ncurrency: CNY\nprices: []".to_owned(), &["prices:1: `tz`", "Asia/Shanghia", "IANA"]),
        ("currency: cny\nprices: []".to_owned(), &["prices:1: `currency`", "three capital letters"]),
        ("currency: CNY\nprises: []".to_owned(), &["prices:2:", "did you mean `prices`?"]),
        ("currency: CNY".to_owned(), &["`prices` is missing"]),
        (String::new(), &["`currency` is missing"]),
    ] {
        let error = Prices::parse(&text).unwrap_err().to_string();
        assert!(wanted.iter().all(|wanted| error.contains(wanted)), "{text}\n{error}");
    }
}

#[test]
fn given_the_example_then_it_loads_and_prices_the_example_services() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/prices.yaml");
    let prices = Prices::load(&path).unwrap();
    let thousand = sums(1000, 200_000, 100_000, 0);
    for (service, interface) in [("ocr", "POST /v1/ocr"), ("asr", "POST /v1/asr"), ("nlp", "POST /v1/nlp")] {
        let amount = prices.amount("acme", service, interface, NEW_YEAR, &thousand).unwrap();
        assert!(amount > Decimal::ONE && amount < Decimal::from(100), "{service}: {amount}");
        let gpu = prices.amount("acme", service, "", NEW_YEAR, &sums(0, 0, 0, 3_600_000_000)).unwrap();
        assert!(gpu >= Decimal::ONE, "{service}: {gpu}");
    }
    let missing = Prices::load(Path::new("/none/prices.yaml")).unwrap_err().to_string();
    assert!(missing.contains("/none/prices.yaml: cannot be read"), "{missing}");
}

proptest! {
    #[test]
    fn given_any_text_then_it_is_read_or_refused(text in any::<String>(), keys in "[a-z_*:'\"{}\\[\\], 0-9.\\n-]{0,80}") {
        let _ = Prices::parse(&text);
        let _ = Prices::parse(&format!("currency: CNY\nprices: [{{{keys}}}]"));
    }

    #[test]
    fn given_any_sums_and_rates_then_an_amount_never_panics_and_rounds(
        fields in any::<[u64; Sums::FIELDS]>(),
        rate in "[0-9]{1,9}(\\.[0-9]{1,9})?",
        decimals in 0_u32..40,
    ) {
        let text = format!("{{currency: CNY, prices: [{{per_call: '{rate}', per_1k_input_tokens: '{rate}', \
            per_1k_output_tokens: '{rate}', per_gpu_hour: '{rate}'}}]}}");
        let amount = Prices::parse(&text).unwrap().amount("", "", "", 0, &Sums::from_array(fields));
        round(amount.unwrap(), decimals);
    }
}
