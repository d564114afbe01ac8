//! One private key in PEM (RFC 7468): what a file of `openssl genpkey` has, and what it reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const LINE: usize = 64;

pub(super) fn encode(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("{BEGIN}\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(LINE.min(rest.len()));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem + END + "\n"
}

/// What stands between the first two marks; `None` where they or the digits between them are wrong.
pub(super) fn decode(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (text, _) = rest.split_once(END)?;
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
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
