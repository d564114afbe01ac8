//! WeCom's group robot: markdown of at most 4,096 bytes; the key in the address is all that it asks for.

use serde_json::json;

use super::super::group::Delivery;
use super::super::template::Texts;
use super::text::{self, Markup};
use super::{Post, RobotConfig};

/// Bytes of a message.
const MOST: usize = 4096;

const MARKUP: Markup = Markup {
    bold: |text| format!("**{text}**"),
    link: |text, url| format!("[{text}]({url})"),
    plain,
    newline: "\n",
    most: MOST,
};

/// Without what the chat would read as a tag, such as a mention: it has no way to write these signs as themselves.
pub(super) fn plain(text: &str) -> String {
    text.replace('<', "＜").replace('>', "＞")
}

pub(super) fn post(config: &RobotConfig, delivery: &Delivery, texts: &Texts<'_>) -> Result<Post, String> {
    let mentions = if text::is_firing(delivery) { config.mention.as_slice() } else { &[] };
    let mentions: Vec<String> = mentions.iter().map(|who| format!("<@{who}>")).collect();
    let mentions = mentions.concat();
    let mentions = text::cut(&mentions, MOST / 2);
    let title = texts.of("title", config.title.as_deref(), "wecom.default.title");
    let text = texts.of("text", config.text.as_deref(), "wechat.default.message");
    let title = match (title, &text) {
        (Some(title), _) => title,
        // What the user wrote is the whole message.
        (None, Some(_)) => String::new(),
        (None, None) => (MARKUP.bold)(&plain(&text::title(delivery, config.language))),
    };
    let title = text::cut(&title, MOST / 2);
    let rest = Markup { most: MOST.saturating_sub(title.len() + mentions.len() + 2), ..MARKUP };
    let text = text.unwrap_or_else(|| text::alerts(delivery, config.language, rest));
    let content = format!("{title}\n{}\n{mentions}", text::noted(text, rest, texts));
    let body = json!({"msgtype": "markdown", "markdown": {"content": content.trim()}});
    Ok(Post { url: config.url.read()?, body })
}
