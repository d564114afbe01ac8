//! The OpenTelemetry conventions of before, and what grew from them.

use super::*;

const CALL: &str =
    r#"[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"location\":\"Paris\"}"}}]"#;

fn call() -> Json {
    serde_json::from_str(CALL).unwrap()
}

#[test]
fn events_of_messages_are_read_in_order() {
    let expected = json!({"messages": [
        {"role": "system", "content": "You are a bot"},
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": "", "tool_calls": call()},
        {"role": "tool", "content": "rainy", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "It rains."},
    ]});
    let events = |calls: Json, choice: Json| {
        json!([
            ["gen_ai.system.message", {"gen_ai.system": "openai", "content": "You are a bot"}],
            ["gen_ai.user.message", {"gen_ai.system": "openai", "content": "Weather in Paris?", "role": "customer"}],
            ["gen_ai.assistant.message", {"tool_calls": calls}],
            ["gen_ai.tool.message", {"id": "call_1", "content": "rainy"}],
            ["unrelated", {"content": "nothing"}],
            ["gen_ai.choice", choice],
        ])
    };
    let choices = [
        json!({"index": 0, "finish_reason": "stop", "message": {"content": "It rains.", "role": "assistant"}}),
        json!({"index": 0, "finish_reason": "stop", "message": "{\"content\":\"It rains.\"}"}),
        json!({"finish_reason": "stop", "message": "It rains."}),
        json!({"finish_reason": "stop", "message.content": "It rains.", "message.role": "assistant"}),
        json!({"finish_reason": "stop", "content": "It rains."}),
        json!({"finish_reason": "stop", "message": "[{\"text\": \"It rains.\"}]"}),
        json!({"gen_ai.event.content": "{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"content\":\"It rains.\"}}"}),
        json!({"body": {"index": 0, "finish_reason": "stop", "message": {"content": "It rains."}}}),
    ];
    for choice in choices {
        for calls in [call(), json!(CALL)] {
            let chat = check(json!({"gen_ai.request.model": "gpt-4"}), events(calls, choice.clone()), expected.clone());
            assert_eq!(chat.finish_reason.as_deref(), Some("stop"), "{choice}");
        }
    }
}

#[test]
fn choices_of_calls_and_of_several_indexes() {
    let events = json!([
        ["gen_ai.user.message", {"content": "Weather?"}],
        ["gen_ai.choice", {"index": 0, "finish_reason": "tool_calls", "message": {"tool_calls": call()}}],
        ["gen_ai.choice", {"index": 1, "finish_reason": "stop", "message": {"content": "Where?"}}],
        ["gen_ai.choice", {"index": 1, "finish_reason": "stop", "message": {"content": "Where?"}}],
    ]);
    let expected = json!({"messages": [
        {"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "", "tool_calls": call()},
    ]});
    let chat = check(json!({}), events, expected);
    assert_eq!(chat.alternatives, [Message::text("assistant", "Where?")]);
    assert_eq!(chat.finish_reason.as_deref(), Some("tool_calls"));
}

#[test]
fn events_in_the_parts_of_bedrock() {
    let events = json!([
        ["gen_ai.user.message", {"content": "[{\"text\": \"hello\"}]"}],
        ["gen_ai.assistant.message", {"content": "[{\"toolUse\": {\"toolUseId\": \"t1\", \"name\": \"calc\", \"input\": {\"a\": 1}}}]"}],
        ["gen_ai.tool.message", {"id": "t1", "content": "[{\"toolResult\": {\"toolUseId\": \"t1\", \"content\": [{\"text\": \"2\"}]}}]"}],
        ["gen_ai.choice", {"message": "[{\"text\": \"hi\"}]"}],
    ]);
    let expected = json!({"messages": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "calc", "arguments": "{\"a\":1}"}},
        ]},
        {"role": "tool", "content": "2", "tool_call_id": "t1"},
        {"role": "assistant", "content": "hi"},
    ]});
    check(json!({}), events, expected);
}

#[test]
fn events_whose_content_was_not_captured_are_no_chat() {
    let events = json!([
        ["gen_ai.user.message", {"gen_ai.system": "openai"}],
        ["gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"}}],
    ]);
    assert_eq!(chat(json!({}), events), None);
}

#[test]
fn prompt_and_completion_flattened() {
    let span = json!({
        "gen_ai.prompt.prompt_filter_results": "[]",
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "You are a bot",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "[{\"type\": \"text\", \"text\": \"Weather?\"}]",
        "gen_ai.prompt.2.role": "assistant",
        "gen_ai.prompt.2.tool_calls.0.id": "call_1",
        "gen_ai.prompt.2.tool_calls.0.name": "get_weather",
        "gen_ai.prompt.2.tool_calls.0.arguments": "{\"location\":\"Paris\"}",
        "gen_ai.prompt.3.role": "tool",
        "gen_ai.prompt.3.tool_call_id": "call_1",
        "gen_ai.prompt.3.content": "rainy",
        "gen_ai.prompt.10.role": "user",
        "gen_ai.prompt.10.content": "and now?",
        "gen_ai.completion.0.role": "thinking",
        "gen_ai.completion.0.content": "Still raining.",
        "gen_ai.completion.1.role": "assistant",
        "gen_ai.completion.1.content": "It rains.",
        "gen_ai.completion.1.finish_reason": "stop",
    });
    let expected = json!({"messages": [
        {"role": "system", "content": "You are a bot"},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": call()},
        {"role": "tool", "content": "rainy", "tool_call_id": "call_1"},
        {"role": "user", "content": "and now?"},
        {"role": "assistant", "content": "It rains.", "reasoning_content": "Still raining."},
    ]});
    let chat = check(span, json!([]), expected);
    assert_eq!((chat.finish_reason.as_deref(), chat.answers), (Some("stop"), 1));
}

#[test]
fn prompt_and_completion_as_text_or_json_on_span_and_events() {
    let expected =
        json!({"messages": [{"role": "user", "content": "What is AI?"}, {"role": "assistant", "content": "A field."}]});
    let prompts = [json!("What is AI?"), json!("[{\"role\":\"user\",\"content\":\"What is AI?\"}]")];
    let completions = [json!("A field."), json!("{\"role\":\"assistant\",\"content\":\"A field.\"}")];
    for (prompt, completion) in prompts.into_iter().zip(completions) {
        let span = json!({"gen_ai.prompt": prompt, "gen_ai.completion": completion});
        check(span, json!([]), expected.clone());
        let events = json!([
            ["gen_ai.content.prompt", {"gen_ai.prompt": prompt}],
            ["gen_ai.content.completion", {"gen_ai.completion": completion}],
        ]);
        check(json!({}), events, expected.clone());
    }
}
