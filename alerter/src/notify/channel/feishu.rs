//! Feishu's and Lark's group robot: a card, signed by HMAC-SHA256 of nothing, with the time in seconds and the secret as
//! its key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;

use super::super::group::Delivery;
use super::super::template::Texts;
use super::text::{self, Markup};
use super::{Post, RobotConfig};

/// A request may have 20 KB.
const MARKUP: Markup = Markup {
    bold: |text| format!("**{text}**"),
    link: |text, url| format!("[{text}]({url})"),
    plain,
    newline: "\n",
    most: 14_000,
};

/// What is markdown's, as the card's documentation has it written.
fn plain(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '*' | '~' | '[' | ']' | '`' => {
                made.push_str("&#");
                made.push_str(&u32::from(c).to_string());
                made.push(';');
            }
            other => made.push(other),
        }
    }
    made
}

pub(super) fn post(config: &RobotConfig, delivery: &Delivery, texts: &Texts<'_>) -> Result<Post, String> {
    let firing = text::is_firing(delivery);
    let title = texts.of("title", config.title.as_deref(), "feishu.default.title");
    let title = title.unwrap_or_else(|| text::title(delivery, config.language));
    let text = texts.of("text", config.text.as_deref(), "feishu.default.message");
    let text = text.unwrap_or_else(|| text::alerts(delivery, config.language, MARKUP));
    let mut content = text::noted(text, MARKUP, texts);
    if firing {
        for who in &config.mention {
            content.push_str("\n<at id=");
            content.push_str(who);
            content.push_str("></at>");
        }
    }
    let mut body = json!({
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": true},
            "header": {
                "title": {"tag": "plain_text", "content": title},
                "template": if firing { "red" } else { "green" },
            },
            "elements": [{"tag": "markdown", "content": content}],
        },
    });
    if let Some(secret) = &config.secret {
        let seconds = texts.now_ms.div_euclid(1000);
        let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{seconds}\n{}", secret.read()?).as_bytes());
        body["timestamp"] = json!(seconds.to_string());
        body["sign"] = json!(STANDARD.encode(hmac::sign(&key, b"")));
    }
    Ok(Post { url: config.url.read()?, body })
}
