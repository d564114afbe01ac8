use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::cell::{Name, Sums};

const START: i64 = 1_767_225_600;

static KEY: LazyLock<Key> = LazyLock::new(|| Key::open(tempfile::tempdir().unwrap().path()).unwrap());

fn row(tenant: &str, service: &str, interface: &str, calls: u64) -> (Name, Sums) {
    let name = Name { tenant: tenant.into(), service: service.into(), interface: interface.into() };
    (name, Sums { calls, errors: calls / 10, input_tokens: 1 << 60, energy_millijoules: 1 << 53, ..Sums::default() })
}

fn range(first_offset: i64, end_offset: i64, counted_in_window: u64) -> RangeProof {
    let counted = counted_in_window + 3;
    RangeProof {
        first_offset,
        end_offset,
        spans: counted + 2,
        counted,
        duplicates: 1,
        rejected: 1,
        counted_in_window,
        begins_anew: false,
    }
}

fn source(partition: i32, ranges: Vec<RangeProof>) -> SourceProof {
    SourceProof { topic: "otlp_spans".to_owned(), partition, ranges }
}

/// Rows of 17 calls; ranges of as many.
fn inputs() -> Inputs {
    Inputs {
        start_unix: START,
        end_unix: START + 86_400,
        rows: vec![
            row("globex", "ocr", "POST /v1/ocr", 5),
            row("acme", "ocr", "POST /v1/识别", 12),
            row("acme", "ocr", "", 0),
        ],
        sources: vec![
            source(0, vec![range(7, 9, 4), range(9, 20, 6), RangeProof { begins_anew: true, ..range(0, 4, 1) }]),
            source(1, vec![range(1 << 54, (1 << 54) + 1, 6)]),
        ],
        faults: Vec::new(),
        complete_until_unix: START + 86_400,
        generated_at_unix: START + 90_000,
    }
}

fn bytes(inputs: Inputs) -> Vec<u8> {
    serde_json::to_vec_pretty(&document(inputs, &KEY).unwrap()).unwrap()
}

/// Signed, whatever it says.
fn signed(mut document: Value) -> Vec<u8> {
    document.as_object_mut().unwrap().remove("signature");
    let signature = KEY.sign(&serde_json_canonicalizer::to_vec(&document).unwrap());
    document["signature"] = signature.into();
    serde_json::to_vec(&document).unwrap()
}

#[test]
fn given_a_proof_then_it_is_verified_with_and_without_the_expected_key() {
    let proof = bytes(inputs());
    let verified = verify(&proof, None).unwrap();
    assert_eq!((verified.calls, verified.rows, verified.sources, verified.key_checked), (17, 3, 2, false));
    assert_eq!(verified.window.start.to_string(), "2026-01-01T00:00:00Z");
    assert!(verified.is_complete() && verified.public_key == KEY.public());
    for key in [KEY.public(), KEY.public().to_uppercase()] {
        assert!(verify(&proof, Some(&key)).unwrap().key_checked);
    }
    let other = Key::open(tempfile::tempdir().unwrap().path()).unwrap().public();
    assert!(matches!(verify(&proof, Some(&other)), Err(Invalid::OtherKey { .. })));
    assert!(matches!(verify(&proof, Some("key.pub")), Err(Invalid::ExpectedKey)));
    let early = verify(&bytes(Inputs { complete_until_unix: START, ..inputs() }), None).unwrap();
    assert!(!early.is_complete());
    let nothing = Inputs { start_unix: 0, end_unix: 3600, ..Inputs::default() };
    assert_eq!(verify(&bytes(nothing), None).unwrap().calls, 0);
}

