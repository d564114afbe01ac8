use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;
use weir_proto::otlp::logs::v1::LogRecord;

use crate::encode::Batch;
use crate::file::Assembler;
use crate::options::{Format, Multiline};

/// The records of a text.
fn records(text: &[u8]) -> Vec<Vec<u8>> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut assembler = Assembler::new(Format::Plain, Arc::new(Multiline::Auto), 1 << 20);
    let mut batch = Batch::default();
    let mut at = 0;
    for line in text.split(|&b| b == b'\n') {
        assembler.line(line, at, 0, 1, &mut batch);
        at += line.len() as u64 + 1;
    }
    assembler.close(1, &mut batch);
    let request = ExportLogsServiceRequest::decode(batch.finish(&[])).unwrap();
    let records = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs).flat_map(|logs| logs.log_records);
    let body = |record: LogRecord| match record.body.and_then(|body| body.value) {
        Some(Value::StringValue(text)) => text.into_bytes(),
        Some(Value::BytesValue(bytes)) => bytes,
        other => panic!("{other:?}"),
    };
    records.map(body).collect()
}

#[track_caller]
fn is_one(trace: &str) {
    let text = format!("an ordinary line\n{trace}\nanother: ordinary line\n");
    let found: Vec<String> = records(text.as_bytes()).iter().map(|r| String::from_utf8_lossy(r).into_owned()).collect();
    assert_eq!(found, ["an ordinary line", trace, "another: ordinary line"]);
}

#[track_caller]
fn stand_alone(text: &str) {
    assert_eq!(records(text.as_bytes()).len(), text.split('\n').count(), "{text}");
}

#[test]
fn java_with_causes_and_suppressed() {
    is_one(
        "Exception in thread \"main\" java.lang.IllegalStateException: closed\n\tat a.B.close(B.java:3)\n\tSuppressed: \
         java.io.IOException: x\n\t\tat a.C.close(C.java:9)\n\t\t... 1 more\nCaused by: a.D: y\n\tat a.D.f(D.java:1)\n\t... \
         12 more",
    );
}

#[test]
fn the_line_that_announces_a_trace_is_its_first() {
    let logged = "12:00:01 ERROR [main] failed\njava.io.IOException: no\n\tat a.B.c(B.java:1)";
    assert_eq!(records(format!("INFO up\n{logged}\nINFO down").as_bytes()).len(), 3);
    let told = "the task ended with an error:\r\norg.RemoteException(org.Why): no\n\tat a.B.c(B.java:1)";
    assert_eq!(records(told.as_bytes()).len(), 1);
    let told = "WARN [1] failed\nSystem.IO.IOException (0x80131620): no\n   at A.B()";
    assert_eq!(records(told.as_bytes()).len(), 1);
    let logged = "INFO up\njava.io.IOException: no\n\tat a.B.c(B.java:1)";
    assert_eq!(records(logged.as_bytes()).len(), 2);
    assert_eq!(records(b"ERROR a\nTraceback (most recent call last):\n  File \"a\", line 1\nE: x\nERROR b").len(), 2);
}

#[test]
fn python_with_chains_blank_lines_and_groups() {
    is_one(
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\n    ~^^\n\n  File \"a.py\", line 2, in \
         g\n    h()\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most \
         recent call last):\n  File \"a.py\", line 3, in f\nlib.errors.NotThere\n\nThe above exception was the direct cause of \
         the following exception:\n\nTraceback (most recent call last):\n  File \"a.py\", line 4, in f\nValueError: no",
    );
    is_one(
        "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in f\n  | ExceptionGroup: two (2 \
         sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: 1\n    +------------------------------------",
    );
    let cut = "Traceback (most recent call last):\n  File \"a.py\", line 1\n2024-01-01 INFO next\nINFO: next";
    assert_eq!(records(cut.as_bytes()).len(), 3);
}

#[test]
fn go_with_a_signal_two_goroutines_and_an_exit_status() {
    is_one(
        "panic: first [recovered]\n\tpanic: second\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x7fd34f]\n\n\
         goroutine 5 [running]:\nmain.f({0x1, 0x2}, ...)\n\t/a/b.go:33 +0x1f\n...additional frames elided...\ncreated by \
         main.main in goroutine 1\n\t/a/b.go:20 +0x91\n\ngoroutine 6 [select, 3 minutes]:\nmain.(*T).g(0x1)\n\t/a/c.go:1 \
         +0x1\nexit status 2",
    );
    is_one(
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/a.go:4 +0x2",
    );
}

