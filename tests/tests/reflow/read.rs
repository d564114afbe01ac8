//! pyarrow, DuckDB and whatever reads JSON lines see the schema and the values that were sent.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use weir_tests::{Api, Weir, number, python, skip, until};

use super::spans::{Span, attributes, client, export, post};

const PATIENCE: Duration = Duration::from_mins(1);
const ENVIRONMENT: &str = "reflow-pyarrow-26.0.1-duckdb-2.0.1-zstandard-0.25.0";
const PACKAGES: [&str; 3] = ["pyarrow==26.0.1", "duckdb==2.0.1", "zstandard==0.25.0"];
const ROWS: usize = 200;
/// A record of the bus is below 1 MB; as JSON, each of these characters takes six.
const ESCAPED: usize = 600_000;

/// A column of every type, and of what else may come where its type is asked for.
fn fields() -> Value {
    json!({
        "span": "span_id",
        "text": "attributes.text",
        "n": { "from": "attributes.n", "type": "int" },
        "f": { "from": "attributes.f", "type": "float" },
        "b": { "from": "attributes.b", "type": "bool" },
        "t": { "from": "attributes.t", "type": "timestamp" },
        "j": { "from": "attributes.j", "type": "json" },
        "list": "attributes.j",
        "numeral": { "from": "attributes.numeral", "type": "int" },
        "began": "timestamp",
        "ms": "duration_ms",
    })
}

/// Attributes as they are sent, and the row that they make; times are microseconds.
fn row(rng: &mut Xoshiro256PlusPlus, number: usize) -> (Value, Map<String, Value>) {
    let mut plain = Map::new();
    let mut row: Map<String, Value> = ["text", "n", "f", "b", "t", "j", "list", "numeral"]
        .map(|name| (name.to_owned(), Value::Null))
        .into_iter()
        .collect();
    let mut put = |name: &str, sent: Value, seen: Value| {
        plain.insert(name.to_owned(), sent);
        row.insert(name.to_owned(), seen);
    };
    if rng.random_bool(0.8) {
        let texts = ["", "订单20261128号,电话中文", "a\nb\t\"c\" \\ \u{1}", "🦀 naïve", "null"];
        let text = if number == 7 { "长".repeat(300_000) } else { texts[rng.random_range(0..texts.len())].to_owned() };
        put("text", json!(text), json!(text));
    }
    if rng.random_bool(0.8) {
        let n = [i64::MIN, i64::MAX, 0, rng.random()][rng.random_range(0..4)];
        put("n", json!(n), json!(n));
    }
    if rng.random_bool(0.8) {
        let f = [0.1, -1.5e300, rng.random::<f64>() + 1e-9][rng.random_range(0..3)];
        put("f", json!(f), json!(f));
    }
    if rng.random_bool(0.8) {
        let b = rng.random_bool(0.5);
        put("b", json!(b), json!(b));
    }
    if rng.random_bool(0.8) {
        // To the microsecond: the last digits are cut.
        let nanos = rng.random_range(-10_000_000_000_000_000..4_000_000_000_000_000_000_i64);
        put("t", json!(weir_service::time::format(nanos)), json!(nanos.div_euclid(1000)));
    }
    if rng.random_bool(0.8) {
        let (sent, seen) = if rng.random_bool(0.5) { (json!("7"), json!(7)) } else { (json!("7 of 9"), Value::Null) };
        put("numeral", sent, seen);
    }
    let mut sent = attributes(&Value::Object(plain));
    if rng.random_bool(0.5) || number == 9 {
        let text = if number == 9 { "\u{1}".repeat(ESCAPED) } else { "值".to_owned() };
        let values = json!([
            { "stringValue": text }, { "intValue": "3" },
            { "kvlistValue": { "values": [{ "key": "k", "value": { "boolValue": true } }] } },
        ]);
        sent.as_array_mut().unwrap().push(json!({ "key": "j", "value": { "arrayValue": { "values": values } } }));
        let seen = json!([text, 3, { "k": true }]);
        row.insert("list".to_owned(), json!(seen.to_string()));
        row.insert("j".to_owned(), seen);
    }
    (sent, row)
}

/// Rows by their span, without the columns that weir adds; these have to be what they should.
fn by_span(rows: &Value) -> BTreeMap<String, Map<String, Value>> {
    let strip = |row: &Value| {
        let mut row = row.as_object().unwrap().clone();
        assert_eq!(row.remove("_tenant").unwrap(), "acme");
        assert_eq!(row.remove("_incomplete").unwrap(), false);
        assert_eq!(row.remove("_trace_id").unwrap().as_str().unwrap().len(), 32);
        assert!(row.remove("_source").unwrap().is_string());
        assert_eq!(row.remove("_time").unwrap(), row["began"]);
        (row.remove("span").unwrap().as_str().unwrap().to_owned(), row)
    };
    let rows = rows.as_array().unwrap();
    let by_span: BTreeMap<_, _> = rows.iter().map(strip).collect();
    assert_eq!(by_span.len(), rows.len());
    by_span
}

