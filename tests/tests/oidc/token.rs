//! The parts of a token, for tests that read or forge it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// Header, claims and signature.
pub(crate) struct Token {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    signature: String,
}

impl Token {
    pub(crate) fn read(text: &str) -> Self {
        let [header, claims, signature] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
        let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        Self { header: json(header), claims: json(claims), signature: signature.to_owned() }
    }

    /// With a signature that may not fit any more.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.signed_part(), self.signature)
    }

    /// Without a signature, and with an algorithm that needs none.
    pub(crate) fn unsigned(&self, algorithm: &str) -> String {
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": self.header["kid"] });
        let token = Self { header, claims: self.claims.clone(), signature: String::new() };
        token.text()
    }

    /// Signed with a shared secret.
    pub(crate) fn hs256(&self, secret: &[u8]) -> String {
        let header = json!({ "alg": "HS256", "typ": "JWT", "kid": self.header["kid"] });
        let mut token = Self { header, claims: self.claims.clone(), signature: String::new() };
        let key = EncodingKey::from_secret(secret).unwrap();
        token.signature = crypto::sign(token.signed_part().as_bytes(), &key, Algorithm::HS256).unwrap();
        token.text()
    }

    fn signed_part(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }
}
