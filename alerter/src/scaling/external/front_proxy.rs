//! Whom kube-apiserver vouches for: request-header authentication, as the cluster's ConfigMap
//! `kube-system/extension-apiserver-authentication` configures it. Pure.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};

const CLIENT_CA: &str = "requestheader-client-ca-file";
const ALLOWED: &str = "requestheader-allowed-names";
const USERS: &str = "requestheader-username-headers";
const UIDS: &str = "requestheader-uid-headers";
const GROUPS: &str = "requestheader-group-headers";
const EXTRA: &str = "requestheader-extra-headers-prefix";

/// How the front proxy is known, and what it says of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FrontProxy {
    /// Who signs its certificate, in PEM.
    pub(super) client_ca: String,
    /// Common names of its certificate; any where there are none.
    allowed: Vec<String>,
    users: Vec<HeaderName>,
    uids: Vec<HeaderName>,
    groups: Vec<HeaderName>,
    /// In lower case.
    extra: Vec<String>,
}

/// A user of the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl FrontProxy {
    /// Reads the ConfigMap; the error names the key.
    pub(super) fn read(data: &BTreeMap<String, String>) -> Result<Self, String> {
        let list = |key: &str| -> Result<Vec<String>, String> {
            let Some(text) = data.get(key) else { return Ok(Vec::new()) };
            serde_json::from_str(text).map_err(|error| format!("{key} is no list of texts: {error}"))
        };
        let headers = |key: &str| -> Result<Vec<HeaderName>, String> {
            let name = |text: String| text.parse().map_err(|_| format!("{key}: «{text}» is no name of a header"));
            list(key)?.into_iter().map(name).collect()
        };
        let missing = |key: &str| {
            format!("{key} is missing: kube-apiserver aggregates no other APIs before it has --requestheader-… flags")
        };
        let users = headers(USERS)?;
        if users.is_empty() {
            return Err(missing(USERS));
        }
        Ok(Self {
            client_ca: data.get(CLIENT_CA).cloned().ok_or_else(|| missing(CLIENT_CA))?,
            allowed: list(ALLOWED)?,
            users,
            uids: headers(UIDS)?,
            groups: headers(GROUPS)?,
            extra: list(EXTRA)?.into_iter().map(|prefix| prefix.to_ascii_lowercase()).collect(),
        })
    }

    /// The user that the client asks for. `client` is the common name of the client's certificate, which the listener has
    /// checked; `None` where it showed none.
    pub(super) fn user(&self, client: Option<&str>, headers: &HeaderMap) -> Result<User, String> {
        let right = "this API is asked through kube-apiserver, which shows the front proxy's certificate";
        let client = client.ok_or_else(|| format!("no client certificate was shown: {right}"))?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == client) {
            return Err(format!("the client certificate of «{client}» is not the front proxy's: {right}"));
        }
        let values = |names: &[HeaderName]| -> Vec<String> {
            let values = names.iter().flat_map(|name| headers.get_all(name));
            values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::to_owned).collect()
        };
        let first = |names| values(names).into_iter().find(|value| !value.is_empty());
        let name = first(&self.users).ok_or("the front proxy names no user")?;
        let mut extra = BTreeMap::<String, Vec<String>>::new();
        for (header, value) in headers {
            let key = self.extra.iter().find_map(|prefix| header.as_str().strip_prefix(prefix.as_str()));
            if let (Some(key), Ok(value)) = (key, std::str::from_utf8(value.as_bytes())) {
                extra.entry(decoded(key)).or_default().push(value.to_owned());
            }
        }
        let groups = values(&self.groups).into_iter().filter(|group| !group.is_empty()).collect();
        Ok(User { name, uid: first(&self.uids), groups, extra })
    }
}

/// A key that kube-apiserver wrote with `%` and two digits where a header may not have the character.
fn decoded(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let is_hex = |digits: &&[u8]| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit);
        let digits = behind.get(..2).filter(is_hex).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> BTreeMap<String, String> {
        let pairs = [
            (CLIENT_CA, "PEM"),
            (ALLOWED, r#"["front-proxy-client"]"#),
            (USERS, r#"["X-Remote-User"]"#),
            (UIDS, r#"["X-Remote-Uid"]"#),
            (GROUPS, r#"["X-Remote-Group"]"#),
            (EXTRA, r#"["X-Remote-Extra-"]"#),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_user_is_the_one_that_the_front_proxy_names() {
        let asked = headers(&[
            ("x-remote-user", "system:serviceaccount:kube-system:horizontal-pod-autoscaler"),
            ("x-remote-uid", "1"),
            ("x-remote-group", "system:serviceaccounts"),
            ("x-remote-group", "system:authenticated"),
            ("x-remote-extra-authentication.kubernetes.io%2fpod-name", "hpa"),
            ("x-other", "x"),
        ]);
        let user = FrontProxy::read(&map()).unwrap().user(Some("front-proxy-client"), &asked).unwrap();
        assert_eq!(user.name, "system:serviceaccount:kube-system:horizontal-pod-autoscaler");
        assert_eq!(user.uid.as_deref(), Some("1"));
        assert_eq!(user.groups, ["system:serviceaccounts", "system:authenticated"]);
        let extra = [("authentication.kubernetes.io/pod-name".to_owned(), vec!["hpa".to_owned()])];
        assert_eq!(user.extra, extra.into());
    }

    #[test]
    fn nobody_else_may_name_a_user() {
        let named = headers(&[("x-remote-user", "admin")]);
        let proxy = FrontProxy::read(&map()).unwrap();
        for (client, headers, told) in [
            (None, &named, "no client certificate"),
            (Some("kubelet"), &named, "«kubelet» is not the front proxy's"),
            (Some(""), &named, "«» is not the front proxy's"),
            (Some("front-proxy-client"), &HeaderMap::new(), "names no user"),
            (Some("front-proxy-client"), &self::headers(&[("x-remote-user", "")]), "names no user"),
        ] {
            let refused = proxy.user(client, headers).unwrap_err();
            assert!(refused.contains(told), "{client:?}: {refused}");
        }
        let mut anyone = map();
        anyone.insert(ALLOWED.to_owned(), "[]".to_owned());
        assert_eq!(FrontProxy::read(&anyone).unwrap().user(Some("any"), &named).unwrap().name, "admin");
    }

    #[test]
    fn what_is_wrong_with_the_config_map_names_the_key() {
        for (key, value, told) in [
            (CLIENT_CA, None, "requestheader-client-ca-file is missing"),
            (USERS, None, "requestheader-username-headers is missing"),
            (ALLOWED, Some("front-proxy"), "requestheader-allowed-names is no list"),
            (GROUPS, Some(r#"["a b"]"#), "requestheader-group-headers: «a b» is no name of a header"),
        ] {
            let mut map = map();
            map.remove(key);
            map.extend(value.map(|value| (key.to_owned(), value.to_owned())));
            let error = FrontProxy::read(&map).unwrap_err();
            assert!(error.starts_with(told), "{key}: {error}");
        }
    }

    #[test]
    fn a_key_is_decoded_where_it_was_encoded() {
        for (key, right) in [("a%2fb", "a/b"), ("a%2", "a%2"), ("a%zz", "a%zz"), ("a%+2", "a%+2"), ("%e5%ad%97", "字")]
        {
            assert_eq!(decoded(key), right);
        }
    }
}
