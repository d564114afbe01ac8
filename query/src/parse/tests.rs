use proptest::prelude::*;

use super::*;

fn is(field: &str, text: &str) -> Query {
    Query::Field(field.into(), Test::Is(text.into()))
}

#[test]
fn and_binds_closer_than_or_and_not_closer_still() {
    let query = parse("a OR service:ocr AND NOT \"connection reset\"").unwrap();
    let right = Query::And(vec![is("service", "ocr"), Query::Not(Box::new(is("body", "connection reset")))]);
    assert_eq!(query, Query::Or(vec![is("body", "a"), right]));
}

#[test]
fn ranges_lists_escapes_and_existence_are_read() {
    let range = |a, b| Query::Field("n".into(), Test::Range(a, b));
    assert_eq!(parse("n:>=10").unwrap(), range(Bound::Including("10".into()), Bound::Open));
    assert_eq!(parse("n:[1 TO 5}").unwrap(), range(Bound::Including("1".into()), Bound::Excluding("5".into())));
    for list in ["n:IN [a, b]", "n:IN [a,b]", "n: IN [a b]", "n IN [a, b]", "n:IN [\"a\", b,]"] {
        assert_eq!(parse(list).unwrap(), Query::Or(vec![is("n", "a"), is("n", "b")]), "{list}");
    }
    assert_eq!(parse("n:IN [a*]").unwrap(), Query::Field("n".into(), Test::Glob("a*".into())));
    assert_eq!(parse("country:IN").unwrap(), is("country", "IN"));
    assert_eq!(parse("image:repo:5000/x:1").unwrap(), is("image", "repo:5000/x:1"));
    assert_eq!(parse("_exists_:n").unwrap(), Query::Field("n".into(), Test::Exists));
    assert_eq!(parse(r"a\:b\*").unwrap(), is("body", "a:b*"));
    assert_eq!(parse("n:*").unwrap(), Query::Field("n".into(), Test::Exists));
}

#[test]
fn an_error_names_the_place_and_what_would_be_right() {
    let error = parse("a AND (b").unwrap_err();
    assert_eq!((error.position, error.message.as_str()), (8, "expected `)`"));
    assert_eq!(parse(&"(".repeat(1000)).unwrap_err().position, MAX_DEPTH + 1);
    assert_eq!(parse(&"a:(".repeat(1000)).unwrap_err().position, 3 * (MAX_DEPTH + 1));
    assert!(parse(&"NOT ".repeat(3000)).is_err() && parse(&"a ".repeat(10_000)).is_err());
    for (text, position) in [("a )", 2), ("\"a", 0), ("n:IN [a", 7), ("n:[1 5]", 5), ("a AND", 5), ("a\\", 2)] {
        assert_eq!(parse(text).unwrap_err().position, position, "{text}");
    }
}

#[test]
fn bare_words_in_parentheses_belong_to_the_field_and_what_names_another_does_not() {
    let exists = Query::Field("user".into(), Test::Exists);
    assert_eq!(parse("user:(*)").unwrap(), exists);
    assert_eq!(parse("user:(a OR *)").unwrap(), Query::Or(vec![is("user", "a"), exists]));
    let both = Query::And(vec![is("service", "ocr"), is("body", "hello")]);
    assert_eq!(parse("service:(ocr AND body:hello)").unwrap(), both);
    assert_eq!(parse("service:(ocr) hello").unwrap(), both);
    assert_eq!(parse("body:(*)").unwrap(), Query::All);
}

#[test]
fn signs_join_words_without_spaces() {
    assert_eq!(parse("a||b").unwrap(), Query::Or(vec![is("body", "a"), is("body", "b")]));
    assert_eq!(parse("n:a&&b").unwrap(), Query::And(vec![is("n", "a"), is("body", "b")]));
}

