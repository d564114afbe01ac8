//! What holds for every span.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// JSON whose keys are those that mean something.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        select(vec![
            "text",
            "tool_call",
            "tool_result",
            "image",
            "blob",
            "user",
            "thinking",
            "tool",
            "[{\"text\":\"a\"}]",
            "{\"",
            ""
        ])
        .prop_map(Json::from),
        ".{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        let keys = vec![
            "role",
            "content",
            "parts",
            "type",
            "text",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "id",
            "message",
            "messages",
            "choices",
            "toolUse",
            "functionResponse",
            "source",
            "url",
            "index",
            "output",
            "input",
            "image",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            proptest::collection::hash_map(select(keys), inner, 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, json)| (key.to_owned(), json)).collect()),
        ]
    })
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let key = select(vec![
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt",
        "gen_ai.prompt.0",
        "gen_ai.prompt.0.role",
        "gen_ai.prompt.18446744073709551616.content",
        "gen_ai.completion.0.content",
        "content",
        "message",
        "message.content",
        "llm.input_messages.0.message.role",
        "llm.input_messages..message",
        "llm.output_messages.1.message.content",
        "input.value",
        "output.value",
        "gen_ai.tool.definitions",
        "llm.tools.0.tool.json_schema",
        "gen_ai.event.content",
        "index",
        "role",
        "gen_ai.response.finish_reasons",
        "tool_calls",
        "id",
    ]);
    proptest::collection::vec((key, any_json(), any::<bool>()), 0..6).prop_map(|attributes| {
        let text = |(key, json, as_text): (&str, Json, bool)| {
            Some((key.to_owned(), value(if as_text { json.to_string().into() } else { json })?))
        };
        attributes.into_iter().filter_map(text).collect()
    })
}

fn any_events() -> impl Strategy<Value = Vec<(String, Attributes)>> {
    let name = select(vec![
        "gen_ai.user.message",
        "gen_ai.tool.message",
        "gen_ai.choice",
        "gen_ai.content.prompt",
        "gen_ai.content.completion",
        "gen_ai.client.inference.operation.details",
    ]);
    proptest::collection::vec((name.prop_map(str::to_owned), any_attributes()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_span_makes_it_panic(span in any_attributes(), events in any_events()) {
        if let Some(chat) = messages(&span, &events) {
            prop_assert!(!chat.messages.is_empty());
            prop_assert!(chat.answers <= chat.messages.len());
            for message in &chat.messages {
                prop_assert!(["system", "user", "assistant", "tool"].contains(&message.role.as_str()));
            }
            let line = serde_json::to_string(&chat).unwrap();
            prop_assert!(line.starts_with("{\"messages\":[{\"role\":") && !line.contains('\n'), "{}", line);
        }
    }

    #[test]
    fn plain_text_comes_out_as_it_went_in(question in "[a-z中文 ?]{1,40}", answer in "[a-z中文 .]{1,40}") {
        let span = json!({"gen_ai.prompt.0.content": question, "gen_ai.completion.0.content": answer});
        let chat = chat(span, json!([])).unwrap();
        prop_assert_eq!(chat.messages, [Message::text("user", question), Message::text("assistant", answer)]);
    }
}
