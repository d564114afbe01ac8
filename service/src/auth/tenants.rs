//! The set of tenants that a request may see. A value is made from a credential, here, and nowhere else; handlers get it
//! as an extractor, and what reads data asks for one.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::role::Role;
use crate::http::Problem;

/// The tenant of audit records, which no token, label or attribute can take.
pub const AUDIT_TENANT: &str = "weir";

/// Longest name of a tenant, in bytes.
pub const MAX_TENANT: usize = 128;

/// All tenants, in tokens and claims.
const ALL: &str = "*";

/// Whose data a request may see or send. Names are compared exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenants(Set);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Set {
    All { audit: bool },
    Named(Arc<BTreeSet<String>>),
}

/// A set of tenants, to be matched by an index.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Everything.
    All,
    /// Everything but this tenant's data.
    AllBut(&'a str),
    /// Data of these tenants; of none where there are none.
    Only(&'a BTreeSet<String>),
}

/// Whether a tenant can have this name: 1 to 128 bytes without control characters or commas, and not a reserved name.
pub fn is_tenant_name(name: &str) -> bool {
    (1..=MAX_TENANT).contains(&name.len())
        && name != ALL
        && name != AUDIT_TENANT
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || c == ',' || c == '|')
}

/// Checks the tenants of a token or a configuration: names, or `*` alone.
pub(super) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    let mut count = 0;
    let mut has_all = false;
    for name in names {
        count += 1;
        has_all |= name == ALL;
        if name == AUDIT_TENANT {
            return Err(format!("the tenant `{AUDIT_TENANT}` is reserved for audit records"));
        }
        if name != ALL && !is_tenant_name(name) {
            return Err(format!(
                "`{}` is no tenant: a name has 1 to {MAX_TENANT} bytes, and no comma, bar or control character",
                name.escape_debug()
            ));
        }
    }
    match (count, has_all) {
        (0, _) => Err("there is no tenant: name some, or `*` for all".to_owned()),
        (2.., true) => Err("`*` is all tenants: it stands alone".to_owned()),
        _ => Ok(()),
    }
}

impl Tenants {
    /// Where nobody is asked who they are: everything.
    pub(super) fn unrestricted() -> Self {
        Self(Set::All { audit: true })
    }

    /// Of a credential; names that cannot be a tenant's are left out.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>, role: Role) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        if names.contains(ALL) {
            return Self(Set::All { audit: role == Role::Admin });
        }
        let named = names.into_iter().filter(|name| is_tenant_name(name)).map(str::to_owned).collect();
        Self(Set::Named(Arc::new(named)))
    }

    /// Whether data of this tenant may be seen; what has no tenant is seen by all tenants' credentials alone.
    pub fn allows(&self, tenant: Option<&str>) -> bool {
        match &self.0 {
            Set::All { audit } => *audit || tenant != Some(AUDIT_TENANT),
            Set::Named(names) => tenant.is_some_and(|tenant| names.contains(tenant)),
        }
    }

    /// Whether these are all tenants.
    pub fn is_all(&self) -> bool {
        matches!(self.0, Set::All { .. })
    }

    /// The one tenant, where there is one.
    pub fn only(&self) -> Option<&str> {
        match &self.0 {
            Set::Named(names) if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        }
    }

    /// For an index.
    pub fn scope(&self) -> Scope<'_> {
        match &self.0 {
            Set::All { audit: true } => Scope::All,
            Set::All { audit: false } => Scope::AllBut(AUDIT_TENANT),
            Set::Named(names) => Scope::Only(names),
        }
    }

    /// As `whoami` shows them: names, or `*`.
    pub fn names(&self) -> Vec<String> {
        match &self.0 {
            Set::All { .. } => vec![ALL.to_owned()],
            Set::Named(names) => names.iter().cloned().collect(),
        }
    }

    /// These of them; the first that is not among them is the error.
    pub fn narrow<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Result<Self, Problem> {
        let mut named = BTreeSet::new();
        for tenant in wanted {
            if !self.allows(Some(tenant)) {
                let shown: String = tenant.chars().filter(|c| !c.is_control()).take(MAX_TENANT).collect();
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    format!("the tenant `{shown}` is not among those of the credential: see /api/v1/whoami"),
                ));
            }
            named.insert(tenant.to_owned());
        }
        Ok(Self(Set::Named(Arc::new(named))))
    }
}

impl<S: Sync> FromRequestParts<S> for Tenants {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unguarded = || {
            tracing::error!(path = parts.uri.path(), "a route is served without the check of credentials");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "an error in weir; its log says more")
        };
        parts.extensions.get::<Self>().cloned().ok_or_else(unguarded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Tenants {
        Tenants::of(names.iter().copied(), Role::Viewer)
    }

    #[test]
    fn given_tenants_then_only_data_of_exactly_these_is_seen() {
        let acme = named(&["acme"]);
        let seen = |tenants: &Tenants| ["acme", "ACME", "globex", "weir", ""].map(|t| tenants.allows(Some(t)));
        assert_eq!(seen(&acme), [true, false, false, false, false]);
        assert_eq!(seen(&Tenants::of(["*"], Role::Viewer)), [true, true, true, false, true]);
        assert_eq!(seen(&Tenants::of(["*"], Role::Admin)), [true; 5]);
        assert_eq!(seen(&named(&["weir", ""])), [false; 5], "reserved and empty names are no tenants");
        assert_eq!([acme.allows(None), Tenants::of(["*"], Role::Viewer).allows(None)], [false, true]);
    }

    #[test]
    fn given_a_narrower_wish_then_it_is_granted_within_the_set_and_refused_outside_of_it() {
        let both = named(&["acme", "globex"]);
        assert_eq!(both.narrow(["acme"]).unwrap().only(), Some("acme"));
        assert_eq!(both.narrow(["initech"]).unwrap_err().status, 403);
        assert_eq!(Tenants::of(["*"], Role::Operator).narrow(["weir"]).unwrap_err().status, 403);
        assert_eq!(Tenants::of(["*"], Role::Admin).narrow(["weir"]).unwrap().only(), Some("weir"));
    }

    #[test]
    fn given_names_of_a_token_then_bad_ones_are_refused_with_the_reason() {
        for (names, wanted) in [
            (&["acme", "globex"][..], ""),
            (&["*"], ""),
            (&["*", "acme"], "alone"),
            (&[], "no tenant"),
            (&["weir"], "reserved"),
            (&["a,b"], "comma"),
            (&["a\nb"], "control"),
            (&[""], "1 to 128"),
        ] {
            match check_names(names.iter().copied()) {
                Ok(()) => assert_eq!(wanted, "", "{names:?}"),
                Err(error) => assert!(!wanted.is_empty() && error.contains(wanted), "{names:?}: {error}"),
            }
        }
    }
}
