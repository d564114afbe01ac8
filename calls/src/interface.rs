//! What a caller calls: the rule that call statistics and captures name interfaces by, before a configuration renames any.

/// Attributes of a SERVER or CONSUMER span that name it, in the order in which [`parts`] takes their texts.
pub const NAMES: [&str; 4] = ["http.request.method", "http.route", "rpc.service", "rpc.method"];

/// Longest name, in bytes; what is behind it is cut off, between characters.
pub const MAX_BYTES: usize = 256;

/// The parts that make the name: method and route, or RPC service and method, or the span's own name. A text that is empty
/// is one that is not there.
pub fn parts<'a>(names: [Option<&'a str>; 4], span: &'a str) -> [&'a str; 3] {
    match names {
        [Some(method), Some(route), ..] => [method, " ", route],
        [_, _, Some(service), Some(method)] => [service, "/", method],
        _ => [span, "", ""],
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn given_what_a_span_says_then_route_goes_before_method_and_that_before_its_name() {
        for (names, expected) in [
            ([Some("POST"), Some("/v1/ocr"), Some("ocr.V1"), Some("Read")], "POST /v1/ocr"),
            ([Some("POST"), None, Some("ocr.V1"), Some("Read")], "ocr.V1/Read"),
            ([Some("POST"), None, Some("ocr.V1"), None], "recognize"),
            ([None; 4], "recognize"),
        ] {
            assert_eq!(parts(names, "recognize").concat(), expected, "{names:?}");
        }
    }
}
