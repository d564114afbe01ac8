//! Addresses of electronic mail, around their `@`.

use super::bytes::skip_escape;

/// The address whose at-sign, of `width` bytes, stands at `at`.
pub(super) fn find(text: &str, at: usize, width: usize) -> Option<(usize, usize)> {
    let start = local_start(text, at)?;
    let domain = &text[at + width..];
    let length = domain_length(domain)?;
    // `logo@2x.png` is the name of an image.
    let is_image = ["png", "jpg", "jpeg", "gif", "webp", "svg", "css"]
        .iter()
        .any(|end| domain[..length].rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(end)));
    (!is_image).then_some((start, at + width + length))
}

fn local_start(text: &str, at: usize) -> Option<usize> {
    // Text without spaces may stand before an address, so ideographs belong to it only where nothing else does.
    let start = back(text, at, |c| is_local(c) && !is_ideograph(c));
    let start = trimmed(text, start, at).or_else(|| trimmed(text, back(text, at, is_local), at))?;
    Some(start)
}

/// Characters at most of a local part (RFC 5321).
const LOCAL_REACH: usize = 64;

fn back(text: &str, at: usize, of: impl Fn(char) -> bool) -> usize {
    text[..at].char_indices().rev().take_while(|(_, c)| of(*c)).take(LOCAL_REACH).last().map_or(at, |(start, _)| start)
}

/// Behind the escape or the punctuation that `start..at` begins with; none if nothing is left.
fn trimmed(text: &str, start: usize, at: usize) -> Option<usize> {
    let start = skip_escape(text.as_bytes(), start);
    let local = text.get(start..at)?;
    let rest = local.trim_start_matches(['.', '-', '+', '%']);
    rest.contains(char::is_alphanumeric).then_some(at - rest.len())
}

fn is_local(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-')
}

/// Scripts that are written without spaces.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{9FFF}' | '\u{A000}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Length of the domain that `text` begins with: two labels or more, the last one a plausible top-level domain.
fn domain_length(text: &str) -> Option<usize> {
    let mut found = None;
    let mut at = 0;
    loop {
        let is_first = at == 0;
        let label = &text[at..];
        let label = &label[..label.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(label.len())];
        let top = if is_first { 0 } else { top_length(label) };
        if top > 0 {
            found = Some(at + top);
        }
        at += label.len();
        let ended = label.is_empty() || top > 0 && top < label.len();
        if ended || !text[at..].starts_with('.') {
            return found;
        }
        at += 1;
    }
}

/// Top-level domains in Chinese; text may follow them without a space.
const CHINESE_TOPS: [&str; 24] = [
    "中国",
    "中國",
    "公司",
    "网络",
    "網絡",
    "香港",
    "台湾",
    "台灣",
    "在线",
    "中文网",
    "网址",
    "网站",
    "商城",
    "我爱你",
    "新加坡",
    "游戏",
    "商店",
    "移动",
    "政务",
    "公益",
    "集团",
    "信息",
    "企业",
    "手机",
];

/// How much of `label` is a top-level domain.
fn top_length(label: &str) -> usize {
    if label.len() > 4 && label[..label.floor_char_boundary(4)].eq_ignore_ascii_case("xn--") {
        return label.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(label.len());
    }
    if label.starts_with(is_ideograph) {
        return CHINESE_TOPS.iter().find(|top| label.starts_with(**top)).map_or(0, |top| top.len());
    }
    let ascii = label.starts_with(|c: char| c.is_ascii());
    let of = |c: char| if ascii { c.is_ascii_alphabetic() } else { c.is_alphabetic() && !is_ideograph(c) };
    let length = label.find(|c: char| !of(c)).unwrap_or(label.len());
    let closed = !label[length..].starts_with(|c: char| c.is_ascii_digit());
    let letters = label[..length].chars().take(25).count();
    if closed && (2..=24).contains(&letters) { length } else { 0 }
}
