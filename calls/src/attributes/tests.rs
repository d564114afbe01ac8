use super::Value::{Double, Int, Text};
use super::*;

fn of<'a>(pairs: &[(&str, Value<'a>)]) -> Attributes<'a> {
    let mut attributes = Attributes::default();
    for (name, value) in pairs {
        attributes.take(name.as_bytes(), *value);
    }
    attributes
}

#[test]
fn given_what_a_span_says_then_route_goes_before_method_and_that_before_its_name() {
    let (method, route) = (("http.request.method", Text("POST")), ("http.route", Text("/v1/ocr")));
    let (service, call) = (("rpc.service", Text("ocr.V1")), ("rpc.method", Text("Read")));
    for (pairs, expected) in [
        (&[method, route, service, call][..], "POST /v1/ocr"),
        (&[method, service, call], "ocr.V1/Read"),
        (&[method, service], "recognize"),
        (&[call], "recognize"),
        (&[], "recognize"),
        (&[("http.method", Text("GET")), route], "GET /v1/ocr"),
        (&[("http.method", Text("GET")), method, route], "POST /v1/ocr"),
        (&[("http.request.method", Text("")), ("http.method", Text("GET")), route], "GET /v1/ocr"),
        (&[method, ("http.target", Text("/v1/ocr/17"))], "recognize"),
        (&[("rpc.method", Text("ocr.V1/Read"))], "ocr.V1/Read"),
        (&[("rpc.method", Text("ocr.V1/Read")), service], "ocr.V1/Read"),
        (&[("gen_ai.operation.name", Text("chat")), ("gen_ai.request.model", Text("qwen-72b"))], "recognize"),
    ] {
        assert_eq!(of(pairs).interface("recognize").concat(), expected, "{pairs:?}");
    }
}

#[test]
fn given_a_span_whose_name_says_nothing_then_the_interface_is_operation_and_model() {
    let (operation, model) = (("gen_ai.operation.name", Text("chat")), ("gen_ai.request.model", Text("qwen-72b")));
    let answered = ("gen_ai.response.model", Text("qwen-72b-int4"));
    for (name, pairs, expected) in [
        ("llm_request", &[operation, model, answered][..], "chat qwen-72b"),
        ("llm_request", &[answered], "llm_request qwen-72b-int4"),
        ("llm_request", &[operation], "chat"),
        ("llm_request", &[], "llm_request"),
        ("", &[model], "qwen-72b"),
        ("", &[], ""),
    ] {
        assert_eq!(of(pairs).interface(name).concat(), expected, "{name} {pairs:?}");
    }
}

#[test]
fn given_an_unset_status_then_attributes_say_whether_a_call_failed() {
    for (name, value, error) in [
        ("http.response.status_code", Int(500), true),
        ("http.response.status_code", Int(599), true),
        ("http.response.status_code", Int(499), false),
        ("http.response.status_code", Text("503"), true),
        ("http.response.status_code", Double(502.0), true),
        ("http.status_code", Int(500), true),
        ("http.status_code", Int(404), false),
        ("rpc.response.status_code", Text("INTERNAL"), true),
        ("rpc.response.status_code", Text("unavailable"), true),
        ("rpc.response.status_code", Text("DEADLINE_EXCEEDED"), true),
        ("rpc.response.status_code", Text("OK"), false),
        ("rpc.response.status_code", Text("NOT_FOUND"), false),
        ("rpc.response.status_code", Text("13"), true),
        ("error.type", Text("timeout"), true),
        ("error.type", Int(500), true),
        ("error.type", Text(""), false),
        ("error", Text("true"), false),
    ] {
        let attributes = of(&[(name, value)]);
        assert_eq!(attributes.is_error(Status::Unset), error, "{name} {value:?}");
        assert!(!attributes.is_error(Status::Ok), "who says that it went well knows better");
        assert!(attributes.is_error(Status::Error));
    }
    for code in 0..=17 {
        let attributes = of(&[("rpc.grpc.status_code", Int(code))]);
        assert_eq!(attributes.is_error(Status::Unset), [2, 4, 8, 13, 14, 15].contains(&code), "{code}");
    }
}

#[test]
fn given_both_statuses_of_http_then_the_newer_counts() {
    let both = [("http.status_code", Int(500)), ("http.response.status_code", Int(200))];
    assert!(!of(&both).is_error(Status::Unset));
}

#[test]
fn given_counts_as_number_double_or_text_then_they_are_read_and_the_newer_name_counts() {
    for (pairs, expected) in [
        (&[("gen_ai.usage.input_tokens", Int(7)), ("gen_ai.usage.output_tokens", Double(8.0))][..], [0, 0, 7, 8, 0, 0]),
        (&[("gen_ai.usage.input_tokens", Text("7")), ("gen_ai.usage.output_tokens", Text("8.0"))], [0, 0, 7, 8, 0, 0]),
        (&[("gen_ai.usage.prompt_tokens", Int(7)), ("gen_ai.usage.completion_tokens", Int(8))], [0, 0, 7, 8, 0, 0]),
        (&[("gen_ai.usage.prompt_tokens", Int(9)), ("gen_ai.usage.input_tokens", Int(7))], [0, 0, 7, 0, 0, 0]),
        (&[("gen_ai.usage.prompt_tokens", Int(9)), ("gen_ai.usage.input_tokens", Text("many"))], [0, 0, 9, 0, 0, 0]),
        (&[("http.request.body.size", Int(1)), ("http.response_content_length", Text("2"))], [1, 2, 0, 0, 0, 0]),
        (&[("gen_ai.usage.input_tokens", Int(1)), ("gen_ai.usage.input_tokens", Int(2))], [0, 0, 1, 0, 0, 0]),
    ] {
        assert_eq!(of(pairs).measures(0).sums, expected, "{pairs:?}");
    }
}

