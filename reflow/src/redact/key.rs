//! The key that makes pseudonyms.

use std::fmt;

use ring::{hmac, rand};

const KEY_BYTES: usize = 32;

/// A secret of 32 bytes. Equal values get equal pseudonyms under one key, and unrelated ones under another.
#[derive(Clone)]
pub struct HmacKey {
    bytes: [u8; KEY_BYTES],
    key: hmac::Key,
}

/// No key could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no key; it is not shown, since it may be most of one.
    #[error("invalid HMAC key: expected 64 hexadecimal digits")]
    NotHex,
    /// The operating system gives no random bytes.
    #[error("cannot generate an HMAC key: the operating system's random source failed")]
    NoRandomness,
}

impl HmacKey {
    /// A new key from the operating system's random source.
    pub fn generate() -> Result<Self, KeyError> {
        let bytes = rand::generate::<[u8; KEY_BYTES]>(&rand::SystemRandom::new());
        Ok(Self::from_bytes(bytes.map_err(|_| KeyError::NoRandomness)?.expose()))
    }

    /// Reads what [`to_hex`](Self::to_hex) wrote; space around it is ignored.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| KeyError::NotHex)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The secret itself, to be written where only the owner reads.
    pub fn to_hex(&self) -> String {
        hex::encode(self.bytes)
    }

    /// HMAC-SHA-256 of `value` in 64 hexadecimal digits.
    pub fn sign(&self, value: &[u8]) -> String {
        hex::encode(hmac::sign(&self.key, value))
    }

    fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self { bytes, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_never_shown() {
        let key = HmacKey::generate().unwrap();
        let again = HmacKey::from_hex(&format!("{}\n", key.to_hex())).unwrap();
        assert_eq!(key.sign(b"value"), again.sign(b"value"));
        assert_ne!(key.sign(b"value"), HmacKey::generate().unwrap().sign(b"value"));
        assert_eq!(format!("{key:?}"), "HmacKey");
        for text in ["", "abc", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
            assert_eq!(HmacKey::from_hex(text).unwrap_err(), KeyError::NotHex, "{text}");
        }
    }

    #[test]
    fn the_hmac_is_the_one_of_rfc_4231() {
        // Test case 2 of RFC 4231 with its key padded to 32 bytes: zeros at the end do not change an HMAC.
        let key = HmacKey::from_hex(&format!("{}{}", hex::encode("Jefe"), "0".repeat(56))).unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(key.sign(b"what do ya want for nothing?"), expected);
    }
}
