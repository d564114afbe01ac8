//! Finds what the built-in patterns describe, in one pass.
//!
//! Most bytes of a text begin nothing: a table says which may, and only there a pattern looks around. Each looks over a
//! bounded stretch, or over one that no other look has to read again, so the time is linear in the text.

mod assigned;
mod bytes;
mod card;
mod digits;
mod email;
mod identity;
mod ip;
mod phone;
mod token;

pub(super) use assigned::Name;

use super::rule::Pattern;
use bytes::{digit_at, escape_width, run};

/// What found a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A built-in pattern.
    Pattern(Pattern),
    /// The expression of that number.
    Expression(usize),
}

impl Kind {
    /// What placeholders call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pattern(pattern) => pattern.name(),
            Self::Expression(_) => "expression",
        }
    }
}

/// A range of a text that is to be replaced; both ends are boundaries of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
}

/// Looks for a set of patterns.
#[derive(Debug)]
pub(super) struct Scanner {
    wanted: [bool; Pattern::ALL.len()],
    /// Bytes at which there is something to look at.
    triggers: [bool; 256],
}

impl Scanner {
    pub(super) fn new(patterns: impl Iterator<Item = Pattern>) -> Self {
        let mut scanner = Self { wanted: [false; Pattern::ALL.len()], triggers: [false; 256] };
        for pattern in patterns {
            scanner.wanted[pattern as usize] = true;
            let triggers: &[u8] = match pattern {
                Pattern::PhoneCn | Pattern::IdCn | Pattern::BankCard => b"0123456789[\\\xEF",
                Pattern::Email => b"@[\\\xEF",
                Pattern::Ip => b"0123456789:[\\",
                Pattern::Bearer => b"bBJ:=[\\",
                Pattern::ApiKey => b"-_KSIT:=[\\\xEF",
            };
            for byte in triggers {
                scanner.triggers[usize::from(*byte)] = true;
            }
        }
        scanner
    }

    pub(super) fn wants(&self, pattern: Pattern) -> bool {
        self.wanted[pattern as usize]
    }

    /// Adds what is found, in any order and with overlaps.
    pub(super) fn scan(&self, text: &str, hits: &mut Vec<Hit>) {
        let bytes = text.as_bytes();
        let mut pass = Pass { scanner: self, text, hits, chain: digits::Chain::default(), ip: ip::Progress::default() };
        let mut at = 0;
        while let Some(step) = bytes[at..].iter().position(|byte| self.triggers[usize::from(*byte)]) {
            at += step;
            at = pass.look(bytes, at).max(at + 1);
        }
    }
}

struct Pass<'a> {
    scanner: &'a Scanner,
    text: &'a str,
    hits: &'a mut Vec<Hit>,
    chain: digits::Chain,
    ip: ip::Progress,
}

