//! OpenInference, flattened and as the provider's own request and response.

use super::*;

#[test]
fn messages_are_read_from_flattened_attributes() {
    let span = json!({
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-4o",
        "llm.input_messages.0.message.role": "system",
        "llm.input_messages.0.message.content": "You are a bot",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "What is in this image?",
        "llm.input_messages.1.message.contents.1.message_content.type": "image",
        "llm.input_messages.1.message.contents.1.message_content.image.image.url": "https://example.com/a.jpg",
        "llm.input_messages.2.message.role": "tool",
        "llm.input_messages.2.message.name": "multiply",
        "llm.input_messages.2.message.content": "2001",
        "llm.input_messages.2.message.tool_call_id": "call_1",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "Let me see.",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_2",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "multiply",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{\"a\": 23}",
        "llm.tools.0.tool.json_schema": "{\"type\":\"function\",\"function\":{\"name\":\"multiply\"}}",
        "output.value": "not this",
    });
    let expected = json!({
        "messages": [
            {"role": "system", "content": "You are a bot"},
            {"role": "user", "content": [
                {"type": "text", "text": "What is in this image?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
            ]},
            {"role": "tool", "name": "multiply", "content": "2001", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"id": "call_2", "type": "function", "function": {"name": "multiply", "arguments": "{\"a\": 23}"}},
            ]},
        ],
        "tools": [{"type": "function", "function": {"name": "multiply"}}],
    });
    assert_eq!(check(span, json!([]), expected).model.as_deref(), Some("gpt-4o"));
}

#[test]
fn items_of_one_answer_are_joined_and_choices_are_alternatives() {
    let span = |outputs: Json| {
        let mut span =
            json!({"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "go"});
        span.as_object_mut().unwrap().extend(outputs.as_object().unwrap().clone());
        span
    };
    let items = json!({
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "calling",
        "llm.output_messages.1.message.role": "assistant",
        "llm.output_messages.1.message.tool_calls.0.tool_call.function.name": "f",
    });
    let expected = json!({"messages": [{"role": "user", "content": "go"}, {"role": "assistant", "content": "calling",
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]}]});
    check(span(items), json!([]), expected);
    let choices = json!({
        "llm.output_messages.0.message.content": "one",
        "llm.output_messages.1.message.content": "two",
    });
    let expected = json!({"messages": [{"role": "user", "content": "go"}, {"role": "assistant", "content": "one"}]});
    assert_eq!(check(span(choices), json!([]), expected).alternatives, [Message::text("assistant", "two")]);
}

#[test]
fn requests_and_responses_of_providers_are_read() {
    let expected = json!({"messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
    ]});
    let openai = (
        json!({"model": "gpt-4o", "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}),
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}),
    );
    let responses = (
        json!({"instructions": "Be brief.", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]}),
        json!({"output": [{"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}]}),
    );
    let anthropic = (
        json!({"system": "Be brief.", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}),
        json!({"role": "assistant", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}),
    );
    let gemini = (
        json!({"system_instruction": {"parts": [{"text": "Be brief."}]}, "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
        json!({"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]}),
    );
    for (input, output) in [openai, responses, anthropic, gemini] {
        let span = json!({"input.value": input.to_string(), "output.value": output.to_string()});
        check(span, json!([]), expected.clone());
    }
}

#[test]
fn values_that_are_no_conversation() {
    let span = json!({"openinference.span.kind": "LLM", "input.value": "{\"query\": \"x\"}", "output.value": "42"});
    let expected =
        json!({"messages": [{"role": "user", "content": "{\"query\":\"x\"}"}, {"role": "assistant", "content": "42"}]});
    check(span, json!([]), expected);
    let plain = json!({"input.value": "[{\"text\":\"x\"}]", "input.mime_type": "text/plain", "output.value": "{\"cut"});
    let expected = json!({"messages": [{"role": "user", "content": "[{\"text\":\"x\"}]"}, {"role": "assistant", "content": "{\"cut"}]});
    check(plain, json!([]), expected);
    let retriever = json!({"openinference.span.kind": "RETRIEVER", "input.value": "x", "output.value": "y"});
    assert_eq!(chat(retriever, json!([])), None);
}

#[test]
fn calls_in_the_parts_of_anthropic_are_read() {
    let input = json!({"messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Ask."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "rain"}]},
            {"type": "text", "text": "So?"}]},
    ]});
    let expected = json!({"messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "reasoning_content": "Ask.", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
        ]},
        {"role": "tool", "content": "rain", "tool_call_id": "t1"},
        {"role": "user", "content": "So?"},
    ]});
    assert_eq!(check(json!({"input.value": input.to_string()}), json!([]), expected).answers, 0);
}
