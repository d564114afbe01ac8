//! WeCom's group robot: markdown of at most 4,096 bytes; the key in the address is all that it asks for.

use serde_json::json;

use super::super::group::Delivery;
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

pub(super) fn post(config: &RobotConfig, delivery: &Delivery) -> Result<Post, String> {
    let title = (MARKUP.bold)(&plain(&text::title(delivery, config.language)));
    let mentions = if text::is_firing(delivery) { config.mention.as_slice() } else { &[] };
    let mentions: Vec<String> = mentions.iter().map(|who| format!("<@{who}>")).collect();
    let mentions = mentions.concat();
    let mentions = text::cut(&mentions, MOST / 2);
    let rest = Markup { most: MOST.saturating_sub(title.len() + mentions.len() + 2), ..MARKUP };
    let content = format!("{title}\n{}\n{mentions}", text::alerts(delivery, config.language, rest));
    let body = json!({"msgtype": "markdown", "markdown": {"content": content.trim_end()}});
    Ok(Post { url: config.url.read()?, body })
}