impl Pass<'_> {
    /// Looks at a byte that may begin or hold something; gives where to go on.
    fn look(&mut self, bytes: &[u8], at: usize) -> usize {
        match bytes[at] {
            b'0'..=b'9' => self.numbers(bytes, at),
            0xEF => match bytes.get(at + 1..at + 3) {
                Some([0xBC, 0x90..=0x99]) => self.numbers(bytes, at),
                Some([0xBC, 0xA0]) => self.add(Pattern::Email, email::find(self.text, at, 3), at + 3),
                Some([0xBC, 0x9A]) => self.assigned(bytes, at, 3),
                _ => at + 3,
            },
            b'@' => self.add(Pattern::Email, email::find(self.text, at, 1), at + 1),
            b':' => {
                if self.scanner.wants(Pattern::Ip) {
                    let found = ip::find_v6(bytes, at, &mut self.ip);
                    self.add(Pattern::Ip, found, at);
                }
                self.assigned(bytes, at, 1)
            }
            b'=' => self.assigned(bytes, at, 1),
            b'-' => {
                let found = token::prefixed(bytes, at).or_else(|| token::private_key(bytes, at));
                self.add(Pattern::ApiKey, found, at + 1)
            }
            b'_' => self.add(Pattern::ApiKey, token::prefixed(bytes, at), at + 1),
            b'K' | b'S' | b'I' | b'T' => self.add(Pattern::ApiKey, token::capital(bytes, at), at + 1),
            b'b' | b'B' => self.add(Pattern::Bearer, token::bearer(bytes, at), at + 1),
            b'J' => self.add(Pattern::Bearer, token::jwt(bytes, at), at + 1),
            b'[' => at + placeholder_length(&bytes[at..]).unwrap_or(1),
            b'\\' => {
                let last = run(bytes, at, |byte| byte == b'\\') - 1;
                last + escape_width(&bytes[last..])
            }
            _ => at + 1,
        }
    }

    fn numbers(&mut self, bytes: &[u8], at: usize) -> usize {
        let end = self.chain.read(bytes, at);
        if self.scanner.wants(Pattern::Ip) && bytes.get(end) == Some(&b'.') {
            let found = ip::find_v4(bytes, self.chain.last_run(), &mut self.ip);
            self.add(Pattern::Ip, found, at);
        }
        if self.chain.digits() < 11 {
            return end;
        }
        for run in 0..self.chain.runs() {
            self.add(Pattern::PhoneCn, phone::find(bytes, &self.chain, run), at);
            self.add(Pattern::IdCn, identity::find(bytes, &self.chain, run), at);
            self.add(Pattern::BankCard, card::find(bytes, &self.chain, run), at);
        }
        end
    }

    fn assigned(&mut self, bytes: &[u8], at: usize, width: usize) -> usize {
        if let Some((start, end, pattern)) = assigned::find(bytes, at, width) {
            self.add(pattern, Some((start, end)), end);
        }
        at + width
    }

    /// Where to go on: behind a hit that begins at or before `next`, else at `next`.
    fn add(&mut self, pattern: Pattern, found: Option<(usize, usize)>, next: usize) -> usize {
        match found {
            Some((start, end)) if self.scanner.wants(pattern) => {
                self.hits.push(Hit { start, end, kind: Kind::Pattern(pattern) });
                if matches!(pattern, Pattern::ApiKey | Pattern::Bearer) { end } else { next }
            }
            _ => next,
        }
    }
}

/// Length of the placeholder of an earlier redaction that `bytes` begin with: `[email]` or `[email:` and 16 digits.
pub(super) fn placeholder_length(bytes: &[u8]) -> Option<usize> {
    let names = || Pattern::ALL.iter().map(|pattern| pattern.name()).chain(["expression", "redacted"]);
    let rest = bytes.strip_prefix(b"[")?;
    let name = names().find(|name| rest.starts_with(name.as_bytes()) && !is_name(rest.get(name.len())))?;
    let rest = &rest[name.len()..];
    let hmac = match rest {
        [b':', digits @ ..] if digits.len() > 16 && digits[..16].iter().all(u8::is_ascii_hexdigit) => 17,
        _ => 0,
    };
    (rest.get(hmac) == Some(&b']')).then_some(1 + name.len() + hmac + 1)
}

fn is_name(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'_')
}

/// The value that is the same however a hit was written, so that its pseudonym is too.
pub(super) fn normal(kind: Kind, text: &str) -> String {
    let Kind::Pattern(pattern) = kind else { return text.to_owned() };
    let bytes = text.as_bytes();
    let digits = || (0..bytes.len()).filter_map(|at| digit_at(bytes, at)).map(|(digit, _)| char::from(b'0' + digit));
    match pattern {
        Pattern::PhoneCn => {
            let all: String = digits().collect();
            all[all.len().saturating_sub(11)..].to_owned()
        }
        Pattern::IdCn => {
            let x = text.ends_with(['x', 'X', '\u{FF38}', '\u{FF58}']);
            digits().chain(x.then_some('X')).collect()
        }
        Pattern::BankCard => digits().collect(),
        Pattern::Email => text.replace('\u{FF20}', "@").to_lowercase(),
        Pattern::Ip => text.parse().map_or_else(|_| text.to_lowercase(), |ip: std::net::IpAddr| ip.to_string()),
        Pattern::Bearer | Pattern::ApiKey => text.to_owned(),
    }
}