#[test]
fn node_with_its_source_fields_and_version() {
    is_one(
        "node:events:495\n      throw er; // Unhandled 'error' event\n      ^\n\nError: connect ECONNREFUSED\n    at \
         TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)\nEmitted 'error' event on Socket instance at:\n    at \
         emitErrorNT (node:internal/streams/destroy:151:8) {\n  errno: -111,\n  [cause]: {\n    a: 1\n  }\n}\n\nNode.js v20.1.0",
    );
    is_one("/app/a.js:3\nthrow new Error('x');\n^\n\nError: x\n    at /app/a.js:3:7");
}

#[test]
fn rust_panics_and_returned_errors() {
    is_one("thread 'main' panicked at 'boom', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1` environment variable");
    is_one(
        "thread 'w' (12) panicked at src/a.rs:2:5:\nassertion `left == right` failed\n  left: 1\n right: 2\nstack \
         backtrace:\n   0: std::panicking::begin\n             at /rustc/1/a.rs:5\n   1: core::f\nnote: Some details are \
         omitted",
    );
    is_one("Error: cannot start\n\nCaused by:\n    0: no file\n    1: not found\n\nStack backtrace:\n   0: a::b");
}

#[test]
fn native_aborts_sanitizers_and_debuggers() {
    is_one(
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  boom\nAborted (core dumped)",
    );
    is_one(
        "=================================================================\n==7402==ERROR: AddressSanitizer: heap-use-after-free\n\
         READ of size 1 at 0x61 thread T0\n    #0 0x4a in main /a.cc:5\n\n0x61 is located 4 bytes inside of 400-byte \
         region\nfreed by thread T0 here:\n    #0 0x4b in free\n\nSUMMARY: AddressSanitizer: heap-use-after-free /a.cc:5 in \
         main\nShadow bytes around the buggy address:\n  0x0c: fa\n=>0x0c: fd\n==7402==ABORTING",
    );
    is_one(
        "Thread 1 (Thread 0x7f (LWP 9)):\n#0  0x00007f in raise () from /lib/libc.so.6\n#1  main () at a.c:3\n        x = \
         1\n\nThread 2 (Thread 0x7e (LWP 10)):\n#0  0x00007f in poll ()",
    );
}

#[test]
fn others_with_what_follows_their_frames() {
    is_one(
        "Unhandled exception. System.AggregateException: one\n ---> System.Exception: two\n   at A.B(Int32 c) in /a.cs:line \
         3\n   --- End of inner exception stack trace ---\n   at A.C()\n--- End of stack trace from previous location ---\n   at \
         A.D()",
    );
    is_one(
        "PHP Fatal error:  Uncaught Exception: a in /a.php:3\nStack trace:\n#0 {main}\n\nNext Exception: b in /a.php:5\nStack \
         trace:\n#0 /a.php(9): f()\n#1 {main}\n  thrown in /a.php on line 5",
    );
    is_one(
        "a.rb:3:in `f': no method (NoMethodError)\n\n    x.foo\n     ^^^^\n\tfrom a.rb:5:in `g'\n\tfrom a.rb:8:in `<main>'",
    );
}

#[test]
fn ordinary_lines_are_not_joined() {
    stand_alone("INFO a\n\nERROR b\nERROR c\n\n\nError: d\nError: e\npanic: f\npanicking\nfatal error: g\nh");
    stand_alone("{\n  \"a\": 1,\n  \"b\": {}\n}\n  at the station (again)\n\tat home\n#1 of three\n# title\n  - item");
    stand_alone(
        "==== a\n==12==\natlas\nCaused by the weather\ngoroutine 5\nthread 'a'\n#0 is first\nfrom a to b\n... 3 dots",
    );
    stand_alone("java.io.IOException: a\njava.io.IOException: b\nERROR c\nValueError: d\nThread 1 started\nNext one");
    stand_alone(
        "GET /a.js:80 200\n/var/log/a:3\nNode.js v20\nnote: a\nAborted\nexit status 1\nSUMMARY: b\nReceiver: c",
    );
}

fn line() -> impl Strategy<Value = String> {
    let known: Vec<&str> = include_str!("tests.rs")
        .split('"')
        .flat_map(|part| part.split("\\n"))
        .filter(|part| part.len() < 80 && !part.contains('\n'))
        .collect();
    prop_oneof![4 => prop::sample::select(known).prop_map(|part| part.replace("\\t", "\t")), 1 => "[ -~\t]{0,20}\r?"]
}

proptest! {
    #[test]
    fn nothing_is_lost_or_moved_and_every_record_begins_anew(lines in prop::collection::vec(line(), 1..60)) {
        let text = lines.join("\n") + "\n";
        let all = records(text.as_bytes());
        prop_assert_eq!(all.join(&b'\n'), &text.as_bytes()[..text.len() - 1]);
        let mut at = 0;
        for (number, record) in all.iter().enumerate() {
            prop_assert_eq!(&records(&text.as_bytes()[at..]), &all[number..]);
            at += record.len() + 1;
        }
    }
}
