use std::collections::BTreeSet;

use weir_query::{Matcher, parse};

use super::testing::{Made, far, store};
use crate::query::{exact, needs};
use crate::search::{self, MAX_PAGE_BYTES, Paging, Selection};
use crate::store::everything;

/// Four spans: two on disk, two in memory.
fn spans() -> [Made; 4] {
    [
        Made {
            service: "ocr",
            id: 1,
            kind: 2,
            seconds: 3,
            attributes: &[("user.id", "42"), ("note", "gpu lost")],
            ..Made::default()
        },
        Made { service: "ocr", id: 2, kind: 3, status: 2, name: Some("load model"), ..Made::default() },
        Made { service: "asr", id: 3, kind: 2, status: 2, seconds: 1, name: Some("POST /v1/asr"), ..Made::default() },
        Made { service: "asr", id: 4, kind: 1, name: Some("decode 音频"), ..Made::default() },
    ]
}

#[test]
fn given_queries_over_spans_then_the_index_finds_what_each_span_is() {
    let [a, b, c, d] = spans();
    let (_folder, store) = store(&[&[a, b], &[c, d]]);
    let moment = store.snapshot(&everything());
    for (text, ids) in [
        ("status:error", &[2, 3][..]),
        ("status:(error OR ok) AND service:ocr", &[2]),
        ("duration_ms:>2000", &[1]),
        ("duration:[500ms TO 1s]", &[3]),
        ("duration_ms:0", &[2, 4]),
        ("kind:server", &[1, 3]),
        ("kind IN [client, internal]", &[2, 4]),
        ("name:\"load model\"", &[2]),
        ("name:POST*", &[3]),
        ("interface:\"POST /v1/asr\"", &[3]),
        ("interface:*", &[1, 2, 3, 4]),
        ("work", &[1]),
        ("音频", &[4]),
        ("gpu AND lost", &[1]),
        ("\"lost gpu\"", &[]),
        ("model OR decode", &[2, 4]),
        ("NOT status:error", &[1, 4]),
        ("user.id:42", &[1]),
        ("attributes.user.id:>=40", &[1]),
        ("attributes.*:\"gpu lost\"", &[1]),
        ("l", &[]),
        ("body:*", &[]),
        ("/v[0-9]/", &[3]),
        ("modle~1", &[2]),
        ("trace_id:01010101010101010101010101010101", &[1, 2, 3, 4]),
        ("parent_span_id:*", &[]),
        ("service:ocr AND NOT kind:client", &[1]),
    ] {
        let query = parse(text).unwrap();
        let selection = Selection {
            matcher: Matcher::new(&query, 0).unwrap(),
            needs: needs(&query),
            exact: exact(&query),
            start: i64::MIN,
            end: i64::MAX,
            budget: far(),
        };
        let paging = Paging { limit: 100, bytes: MAX_PAGE_BYTES, oldest_first: true, after: None };
        let lines = search::page(moment.as_ref(), &selection, &paging, &|_| true).unwrap().lines;
        let found: BTreeSet<u8> = lines.iter().filter_map(|line| line.span_id.first().copied()).collect();
        assert_eq!(found, ids.iter().copied().collect(), "{text}");
        assert_eq!(search::count(moment.as_ref(), &selection).unwrap(), ids.len() as u64, "count of {text}");
    }
}
