//! Secrets and look-alikes by the thousand, the same in every run.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Pattern;

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    pub(super) fn text(&mut self, alphabet: &str, length: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length).map(|_| letters[self.below(letters.len() as u64) as usize]).collect()
    }

    pub(super) fn digits(&mut self, length: usize) -> String {
        self.text("0123456789", length)
    }

    pub(super) fn hex(&mut self, length: usize) -> String {
        self.text("0123456789abcdef", length)
    }
}

pub(super) const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A secret of the pattern as it may be written, and the part of it that must not be left.
pub(super) fn secret(random: &mut Random, pattern: Pattern) -> (String, String) {
    let (written, core) = match pattern {
        Pattern::PhoneCn => phone(random),
        Pattern::IdCn => identity(random),
        Pattern::BankCard => card(random),
        Pattern::Email => {
            let local = random.text(LOWER, 8);
            let domain = random.one(&["example.com", "mail.qq.com", "公司.中国", "163.com", "bücher.de"]);
            (format!("{local}@{domain}"), local)
        }
        Pattern::Ip => {
            let (a, b) = (random.next(), random.next());
            // The lead keeps it from being all zeros, which nobody would miss.
            let four = Ipv4Addr::from((a as u32) | 0x0100_0000).to_string();
            let six = Ipv6Addr::from(u128::from(a | 1 << 63) << 64 | u128::from(b)).to_string();
            let ip = if a.is_multiple_of(2) { four } else { six };
            (ip.clone(), ip)
        }
        Pattern::Bearer => {
            let token = random.text(ALPHANUMERIC, 40);
            let jwt = format!("eyJ{}.eyJ{}.{}", random.text(ALPHANUMERIC, 20), random.text(ALPHANUMERIC, 30), token);
            match random.below(3) {
                0 => (format!("Authorization: Bearer {token}"), token),
                1 => (format!("bearer {token}"), token),
                _ => (jwt.clone(), jwt),
            }
        }
        Pattern::ApiKey => api_key(random),
    };
    (written, core)
}

fn phone(random: &mut Random) -> (String, String) {
    let (head, middle, tail) = (random.below(7) + 3, random.digits(5), random.digits(4));
    let number = format!("1{head}{middle}{tail}");
    let prefix = random.one(&["", "", "+86", "+86 ", "0086", "0086 ", "86-", "86"]);
    let separator = random.one(&["", "", " ", "-"]);
    let groups = [&number[..3], &number[3..7], &number[7..]].join(separator);
    if random.below(8) == 0 {
        let wide: String = number.chars().map(wide).collect();
        return (wide.clone(), wide);
    }
    (format!("{prefix}{groups}"), groups)
}

/// A digit in full width.
fn wide(digit: char) -> char {
    char::from_u32(u32::from(digit) - u32::from('0') + 0xFF10).unwrap()
}

fn identity(random: &mut Random) -> (String, String) {
    let region = random.one(&["110105", "440524", "310101", "510104", "650102", "810000"]);
    let (month, day) = (random.below(12) + 1, random.below(28) + 1);
    if random.below(6) == 0 {
        let old = format!("{region}{:02}{month:02}{day:02}{}", random.below(100), random.digits(3));
        return (old.clone(), old);
    }
    let body = format!("{region}{}{month:02}{day:02}{}", 1930 + random.below(90), random.digits(3));
    let check = check_digit(&body);
    let number = format!("{body}{}", if random.below(2) == 0 { check.to_ascii_lowercase() } else { check });
    (number.clone(), number)
}

/// ISO 7064, MOD 11-2, from the table of GB 11643.
pub(super) fn check_digit(body: &str) -> char {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: usize = body.bytes().zip(weights).map(|(digit, weight)| usize::from(digit - b'0') * weight).sum();
    char::from(b"10X98765432"[sum % 11])
}

fn card(random: &mut Random) -> (String, String) {
    let (head, length) = match random.below(7) {
        0 => ("4", 16),
        1 => ("53", 16),
        2 => ("37", 15),
        3 => ("3528", 16),
        4 => ("6011", 16),
        5 => ("622202", 19),
        _ => ("2300", 16),
    };
    let number = with_luhn(&format!("{head}{}", random.digits(length - head.len() - 1)));
    let separator = random.one(&["", " ", "-"]);
    let groups = if length == 15 { vec![&number[..4], &number[4..10], &number[10..]] } else { fours(&number) };
    let grouped = groups.join(separator);
    (grouped.clone(), grouped)
}

fn fours(number: &str) -> Vec<&str> {
    (0..number.len()).step_by(4).map(|at| &number[at..number.len().min(at + 4)]).collect()
}

/// The digits and their check digit by Luhn.
pub(super) fn with_luhn(body: &str) -> String {
    let double = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let sum: usize = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = usize::from(byte - b'0');
            if at % 2 == 0 { double[digit] } else { digit }
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn api_key(random: &mut Random) -> (String, String) {
    let key = match random.below(14) {
        0 => format!("sk-{}", random.text(ALPHANUMERIC, 48)),
        1 => format!("sk-ant-api03-{}", random.text(ALPHANUMERIC, 40)),
        2 => format!("sk-proj-{}", random.text(ALPHANUMERIC, 40)),
        3 => format!("AKIA{}", random.text(UPPER, 16)),
        4 => format!("ghp_{}", random.text(ALPHANUMERIC, 36)),
        5 => format!("github_pat_{}", random.text(ALPHANUMERIC, 60)),
        6 => format!("xoxb-{}-{}", random.digits(12), random.text(ALPHANUMERIC, 24)),
        7 => format!("AIza{}", random.text(ALPHANUMERIC, 35)),
        8 => format!("glpat-{}", random.text(ALPHANUMERIC, 20)),
        9 => format!("hf_{}", random.text(ALPHANUMERIC, 34)),
        10 => format!("weir_{}", random.text(ALPHANUMERIC, 43)),
        11 => format!("LTAI{}", random.text(ALPHANUMERIC, 20)),
        12 => format!("AKID{}", random.text(ALPHANUMERIC, 32)),
        _ => {
            let value = random.text(ALPHANUMERIC, 12);
            let name = random.one(&["api_key=", "apikey: ", "password=", "client_secret = ", "密码："]);
            return (format!("{name}{value}"), value);
        }
    };
    (key.clone(), key)
}
