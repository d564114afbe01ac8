//! One private key in PEM (RFC 7468): what a file of `openssl genpkey` has, and what it reads.

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const LINE: usize = 64;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(der: &[u8]) -> String {
    let mut text = String::new();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    let mut pem = format!("{BEGIN}\n");
    while !text.is_empty() {
        let rest = text.split_off(LINE.min(text.len()));
        pem.push_str(&text);
        pem.push('\n');
        text = rest;
    }
    pem + END + "\n"
}

/// What stands between the first two marks; `None` where they or the digits between them are wrong.
pub(super) fn decode(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (text, _) = rest.split_once(END)?;
    let text: String = text.split_ascii_whitespace().collect();
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut der = Vec::with_capacity(text.len() / 4 * 3);
    for four in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in four {
            bits = bits << 6 | u32::try_from(ALPHABET.iter().position(|known| known == digit)?).ok()?;
        }
        bits <<= 6 * (4 - four.len());
        der.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_keys_of_any_length_then_they_are_read_as_they_were_written() {
        for length in 0..200_u8 {
            let der: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            let pem = encode(&der);
            assert_eq!(decode(&pem), Some(der), "{pem}");
            assert!(pem.lines().all(|line| line.len() <= LINE));
        }
        // RFC 4648, section 10.
        for (text, base64) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(text.as_bytes()), format!("{BEGIN}\n{base64}\n{END}\n"));
        }
    }

    #[test]
    fn given_wrong_pem_then_it_is_refused() {
        for text in ["", "Zm9v", "-----BEGIN PRIVATE KEY-----\nZm9v\n"] {
            assert_eq!(decode(text), None, "{text}");
        }
        for base64 in ["Zm9", "Zm9v=", "Zm 9-", "Z===", "Zm9v====", "Zg=v"] {
            assert_eq!(decode(&format!("{BEGIN}\n{base64}\n{END}\n")), None, "{base64}");
        }
    }
}
