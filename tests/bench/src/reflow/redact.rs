//! Redaction alone: text through the patterns of a capture.

use std::time::Instant;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::{Map, json};
use weir_reflow::redact::{Counts, HmacKey, Method, Pattern, Redactor, Rule};

use super::text;
use crate::{Ready, Work};

const PERSONAL: [Pattern; 3] = [Pattern::PhoneCn, Pattern::IdCn, Pattern::Email];
const TEXT_BYTES: usize = 1_000;
const TEXTS: usize = 1_000;

/// `mb_per_second` is of one core, by the patterns and by what is read: chat with nothing in it, the same as the messages
/// of a span (JSON), and chat with a phone number, an identity number, an address and keys in each thousand bytes.
pub(crate) fn redact(smoke: bool) -> anyhow::Result<Ready> {
    let passes = if smoke { 3 } else { 100 };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let chat: Vec<String> = (0..TEXTS).map(|_| text::chat(&mut rng, TEXT_BYTES)).collect();
    let secrets: Vec<String> = (0..TEXTS).map(|_| text::with_secrets(&mut rng, TEXT_BYTES)).collect();
    let message = |text: &String| json!([{"role": "user", "parts": [{"type": "text", "content": text}]}]).to_string();
    let messages: Vec<String> = chat.iter().map(message).collect();
    let key = HmacKey::generate()?;
    let sets = [("personal", &PERSONAL[..]), ("all", &Pattern::ALL[..])].map(|(name, patterns)| {
        let rule = Rule {
            field: "text".to_owned(),
            method: Method::Mask,
            patterns: patterns.to_vec(),
            expressions: Vec::new(),
        };
        (name, Redactor::new(&[rule], &["text"], &key))
    });
    Ok(Box::new(move || {
        let mut work = Work { records: 0, bytes: 0, more: Map::new() };
        let mut rates = Map::new();
        for (set, redactor) in sets {
            let redactor = redactor?;
            for (name, texts) in [("chat", &chat), ("messages", &messages), ("secrets", &secrets)] {
                let (mut counts, mut bytes, started) = (Counts::default(), 0, Instant::now());
                for text in (0..passes).flat_map(|_| texts) {
                    std::hint::black_box(redactor.text(0, text, &mut counts));
                    bytes += text.len() as u64;
                }
                let rate = bytes as f64 / started.elapsed().as_secs_f64() / 1e6;
                anyhow::ensure!(
                    (counts.total() > 0) == (name == "secrets"),
                    "{set} in {name}: {} found",
                    counts.total()
                );
                rates.insert(format!("{set}_{name}"), rate.round().into());
                work.records += (passes * texts.len()) as u64;
                work.bytes += bytes;
            }
        }
        work.more.insert("mb_per_second".to_owned(), rates.into());
        Ok(work)
    }))
}
