use super::*;
use crate::options::Pattern;
use proptest::prelude::*;
use prost::Message;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;

fn run(format: Format, multiline: Multiline, lines: &[&str]) -> Vec<String> {
    let mut assembler = Assembler::new(format, Arc::new(multiline), 64);
    let mut batch = Batch::default();
    for (at, line) in lines.iter().enumerate() {
        assembler.line(line.as_bytes(), at as u64, 0, 1, &mut batch);
    }
    assembler.close(1, &mut batch);
    let request = ExportLogsServiceRequest::decode(batch.finish(&[])).unwrap();
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    let text = |value: &Option<weir_proto::otlp::common::v1::AnyValue>| match value.as_ref().unwrap().value.as_ref() {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(_)) => "cut".to_owned(),
        other => format!("{other:?}"),
    };
    let attribute = |attributes: &[weir_proto::otlp::common::v1::KeyValue], name: &str| {
        attributes.iter().find(|a| a.key == name).map(|a| text(&a.value)).unwrap_or_default()
    };
    records
        .iter()
        .map(|record| {
            let cut = attribute(&record.attributes, "weir.truncated");
            format!("{}{cut} {}", attribute(&record.attributes, "log.file.offset"), text(&record.body))
        })
        .collect()
}

#[test]
fn parts_of_two_mixed_outputs_are_joined_each_with_its_own() {
    let time = "2016-10-06T00:17:09.669794202Z";
    let lines =
        ["stdout P a", "stderr P x", "stdout F b", "stderr F c", "stderr F y"].map(|tail| format!("{time} {tail}"));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(run(Format::Cri, Multiline::None, &lines), ["0 ab", "1 xc", "4 y"]);
}