#[test]
fn what_lucene_writes_behind_a_word_is_read_and_what_only_looks_like_it_is_a_word() {
    let fuzzy = |text: &str, edits| Query::Field("body".into(), Test::Fuzzy(text.into(), edits));
    let regex = |text: &str| Query::Field("body".into(), Test::Regex(text.into()));
    for (text, query) in [
        ("hello^2", is("body", "hello")),
        ("(a OR b)^2.5 c", Query::And(vec![Query::Or(vec![is("body", "a"), is("body", "b")]), is("body", "c")])),
        ("\"a b\"^3", is("body", "a b")),
        ("user:u1^2.5", is("user", "u1")),
        ("hello~1", fuzzy("hello", 1)),
        ("hello~", fuzzy("hello", 1)),
        ("timeout~", fuzzy("timeout", 2)),
        ("timeout~0.5", fuzzy("timeout", 2)),
        ("模型~1", fuzzy("模型", 1)),
        ("n:IN [a~1]", Query::Field("n".into(), Test::Fuzzy("a".into(), 1))),
        ("\"a b\"~2", Query::Field("body".into(), Test::Near("a b".into(), 2))),
        ("/hel+o/", regex("hel+o")),
        ("/hel.o/", regex("hel.o")),
        ("/time(out|r)/", regex("time(out|r)")),
        ("/connection (reset|refused)/ b", Query::And(vec![regex("connection (reset|refused)"), is("body", "b")])),
        (r"/a\/b+/", regex(r"a\/b+")),
        ("path:/v[0-9]+/", Query::Field("path".into(), Test::Regex("v[0-9]+".into()))),
    ] {
        assert_eq!(parse(text), Ok(query), "{text}");
    }
    for text in
        ["/v1/ocr/", "~root", "~/a", "a^b", "10~20", "5~8", "1.5~2.0", "5~", "10^2", "2^n", "a^", "/", "//", "/tmp/"]
    {
        assert_eq!(parse(text).unwrap(), is("body", text), "{text}");
    }
    assert_eq!(parse("n:10^2").unwrap(), is("n", "10^2"));
    assert_eq!(parse("/v?/o*/").unwrap(), Query::Field("body".into(), Test::Glob("/v?/o*/".into())));
    assert_eq!(parse(r"a\^2").unwrap(), is("body", "a^2"));
    assert_eq!(parse("\"hello^2\"").unwrap(), is("body", "hello^2"));
    let error = parse("x hello~10").unwrap_err();
    assert_eq!((error.position, error.message.contains("at most 2")), (7, true), "{error}");
}

#[test]
fn text_that_was_pasted_is_text() {
    for text in [
        "https://api.example.com/x",
        "https://api.example.com/x?a=b&c=(d)",
        "12:30:45",
        "2026-11-28T12:30:45.5Z",
        r"C:\Windows\System32",
        "std::vector",
        "fe80::1",
        "req-8f3a-22",
        "10.0.0.7:8080",
        "com.acme.Foo",
        "[ERROR]",
        "{}",
    ] {
        assert_eq!(parse(text).unwrap(), is("body", text), "{text}");
    }
    assert_eq!(parse("[ERROR] main").unwrap(), Query::And(vec![is("body", "[ERROR]"), is("body", "main")]));
    assert_eq!(parse("(12:30:45)").unwrap(), is("body", "12:30:45"));
    assert_eq!(parse("url:https://x/y").unwrap(), is("url", "https://x/y"));
    assert_eq!(parse("service : ocr").unwrap(), is("service", "ocr"));
    assert_eq!(parse("12:3*").unwrap(), Query::Field("body".into(), Test::Glob("12:3*".into())));
}

#[test]
fn ranges_in_parentheses_belong_to_the_field() {
    let range = |low: Bound, high: Bound| Query::Field("n".into(), Test::Range(low, high));
    let from = range(Bound::Including("400".into()), Bound::Open);
    let until = range(Bound::Open, Bound::Excluding("500".into()));
    assert_eq!(parse("n:(>=400 AND <500)").unwrap(), Query::And(vec![from.clone(), until.clone()]));
    assert_eq!(parse("n:(>=400 <500)").unwrap(), Query::And(vec![from, until]));
    let both = range(Bound::Including("1".into()), Bound::Excluding("5".into()));
    assert_eq!(parse("n:([1 TO 5} OR x)").unwrap(), Query::Or(vec![both, is("n", "x")]));
    assert_eq!(parse(r"http.\*:x").unwrap(), is("http.*", "x"));
    assert_eq!(parse("attributes.*:red").unwrap(), is("attributes.*", "red"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9:\"()\\[\\]{}*?\\\\<>=!+ ANDORTI-]{0,60}|.{0,40}") {
        let _ = parse(&text);
    }
}

#[test]
fn given_terms_side_by_side_that_are_joined_as_lucene_does_then_any_may_be_there_and_signs_count() {
    for (text, same) in [
        ("a b", "a OR b"),
        ("a b AND c", "a OR (b AND c)"),
        ("+a b", "a"),
        ("a -b", "NOT b AND a"),
        ("a NOT b c", "NOT b AND (a OR c)"),
        ("+a -b c", "a AND NOT b"),
        ("-a", "NOT a"),
        ("k:(a b) c", "k:(a OR b) OR c"),
        ("(a b) AND c", "(a OR b) AND c"),
        ("a OR b c", "a OR (b OR c)"),
    ] {
        assert_eq!(parse_any(text), parse(same), "{text}");
    }
    assert!(parse_any("a )").is_err() && parse_any("(a b").is_err());
}
