//! The current OpenTelemetry conventions.

use super::*;

fn inputs() -> Json {
    json!([
        {"role": "system", "parts": [{"type": "text", "content": "You are a helpful bot"}]},
        {"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]},
        {"role": "assistant", "parts": [
            {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"location": "Paris"}},
        ]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "rainy, 57°F"}]},
    ])
}

fn outputs() -> Json {
    json!([{"role": "assistant", "parts": [{"type": "text", "content": "It rains."}], "finish_reason": "stop"}])
}

fn expected() -> Json {
    json!({"messages": [
        {"role": "system", "content": "You are a helpful bot"},
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"location\":\"Paris\"}"}},
        ]},
        {"role": "tool", "content": "rainy, 57°F", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "It rains."},
    ]})
}

#[test]
fn messages_are_read_from_json_text_from_structures_and_from_the_event() {
    let text = json!({
        "gen_ai.request.model": "gpt-4",
        "gen_ai.response.model": "gpt-4-0613",
        "gen_ai.input.messages": inputs().to_string(),
        "gen_ai.output.messages": outputs().to_string(),
    });
    let chat = check(text, json!([]), expected());
    assert_eq!(
        (chat.model.as_deref(), chat.finish_reason.as_deref(), chat.answers),
        (Some("gpt-4-0613"), Some("stop"), 1)
    );
    let structured = json!({"gen_ai.input.messages": inputs(), "gen_ai.output.messages": outputs()});
    check(structured.clone(), json!([]), expected());
    check(json!({}), json!([["gen_ai.client.inference.operation.details", structured]]), expected());
    // A wrapper with a version, and a result as the schema called it before.
    let wrapped = inputs().to_string().replace("\"response\"", "\"result\"");
    let wrapped = format!("{{\"version\":\"0.1.0\",\"messages\":{wrapped}}}");
    let outputs = json!({"version": "0.1.0", "messages": outputs()});
    check(json!({"gen_ai.input.messages": wrapped, "gen_ai.output.messages": outputs}), json!([]), expected());
}

#[test]
fn instructions_come_first_and_parts_of_text_are_joined() {
    let span = json!({
        "gen_ai.system_instructions": [{"type": "text", "content": "Translate."}, {"type": "text", "content": "To French."}],
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Hello"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [
            {"type": "reasoning", "content": "A greeting."}, {"type": "text", "content": "Bonjour"},
        ]}],
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.tool.definitions": "[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}]",
    });
    let expected = json!({
        "messages": [
            {"role": "system", "content": "Translate.\nTo French."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Bonjour", "reasoning_content": "A greeting."},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    });
    let chat = check(span, json!([]), expected);
    assert_eq!(chat.finish_reason.as_deref(), Some("length"));
    let plain = json!({"gen_ai.system_instructions": "Be brief.", "gen_ai.input.messages": "Hello"});
    let expected =
        json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]});
    assert_eq!(check(plain, json!([]), expected).answers, 0);
}

#[test]
fn the_other_choices_are_alternatives() {
    let choice = |text: &str| json!({"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": "stop"});
    let span = json!({
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "A joke"}]}],
        "gen_ai.output.messages": [choice("one"), choice("two")],
    });
    let expected =
        json!({"messages": [{"role": "user", "content": "A joke"}, {"role": "assistant", "content": "one"}]});
    let chat = check(span, json!([]), expected);
    assert_eq!(chat.alternatives, [Message::text("assistant", "two")]);
}

#[test]
fn an_agent_s_calls_and_their_answers_stay_in_order() {
    let call = json!({"type": "tool_call", "id": "1", "name": "f", "arguments": null});
    let span = json!({
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "go"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "calling"}, call]},
            {"role": "user", "parts": [
                {"type": "tool_call_response", "id": "1", "result": {"ok": true}},
                {"type": "tool_call_response", "id": "2", "result": [{"type": "text", "text": "a"}]},
            ]},
            {"role": "assistant", "parts": [{"type": "text", "content": "done"}]},
        ],
    });
    let expected = json!({"messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "calling", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
        {"role": "tool", "content": "{\"ok\":true}", "tool_call_id": "1"},
        {"role": "tool", "content": "a", "tool_call_id": "2"},
        {"role": "assistant", "content": "done"},
    ]});
    assert_eq!(check(span, json!([]), expected).answers, 4);
}

#[test]
fn images_and_sounds_take_the_shape_of_openai() {
    let parts = json!([
        {"type": "text", "content": "What is this?"},
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
        {"type": "blob", "mime_type": "image/png", "content": "aGk="},
        {"type": "blob", "modality": "audio", "mime_type": "audio/mp3", "content": "aGk="},
        {"type": "file", "file_id": "f1"},
        {"type": "server_tool_call", "name": "code"},
    ]);
    let span = json!({"gen_ai.input.messages": [{"role": "user", "parts": parts}]});
    let expected = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        {"type": "file", "file_id": "f1"},
        {"type": "server_tool_call", "name": "code"},
    ]}]});
    check(span, json!([]), expected);
}

#[test]
fn json_that_was_cut_off_is_the_content_as_it_is() {
    let span = json!({
        "gen_ai.input.messages": "[{\"role\": \"user\", \"parts\": [{\"ty",
        "gen_ai.output.messages": "[{\"role\": \"assist",
    });
    let expected = json!({"messages": [
        {"role": "user", "content": "[{\"role\": \"user\", \"parts\": [{\"ty"},
        {"role": "assistant", "content": "[{\"role\": \"assist"},
    ]});
    check(span, json!([]), expected);
}

#[test]
fn a_span_without_messages_has_no_chat() {
    assert_eq!(chat(json!({}), json!([])), None);
    assert_eq!(chat(json!({"gen_ai.request.model": "gpt-4", "gen_ai.input.messages": "[]"}), json!([])), None);
    assert_eq!(chat(json!({"http.route": "/"}), json!([["exception", {"message": "no"}]])), None);
}

#[test]
fn a_convention_with_question_and_answer_comes_before_half_of_a_newer_one() {
    let span = json!({
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "new"}]}],
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "old question",
        "gen_ai.completion.0.content": "old answer",
    });
    let expected = json!({"messages": [
        {"role": "user", "content": "old question"}, {"role": "assistant", "content": "old answer"},
    ]});
    check(span, json!([]), expected);
}