#[test]
fn given_values_that_are_not_understood_then_they_are_counted_by_reason() {
    let odd = [
        ("http.response.status_code", Text("ok")),
        ("rpc.response.status_code", Text("SOMETHING")),
        ("rpc.grpc.status_code", Value::Other),
        ("http.request.body.size", Int(-1)),
        ("gen_ai.usage.input_tokens", Double(1.5)),
        ("gen_ai.usage.output_tokens", Double(f64::NAN)),
        ("gen_ai.usage.prompt_tokens", Int(3)),
    ];
    assert_eq!(of(&odd).measures(0).unread, [1, 2, 1, 2, 0]);
    assert_eq!(of(&[("http.response.status_code", Int(200))]).measures(0).unread, [0; 5]);
}

#[test]
fn given_every_name_that_programs_send_then_it_is_read() {
    for (names, sums) in [
        (&["http.request.body.size", "http.request_content_length"][..], [7, 0, 0, 0, 0, 0]),
        (&["http.response.body.size", "http.response_content_length"], [0, 7, 0, 0, 0, 0]),
        (&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"], [0, 0, 7, 0, 0, 0]),
        (&["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"], [0, 0, 0, 7, 0, 0]),
        (
            &[
                "gen_ai.usage.cache_read.input_tokens",
                "gen_ai.usage.cache_read_input_tokens",
                "gen_ai.usage.cached_input_tokens",
                "gen_ai.usage.cached_tokens",
                "gen_ai.usage.input_tokens.cached",
            ],
            [0, 0, 0, 0, 7, 0],
        ),
        (
            &[
                "gen_ai.usage.reasoning.output_tokens",
                "gen_ai.usage.reasoning_tokens",
                "gen_ai.usage.output_tokens.reasoning",
            ],
            [0, 0, 0, 0, 0, 7],
        ),
    ] {
        for name in names {
            assert_eq!(of(&[(name, Int(7))]).measures(0).sums, sums, "{name}");
        }
    }
    for name in [
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.response.time_to_first_token",
        "gen_ai.latency.time_to_first_token",
    ] {
        let read = of(&[(name, Double(0.045))]).measures(2_100_000);
        assert_eq!((read.time_to_first_token, read.time_per_output_token), (Some(45_000), None), "{name}");
    }
    let mut attributes = of(&[("url.scheme", Int(7)), ("", Int(7))]);
    assert_eq!(attributes.measures(0), Measures::default());
    attributes.take_with(b"url.scheme", || Err(())).unwrap();
    attributes.take_with(b"gen_ai.usage.input_tokens", || Err(())).unwrap_err();
    attributes.take_with(b"gen_ai.usage.input_tokens", || Ok::<_, ()>(Int(7))).unwrap();
    attributes.take_with(b"gen_ai.usage.input_tokens", || Err(())).unwrap();
    assert_eq!(attributes.measures(0).sums[2], 7, "the first counts");
}

#[test]
fn given_a_models_answer_then_the_time_per_token_is_what_is_said_or_what_is_left_after_the_first() {
    let first = ("gen_ai.latency.time_to_first_token", Double(0.5));
    let decode = ("gen_ai.latency.time_in_model_decode", Double(1.0));
    let said = ("gen_ai.response.time_per_output_token", Double(0.02));
    let tokens = |count| ("gen_ai.usage.completion_tokens", Int(count));
    for (pairs, expected) in [
        (&[first, tokens(101)][..], Some(15_000)),
        (&[first, decode, tokens(101)], Some(10_000)),
        (&[first, decode, said, tokens(101)], Some(20_000)),
        (&[decode, tokens(101)], Some(10_000)),
        (&[said], Some(20_000)),
        (&[first, tokens(1)], None),
        (&[first, tokens(0)], None),
        (&[first], None),
        (&[tokens(101)], None),
    ] {
        assert_eq!(of(pairs).measures(2_000_000).time_per_output_token, expected, "{pairs:?}");
    }
}

#[test]
fn given_times_that_cannot_be_then_they_are_counted_and_zero_is_none() {
    let name = "gen_ai.latency.time_to_first_token";
    for (value, first, unread) in [
        (Double(1.0), Some(1_000_000), 0),
        (Int(1), Some(1_000_000), 0),
        (Text("0.25"), Some(250_000), 0),
        (Double(2.0005), Some(2_000_500), 0),
        (Double(0.0), None, 0),
        (Double(450.0), None, 1),
        (Double(-0.1), None, 1),
        (Double(f64::NAN), None, 1),
        (Text("soon"), None, 1),
        (Value::Other, None, 1),
    ] {
        let read = of(&[(name, value)]).measures(2_000_000);
        assert_eq!((read.time_to_first_token, read.unread[4]), (first, unread), "{value:?}");
    }
}