#[test]
fn docker_parts_end_at_the_newline() {
    let line = |log: &str| format!(r#"{{"log":"{log}","stream":"stdout","time":"2019-01-01T01:00:00Z"}}"#);
    let (a, b, bad) = (line("a"), line("b\\n"), "{broken".to_owned());
    assert_eq!(run(Format::Docker, Multiline::None, &[&a, &bad, &b]), ["1 {broken", "0 ab"]);
}

const TIME: &str = "2016-10-06T00:17:09Z";

fn docker(stream: &str, log: &str) -> String {
    format!(r#"{{"log":"{log}","stream":"{stream}","time":"{TIME}"}}"#)
}

#[test]
fn each_line_decides_its_format_whatever_was_before_it() {
    let lines = [
        "*** banner ***".to_owned(),
        format!("\0\0\0{TIME} stdout F one"),
        format!("{TIME} stdout P part, "),
        "06T00:17:09Z stdout F damaged".to_owned(),
        format!("{TIME} stdout F and rest"),
        docker("stdout", "two\\n"),
        r#"{"level":"info"}"#.to_owned(),
        "\0plain".to_owned(),
        format!("{TIME} stderr P cut off"),
        docker("stderr", "three\\n"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let expected = [
        "0 *** banner ***",
        "1 one",
        "3 06T00:17:09Z stdout F damaged",
        "2 part, and rest",
        "5 two",
        r#"6 {"level":"info"}"#,
        "7 \0plain",
        "8 cut off",
        "9 three",
    ];
    assert_eq!(run(Format::Auto, Multiline::None, &lines), expected);
    let mut assembler = Assembler::new(Format::Auto, Arc::new(Multiline::None), 64);
    let mut batch = Batch::default();
    for line in &lines {
        assembler.line(line.as_bytes(), 0, 0, 1, &mut batch);
    }
    assert_eq!(assembler.counts.undecodable, 2, "a banner in front of every format is none");
}

#[test]
fn a_trace_goes_on_with_an_object_of_json_and_not_with_what_another_runtime_wrote() {
    let (cri, other) = (format!("{TIME} stdout F ERROR x"), docker("stdout", "\\tat A.b(C)\\n"));
    let json = r#"{"level":"error","msg":"x"}"#;
    assert_eq!(
        run(Format::Auto, Multiline::Auto, &[json, "\tat A.b(C)", &cri, &other]),
        ["2 ERROR x".to_owned(), format!("0 {json}\n\tat A.b(C)"), "3 \tat A.b(C)".to_owned()]
    );
}

#[test]
fn a_joined_line_is_cut_at_the_limit_between_characters() {
    let part = format!("2016-10-06T00:17:09Z stdout P {}", "中".repeat(20));
    let rest = format!("2016-10-06T00:17:09Z stdout F {}", "文".repeat(20));
    let joined = run(Format::Cri, Multiline::None, &[&part, &rest]);
    assert_eq!(joined, [format!("0cut {}文", "中".repeat(20))]);
}

#[test]
fn lines_that_do_not_match_the_start_belong_to_the_line_before() {
    let start = Multiline::Start(Pattern(regex::bytes::Regex::new(r"^\d").unwrap()));
    assert_eq!(run(Format::Plain, start, &["stray", "1 a", "b", "2 c"]), ["0 stray", "1 1 a\nb", "3 2 c"]);
}

#[test]
fn stack_traces_are_kept_whole() {
    let java = ["ERROR x", "\tat A.b(C)", "Caused by: E", "\t... 3 more", "INFO y"];
    assert_eq!(
        run(Format::Plain, Multiline::Auto, &java),
        ["0 ERROR x\n\tat A.b(C)\nCaused by: E\n\t... 3 more", "4 INFO y"]
    );
    let python = ["ERROR", "Traceback (most recent call last):", "  File x", "ValueError: 1", "next"];
    assert_eq!(
        run(Format::Plain, Multiline::Auto, &python),
        ["0 ERROR\nTraceback (most recent call last):\n  File x\nValueError: 1", "4 next"]
    );
}

#[test]
fn a_group_that_grows_too_long_goes_on_as_another() {
    let start = || Multiline::Start(Pattern(regex::bytes::Regex::new("^never").unwrap()));
    let line = "x".repeat(40);
    assert_eq!(run(Format::Plain, start(), &[&line, &line]), [format!("0 {line}"), format!("1 {line}")]);
}

proptest! {
    #[test]
    fn from_every_clean_point_the_same_records_come(
        kinds in prop::collection::vec((0_u8..8, "[ab中]{0,30}"), 1..40),
        format in prop::sample::select(vec![Format::Cri, Format::Auto]),
    ) {
        let time = "2016-10-06T00:17:09Z";
        let lines: Vec<String> = kinds.iter().map(|(kind, text)| match kind {
            0 => format!("{time} stdout P {text}"), 1 => format!("{time} stdout F {text}"),
            2 => format!("{time} stderr P {text}"), 3 => format!("{time} stderr F {text}"),
            4 => docker("stdout", text), 5 => docker("stdout", &format!("{text}\\n")),
            6 => format!("\0{time} stdout F {text}"),
            _ => text.clone(),
        }).collect();
        let new = || Assembler::new(format, Arc::new(Multiline::None), 64);
        let feed = |from: usize| {
            let (mut assembler, mut batch) = (new(), Batch::default());
            let mut marks = vec![(from, 0)];
            for (at, line) in lines.iter().enumerate().skip(from) {
                assembler.line(line.as_bytes(), at as u64, 0, 1, &mut batch);
                if assembler.is_clean() {
                    marks.push((at + 1, batch.len()));
                }
            }
            assembler.close(1, &mut batch);
            let bytes = batch.finish(&[]);
            (marks, bytes.len(), bytes)
        };
        let (marks, _, whole) = feed(0);
        for (line, bytes) in marks {
            let (_, _, rest) = feed(line);
            let tail = |request: &[u8]| ExportLogsServiceRequest::decode(request).unwrap().resource_logs[0].scope_logs[0].log_records.clone();
            let (all, again) = (tail(&whole), tail(&rest));
            prop_assert!(bytes == 0 || again.len() < all.len());
            prop_assert_eq!(&all[all.len() - again.len()..], again.as_slice());
        }
    }
}

#[test]
fn parts_without_an_end_take_no_more_than_a_line() {
    let mut assembler = Assembler::new(Format::Cri, Arc::new(Multiline::None), 64 << 10);
    let mut batch = Batch::default();
    let part = format!("2016-10-06T00:17:09Z stdout P {}", "x".repeat(16 << 10));
    for at in 0..20_000 {
        assert!(!assembler.must_close(part.len()));
        assembler.line(part.as_bytes(), at, 0, 1, &mut batch);
        assert!(batch.is_empty() && assembler.open.iter().flatten().all(|open| open.body.capacity() <= 128 << 10));
    }
    assembler.line(b"2016-10-06T00:17:09Z stdout F end", 20_000, 0, 1, &mut batch);
    assert!(assembler.is_clean() && batch.count() == 1 && assembler.counts.cut == 1);
    let request = ExportLogsServiceRequest::decode(batch.finish(&[])).unwrap();
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.body.as_ref().unwrap().value, Some(Value::StringValue("x".repeat(64 << 10))));
    assert!(record.attributes.iter().any(|attribute| attribute.key == "weir.truncated"));
}
