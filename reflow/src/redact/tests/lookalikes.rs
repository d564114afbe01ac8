//! Ten thousand things that look like secrets and are none.

use super::generator::{ALPHANUMERIC, Random, check_digit, with_luhn};
use super::*;

const LOOKALIKES: usize = 10_000;
/// Share of them that has to be left alone.
const PRECISION: f64 = 0.99;

const KINDS: [&str; 20] = [
    "order number",
    "random order number",
    "seconds",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "wrong check digit of a card",
    "wrong check digit of an identity number",
    "version",
    "version of four parts",
    "hash",
    "uuid",
    "hex id",
    "price",
    "eleven digits",
    "ISO date",
    "fraction",
    "time and MAC",
    "random id",
    "phone of the wrong length",
];

fn lookalike(random: &mut Random, kind: usize) -> String {
    match kind {
        0 => format!("2024{:02}{:02}{}", random.below(12) + 1, random.below(28) + 1, random.digits(10)),
        // One in ten has the check digit of a card by chance, so some of those with an issuer's first digits are taken.
        1 => {
            let length = 12 + random.below(9) as usize;
            format!("{}{}", random.one(&["", "SO", "ORD-", "DD", "TB"]), random.digits(length))
        }
        2 => format!("{}", 1_600_000_000 + random.below(200_000_000)),
        3 => format!("{}", 1_600_000_000_000 + random.below(200_000_000_000)),
        4 => format!("{}", 1_600_000_000_000_000 + random.below(200_000_000_000_000)),
        5 => format!("{}", 1_600_000_000_000_000_000 + random.below(200_000_000_000_000_000)),
        6 => wrong(&with_luhn(&format!("62{}", random.digits(13)))),
        7 => {
            let body = format!("1101051980{:02}{:02}{}", random.below(12) + 1, random.below(28) + 1, random.digits(3));
            let right = check_digit(&body).to_digit(10).unwrap_or(0);
            format!("{body}{}", (right + 1 + random.below(8) as u32) % 10)
        }
        8 => format!("{}.{}.{}", random.below(30), random.below(100), random.below(1000)),
        9 => {
            let part = |random: &mut Random| random.below(30);
            let parts = [part(random), part(random), part(random), part(random)].map(|part| part.to_string()).join(".");
            match random.below(4) {
                0 => format!("v{parts}"),
                1 => format!("version {parts}"),
                2 => format!("{parts}.{}", random.below(30)),
                _ => format!("Chrome/{}.0.{}.{}", 80 + random.below(40), 1000 + random.below(5000), random.below(200)),
            }
        }
        10 => {
            let length = [32, 40, 64][random.below(3) as usize];
            random.hex(length)
        }
        11 => {
            let hex = random.hex(32);
            [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
        }
        12 => {
            let length = [16, 24][random.below(2) as usize];
            format!("{}{}", random.hex(length - 1), random.text("abcdef", 1))
        }
        13 => format!("¥{}.{:02}", random.below(100_000_000), random.below(100)),
        14 => format!("1{}{}", random.below(3), random.digits(9)),
        15 => format!(
            "2024-{:02}-{:02}T{:02}:{:02}:{:02}.{}Z",
            random.below(12) + 1,
            random.below(28) + 1,
            random.below(24),
            random.below(60),
            random.below(60),
            random.digits(6)
        ),
        16 => format!("0.{}", random.digits(16)),
        17 => {
            let hex = random.hex(12);
            let pairs: Vec<&str> = (0..6).map(|at| &hex[at * 2..at * 2 + 2]).collect();
            format!("{:02}:{:02}:{:02} {}", random.below(24), random.below(60), random.below(60), pairs.join(":"))
        }
        18 => format!("chatcmpl-{}", random.text(ALPHANUMERIC, 29)),
        _ => {
            let length = [8, 10][random.below(2) as usize];
            format!("1{}{}", 3 + random.below(7), random.digits(length))
        }
    }
}

/// The number with another last digit.
fn wrong(number: &str) -> String {
    let (body, last) = number.split_at(number.len() - 1);
    format!("{body}{}", (last.parse::<u32>().unwrap() + 3) % 10)
}

#[test]
fn lookalikes_are_left_alone() {
    let redactor = redactor(Method::Mask);
    let mut random = Random(3);
    let mut taken = [0_usize; KINDS.len()];
    for at in 0..LOOKALIKES {
        let kind = at % KINDS.len();
        let value = lookalike(&mut random, kind);
        let before = random.one(&["", "编号", "id: ", "value=", "(", "是 "]);
        let after = random.one(&["", "号", " ok", ",", ")", "。"]);
        let text = format!("{before}{value}{after}");
        if redactor.text(0, &text, &mut Counts::default()) != Redacted::Same {
            taken[kind] += 1;
            println!("{}: {text} -> {}", KINDS[kind], apply(&redactor, &text));
        }
    }
    let precision = 1.0 - taken.iter().sum::<usize>() as f64 / LOOKALIKES as f64;
    println!("precision: {:.2}% of {LOOKALIKES} look-alikes left alone", precision * 100.0);
    assert!(precision >= PRECISION, "{precision}, taken by kind: {taken:?}");
}