#[tokio::test(flavor = "multi_thread")]
async fn given_values_of_every_type_then_pyarrow_duckdb_and_json_read_what_was_sent() {
    let made = tokio::task::spawn_blocking(|| python::environment(ENVIRONMENT, &PACKAGES)).await.unwrap();
    let environment = match made {
        Ok(environment) => environment,
        Err(error) => return skip("captures read by pyarrow and DuckDB", &format!("{error:#}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("captures.yaml");
    let capture = |name: &str, format: &str| {
        json!({
            "name": name, "tenants": ["acme"], "fields": fields(), "format": format, "from": "beginning",
            "roll": { "rows": 70, "age": "1s" },
        })
    };
    std::fs::write(
        &file,
        json!({ "captures": [capture("columns", "parquet"), capture("lines", "jsonl")] }).to_string(),
    )
    .unwrap();
    let config = json!({
        "listen": "127.0.0.1:0",
        "collector": { "otlp": { "grpc": null, "http": "127.0.0.1:0" }, "host": null, "gpu": null },
        "reflow": { "captures": [file] },
    });
    let mut weir = Weir::new("standalone", folder.path(), &config).unwrap();
    let ready = weir.start().await.unwrap();
    let (client, mut rng) = (client(), Xoshiro256PlusPlus::seed_from_u64(number("WEIR_E2E_SEED", 1)));
    let mut wanted = BTreeMap::new();
    for number in 0..ROWS {
        let (attributes, mut row) = row(&mut rng, number);
        let span = Span { attributes, ..Span::new(&mut rng, Duration::from_micros(12_345)) };
        row.insert("began".to_owned(), json!(span.start.div_euclid(1000)));
        row.insert("ms".to_owned(), json!(12.345));
        let resource = export("ocr", "acme", u32::try_from(number % 5).unwrap(), std::slice::from_ref(&span));
        assert!(post(&client, ready.otlp_http.as_ref().unwrap(), &[resource]).await);
        wanted.insert(span.id, row);
    }
    let api = Api::new(&ready.http).unwrap();
    let all = until(PATIENCE, || async {
        let (_, answer) = api.get("/api/v1/captures", &[]).await.ok()?;
        let captures = answer["captures"].as_array()?;
        (captures.len() == 2 && captures.iter().all(|capture| capture["rows"] == ROWS)).then_some(())
    });
    assert!(all.await.is_some(), "{:?}", api.get("/api/v1/captures", &[]).await);
    assert!(weir.stop().await.unwrap().success());

    let store = weir.data_dir().join("datasets");
    let [columns, lines] = ["columns", "lines"].map(|name| store.join(name).to_str().unwrap().to_owned());
    let read = python::run(&environment, include_str!("read.py"), &[&columns, &lines]).await.unwrap();
    let read: Value = serde_json::from_str(&read).unwrap();
    let schema = json!({
        "span": "string", "text": "string", "n": "int64", "f": "double", "b": "bool", "t": "timestamp[us, tz=UTC]",
        "j": read["schema"]["j"], "list": "string", "numeral": "int64", "began": "timestamp[us, tz=UTC]", "ms": "double",
        "_source": "string", "_tenant": "string", "_trace_id": "string", "_time": "timestamp[us, tz=UTC]",
        "_incomplete": "bool",
    });
    assert_eq!(read["schema"], schema);
    assert_eq!(read["physical"]["j"], json!(["BYTE_ARRAY", "JSON"]));
    let types = json!({
        "span": "VARCHAR", "text": "VARCHAR", "n": "BIGINT", "f": "DOUBLE", "b": "BOOLEAN",
        "t": "TIMESTAMP WITH TIME ZONE", "j": "JSON", "list": "VARCHAR", "numeral": "BIGINT",
        "began": "TIMESTAMP WITH TIME ZONE", "ms": "DOUBLE", "_source": "VARCHAR", "_tenant": "VARCHAR",
        "_trace_id": "VARCHAR", "_time": "TIMESTAMP WITH TIME ZONE", "_incomplete": "BOOLEAN",
    });
    assert_eq!(read["types"], types);
    for reader in ["arrow", "duck"] {
        let mut rows = by_span(&read[reader]);
        for row in rows.values_mut() {
            // Its value is what its text says.
            row["j"] = row["j"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        }
        check(reader, &rows, &wanted);
    }
    let mut jsonl = by_span(&read["jsonl"]);
    for row in jsonl.values_mut() {
        for time in ["t", "began"] {
            let text = row[time].as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap().as_nanosecond());
            row[time] = json!(text.map(|nanos| i64::try_from(nanos.div_euclid(1000)).unwrap()));
        }
    }
    check("jsonl", &jsonl, &wanted);
    let known: Vec<_> = wanted.values().filter(|row| row["b"].is_boolean()).collect();
    let numbers: Vec<i64> = known.iter().filter_map(|row| row["n"].as_i64()).collect();
    assert_eq!(read["group"][0], known.len());
    assert_eq!(read["group"][1], numbers.len());
    let longest = jsonl.values().filter_map(|row| row["list"].as_str()).map(str::len).max();
    assert!(longest >= Some(6 * ESCAPED), "{longest:?}");
}

fn check(reader: &str, rows: &BTreeMap<String, Map<String, Value>>, wanted: &BTreeMap<String, Map<String, Value>>) {
    let cut = |value: &Value| value.to_string().chars().take(200).collect::<String>();
    assert_eq!(rows.len(), wanted.len(), "{reader}");
    for (span, wanted) in wanted {
        for (name, value) in wanted {
            let seen = &rows[span][name];
            assert!(seen == value, "{reader}: {name}: {} instead of {}", cut(seen), cut(value));
        }
    }
}