#[test]
fn given_a_document_then_it_has_the_fields_that_are_promised() {
    let document = document(inputs(), &KEY).unwrap();
    assert_eq!(document["weir_usage_proof"], 1);
    assert_eq!(document["window"], json!({"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}));
    assert_eq!(
        document["rows"][1],
        json!({
            "tenant": "acme", "service": "ocr", "interface": "POST /v1/识别", "calls": 12, "errors": 1, "request_bytes": 0,
            "response_bytes": 0, "input_tokens": "1152921504606846976", "output_tokens": 0, "gpu_micros": 0,
            "energy_millijoules": 9_007_199_254_740_992_u64,
        })
    );
    assert_eq!(
        document["sources"][0]["ranges"][2],
        json!({
            "first_offset": 0, "end_offset": 4, "spans": 6, "counted": 4, "duplicates": 1, "rejected": 1,
            "counted_in_window": 1, "begins_anew": true,
        })
    );
    assert_eq!(document["sources"][1]["ranges"][0]["first_offset"], "18014398509481984");
    assert_eq!(document["public_key"], KEY.public());
    let far = Inputs { end_unix: i64::MAX, ..inputs() };
    assert!(super::document(far, &KEY).is_err());
}

/// Changes the inputs.
type Edit = fn(&mut Inputs);
/// Whether that is how it is refused.
type Refused = fn(&Invalid) -> bool;

#[test]
fn given_inputs_that_do_not_add_up_then_each_is_refused_by_name() {
    let cases: &[(Edit, Refused, &str)] = &[
        (|i| i.rows[0].1.calls = 6, |e| matches!(e, Invalid::Calls { rows: 18, ranges: 17 }), "rows have 18 calls"),
        (|i| i.rows[1] = i.rows[0].clone(), |e| matches!(e, Invalid::RowOrder { index: 2 }), "row 2"),
        (|i| i.end_unix = i.start_unix, |e| matches!(e, Invalid::Window), "window"),
        (
            |i| i.sources[0].ranges[1].first_offset = 10,
            |e| matches!(e, Invalid::Gap { previous_end: 9, .. }),
            "offsets 10 to 20 of otlp_spans/0: a gap",
        ),
        (
            |i| i.sources[0].ranges[1].first_offset = 8,
            |e| matches!(e, Invalid::Overlap { previous_end: 9, .. }),
            "offsets 8 to 20 of otlp_spans/0: an overlap",
        ),
        (
            |i| i.sources[0].ranges[2].begins_anew = false,
            |e| matches!(e, Invalid::Overlap { previous_end: 20, .. }),
            "offsets 0 to 4 of otlp_spans/0",
        ),
        (
            |i| i.sources[0].ranges[0].end_offset = 6,
            |e| matches!(e, Invalid::RangeOrder(_)),
            "offsets 7 to 6 of otlp_spans/0",
        ),
        (
            |i| i.sources[1].ranges[0].duplicates = 2,
            |e| matches!(e, Invalid::Unbalanced { spans: 11, counted: 9, duplicates: 2, rejected: 1, .. }),
            "otlp_spans/1: 11 spans",
        ),
        (|i| i.sources[1].ranges[0].rejected = u64::MAX, |e| matches!(e, Invalid::Unbalanced { .. }), "otlp_spans/1"),
        (
            |i| i.sources[1].ranges[0].counted_in_window = 10,
            |e| matches!(e, Invalid::InWindow { counted_in_window: 10, counted: 9, .. }),
            "otlp_spans/1: 10 calls of the window",
        ),
        (
            |i| i.sources[1].partition = 0,
            |e| matches!(e, Invalid::SourceTwice { partition: 0, .. }),
            "otlp_spans/0 is there twice",
        ),
        (
            |i| {
                i.faults.push(Fault {
                    topic: "otlp_spans".to_owned(),
                    partition: 3,
                    kind: FaultKind::Gap,
                    from_offset: 5,
                    to_offset: 8,
                    at_unix: START,
                });
            },
            |e| matches!(e, Invalid::Fault { kind: FaultKind::Gap, .. }),
            "offsets 5 to 8 of otlp_spans/3: gap found at 2026-01-01T00:00:00Z",
        ),
    ];
    for (edit, refused, wanted) in cases {
        let mut inputs = inputs();
        edit(&mut inputs);
        let error = verify(&bytes(inputs), None).unwrap_err();
        assert!(refused(&error) && error.to_string().contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn given_documents_of_another_form_then_they_are_refused_even_where_they_are_signed() {
    let document = document(inputs(), &KEY).unwrap();
    assert!(verify(&signed(document.clone()), None).is_ok());
    let edit = |pointer: &str, value: Value| {
        let mut document = document.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[key] = value;
        document
    };
    let row_as_list = json!(["acme", "ocr", "", 0, 0, 0, 0, 0, 0, 0, 0]);
    for (pointer, value, wanted) in [
        ("/more", json!(1), "unknown field `more`"),
        ("/window/more", json!(1), "unknown field `more`"),
        ("/faults", json!(null), "null"),
        ("/weir_usage_proof", json!(2), "this version of weir reads 1"),
        ("/weir_usage_proof", json!("1"), "2^53"),
        ("/weir_usage_proof", json!(1.0), "whole number"),
        ("/complete_until", json!("2026-01-02T00:00:00+00:00"), "not a time"),
        ("/complete_until", json!("2026-01-02T00:00:00.5Z"), "not a time"),
        ("/public_key", json!(KEY.public().to_uppercase()), "`public_key` is not 64 lower-case"),
        ("/public_key", json!("00"), "`public_key` is not 64 lower-case"),
        ("/rows_sha256", json!("00"), "`rows_sha256`"),
        ("/rows", json!([row_as_list.clone(), row_as_list]), "`rows_sha256`"),
    ] {
        let error = verify(&signed(edit(pointer, value)), None).unwrap_err().to_string();
        assert!(error.contains(wanted), "{pointer}: {error}");
    }
    let text = String::from_utf8(bytes(inputs())).unwrap();
    let error = |text: &str| verify(text.as_bytes(), None).unwrap_err().to_string();
    assert!(error(&text.replacen('{', "{\"rows_sha256\": \"\",", 1)).contains("duplicate field"));
    assert!(error(&format!("{text}{{}}")).contains("trailing characters"));
    assert!(error(&text.replace("9007199254740992", "9007199254740993")).contains("2^53"));
    assert!(error(&text.replace("1152921504606846976", "1152921504606846977")).contains("the signature does not fit"));
    let signature = document["signature"].as_str().unwrap();
    assert!(error(&text.replace(signature, &signature.to_uppercase())).contains("128 lower-case"));
    assert!(error(&text.replace("\"signature\"", "\"signatur\"")).contains("unknown field"));
    assert!(error("").contains("is no proof"));
    assert!(error(&"[".repeat(1 << 20)).contains("is no proof"));
    assert!(error(&format!("{{\"rows\":{}", "[".repeat(1 << 20))).contains("is no proof"));
}

#[test]
fn given_a_folder_then_its_key_is_made_once_and_readable_by_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("usage/key");
    let key = Key::open(&folder).unwrap();
    assert_eq!(std::fs::metadata(folder.join("key.pem")).unwrap().mode() & 0o777, 0o600);
    let public = std::fs::read_to_string(folder.join("key.pub")).unwrap();
    assert_eq!(public, format!("{}\n", key.public()));
    std::fs::write(folder.join("key.pub"), "old").unwrap();
    assert_eq!(Key::open(&folder).unwrap().public(), key.public());
    assert_eq!(std::fs::read_to_string(folder.join("key.pub")).unwrap(), public);
    assert_eq!(format!("{key:?}"), format!("Key({})", key.public()));

    let path = |name: &str| folder.join(name).display().to_string();
    assert_eq!(public_key_of(&path("key.pub")).unwrap(), key.public());
    assert_eq!(public_key_of(&key.public().to_uppercase()).unwrap(), key.public());
    assert!(public_key_of(&path("key.pem")).unwrap_err().to_string().contains("as in key.pub"));
    assert!(public_key_of(&path("none")).unwrap_err().to_string().contains("none: cannot be read"));
    std::fs::write(folder.join("key.pem"), "no key").unwrap();
    assert!(Key::open(&folder).unwrap_err().to_string().contains("restore it from a backup"));
}

#[test]
fn given_a_key_of_openssl_then_it_is_read() {
    // RFC 8410, section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key.pem"), pem).unwrap();
    let public = Key::open(folder.path()).unwrap().public();
    assert_eq!(public, "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
}

static PROOF: LazyLock<Vec<u8>> = LazyLock::new(|| bytes(inputs()));

fn same_json(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    read(one).is_some_and(|value| Some(value) == read(other))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn given_one_changed_byte_then_a_proof_is_invalid_or_says_the_very_same(
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(b"0123456789abcdefABCDEF+-.eE\" \n{}[],:".to_vec())],
    ) {
        let mut changed = PROOF.clone();
        let at = at.index(changed.len());
        changed[at] = byte;
        prop_assert!(verify(&changed, None).is_err() || same_json(&changed, &PROOF), "byte {at}");
    }

    #[test]
    fn given_any_mutation_then_verification_ends(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<Vec<u8>>()), 1..6),
    ) {
        let mut changed = PROOF.clone();
        for (from, to, with) in edits {
            let (from, to) = (from.index(changed.len() + 1), to.index(changed.len() + 1));
            changed.splice(from.min(to)..from.max(to).min(from.min(to) + 40), with);
        }
        prop_assert!(verify(&changed, None).is_err() || same_json(&changed, &PROOF));
    }

    #[test]
    fn given_any_bytes_then_they_are_no_proof(bytes in any::<Vec<u8>>(), key in any::<Option<String>>()) {
        prop_assert!(verify(&bytes, key.as_deref()).is_err());
    }
}
