use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::Keycloak;

const REALM: &str = include_str!("../../keycloak/realm.json");

/// A realm of its own, with the users and the client `weir` of `tests/keycloak/realm.json`.
#[derive(Debug)]
pub struct Realm {
    keycloak: Arc<Keycloak>,
    name: String,
}

impl Realm {
    /// Creates one under a new name.
    pub async fn create(keycloak: &Arc<Keycloak>) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("weir-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let realm = Self { keycloak: Arc::clone(keycloak), name };
        realm.restore().await?;
        Ok(realm)
    }

    /// Creates it with new keys after its Keycloak was started again.
    pub async fn restore(&self) -> Result<()> {
        let mut realm: Value = serde_json::from_str(REALM)?;
        realm["realm"] = self.name.as_str().into();
        self.keycloak.admin(Method::POST, "", Some(&realm)).await?;
        Ok(())
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> String {
        self.keycloak.url(&format!("realms/{}", self.name))
    }

    /// An access token for a user, by the client `weir`.
    pub async fn token(&self, user: &str, password: &str) -> Result<String> {
        self.token_of("weir", user, password).await
    }

    /// An access token for a user, by a client.
    pub async fn token_of(&self, client: &str, user: &str, password: &str) -> Result<String> {
        self.keycloak.token(&self.name, client, user, password).await
    }

    /// Adds a client that is like `weir`, apart from the audience of its tokens and these attributes, such as
    /// `access.token.lifespan` and `access.token.signed.response.alg`.
    pub async fn add_client(&self, id: &str, audience: &str, attributes: &[(&str, &str)]) -> Result<()> {
        let mut realm: Value = serde_json::from_str(REALM)?;
        let mut client = realm["clients"][0].take();
        client["clientId"] = id.into();
        client["protocolMappers"][0]["config"]["included.custom.audience"] = audience.into();
        for &(name, value) in attributes {
            client["attributes"][name] = value.into();
        }
        self.admin(Method::POST, "/clients", Some(&client)).await?;
        Ok(())
    }

    /// Ends all sessions of a user: no token of theirs is renewed any more.
    pub async fn sign_out(&self, user: &str) -> Result<()> {
        let users = self.admin(Method::GET, &format!("/users?exact=true&username={user}"), None).await?;
        let id = users[0]["id"].as_str().context("no such user")?;
        self.admin(Method::POST, &format!("/users/{id}/logout"), None).await?;
        Ok(())
    }

    /// Adds an RSA key, which signs from now on. The older ones are still published.
    pub async fn rotate_key(&self) -> Result<()> {
        let newest = self.rsa_keys().await?.iter().map(priority).max().unwrap_or(0);
        let key = json!({
            "name": "rsa",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": { "priority": [(newest + 1).to_string()], "algorithm": ["RS256"] },
        });
        self.admin(Method::POST, "/components", Some(&key)).await?;
        Ok(())
    }

    /// Disables the RSA keys but the newest: they are not published any more.
    pub async fn disable_old_keys(&self) -> Result<()> {
        let mut keys = self.rsa_keys().await?;
        keys.sort_by_key(priority);
        keys.pop();
        for mut key in keys {
            key["config"]["enabled"] = json!(["false"]);
            let path = format!("/components/{}", key["id"].as_str().context("a key without an id")?);
            self.admin(Method::PUT, &path, Some(&key)).await?;
        }
        Ok(())
    }

    /// The public key of the tokens, as the base64 of its SubjectPublicKeyInfo.
    pub async fn public_key(&self) -> Result<String> {
        let realm = super::json(self.keycloak.client.get(self.issuer())).await?;
        Ok(realm["public_key"].as_str().context("no public key")?.to_owned())
    }

    async fn rsa_keys(&self) -> Result<Vec<Value>> {
        let path = "/components?type=org.keycloak.keys.KeyProvider";
        let Value::Array(mut keys) = self.admin(Method::GET, path, None).await? else { return Ok(Vec::new()) };
        keys.retain(|key| key["providerId"] == "rsa-generated");
        Ok(keys)
    }

    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        self.keycloak.admin(method, &format!("/{}{path}", self.name), body).await
    }
}

fn priority(key: &Value) -> u64 {
    key["config"]["priority"][0].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}
