//! Parameters in the body of a POST: a JSON object or a form, as the same route takes them in its address with GET, so
//! that they may be long.

use axum::extract::Request;
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::Value;

use super::Problem;

/// Longest body with parameters, in bytes.
const MAX: usize = 1 << 20;

/// Names and values that came in the body; among the extensions of a request whose route takes them so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(pub Vec<(String, String)>);

/// Takes the parameters out of the body.
pub(super) async fn read(request: &mut Request) -> Result<Form, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = axum::body::to_bytes(std::mem::take(request.body_mut()), MAX).await;
    let body = body.map_err(|_| {
        let detail = format!("the parameters did not come whole, or have more than {MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    })?;
    parse(&kind, &body).map(Form)
}

fn parse(kind: &str, body: &Bytes) -> Result<Vec<(String, String)>, Problem> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    match kind {
        "application/json" => of_json(body),
        "application/x-www-form-urlencoded" => Ok(form_urlencoded::parse(body).into_owned().collect()),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the parameters as application/json or application/x-www-form-urlencoded",
        )),
    }
}

fn of_json(body: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let wrong = |why: String| Problem::new(StatusCode::BAD_REQUEST, format!("the body is no JSON object: {why}"));
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let mut pairs = Vec::new();
    for (name, value) in object {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(is) => is.to_string(),
            // A parameter that holds JSON may be written as what it is.
            Value::Object(_) => value.to_string(),
            Value::Array(_) => {
                let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                return Err(Problem::parameter(&shown, "give a text, a number, true or false"));
            }
        };
        pairs.push((name, text));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_is_too_long_is_refused() {
        let mut request = http::Request::post("/").body(axum::body::Body::from("x".repeat(MAX + 1))).unwrap();
        assert_eq!(read(&mut request).await.unwrap_err().status, 413);
    }

    #[test]
    fn parameters_are_read_of_a_json_object_and_of_a_form_and_anything_else_is_refused() {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect::<Vec<_>>();
        for (kind, body, right) in [
            (
                "application/json",
                r#"{"query":"a b","limit":7,"highlight":true,"end":null}"#,
                Ok(pairs(&[("highlight", "true"), ("limit", "7"), ("query", "a b")])),
            ),
            (
                "application/x-www-form-urlencoded",
                "query=a+%26&limit=7",
                Ok(pairs(&[("query", "a &"), ("limit", "7")])),
            ),
            ("", "", Ok(pairs(&[]))),
            ("application/json", "[1]", Err(400)),
            ("application/json", r#"{"query":["a"]}"#, Err(400)),
            ("text/plain", "query=a", Err(415)),
        ] {
            let read = parse(kind, &Bytes::from_static(body.as_bytes())).map_err(|problem| problem.status);
            assert_eq!(read, right, "{kind} {body}");
        }
    }
}
