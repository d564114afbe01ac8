//! DingTalk's group robot: markdown, signed by HMAC-SHA256 over the time in milliseconds and the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;

use super::super::group::Delivery;
use super::super::template::Texts;
use super::text::{self, Markup};
use super::{Post, RobotConfig};

/// A message may have 20,000 bytes, its frame included.
const MARKUP: Markup = Markup {
    bold: |text| format!("**{text}**"),
    link: |text, url| format!("[{text}]({url})"),
    plain: super::wecom::plain,
    newline: "\n\n",
    most: 16_000,
};

pub(super) fn post(config: &RobotConfig, delivery: &Delivery, texts: &Texts<'_>) -> Result<Post, String> {
    let title = texts.of("title", config.title.as_deref(), "ding.link.title");
    let title = title.unwrap_or_else(|| text::title(delivery, config.language));
    let written = texts.of("text", config.text.as_deref(), "ding.link.content");
    let text = written.unwrap_or_else(|| {
        format!("### {}\n\n{}", (MARKUP.plain)(&title), text::alerts(delivery, config.language, MARKUP))
    });
    let mut text = text::noted(text, MARKUP, texts);
    let mut at = json!({"isAtAll": false});
    if text::is_firing(delivery) {
        let all = config.mention.iter().any(|who| who == "all");
        let mobiles: Vec<&str> = config.mention.iter().map(String::as_str).filter(|who| *who != "all").collect();
        // A number is mentioned only where it is in the text as well.
        for mobile in &mobiles {
            text.push_str(" @");
            text.push_str(mobile);
        }
        at = json!({"atMobiles": mobiles, "isAtAll": all});
    }
    let mut url = config.url.read()?;
    if let Some(secret) = &config.secret {
        let secret = secret.read()?;
        let now_ms = texts.now_ms;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let sign = STANDARD.encode(hmac::sign(&key, format!("{now_ms}\n{secret}").as_bytes()));
        let mut parsed = reqwest::Url::parse(&url).map_err(|_| "the address is no URL".to_owned())?;
        parsed.query_pairs_mut().append_pair("timestamp", &now_ms.to_string()).append_pair("sign", &sign);
        url = parsed.into();
    }
    let body = json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at});
    Ok(Post { url, body })
}
