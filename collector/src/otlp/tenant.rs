//! Whose data a resource holds.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use weir_proto::attribute;
use weir_service::auth::{Access, Auth, MAX_TENANT, Tenants as Allowed, is_tenant_name};
use weir_service::tls::Client;

use super::refusal::Refusal;
use super::wire::{Fields, put_bytes};
use crate::options::TenantOptions;

/// So many disagreements are remembered as told.
const MOST_TOLD: usize = 1024;

/// Decides the tenant of a resource that came over OTLP.
///
/// With `auth`, it is the credential's: of several, or of all, the one that the attribute `weir.tenant` names, which a
/// credential of several must name; of all, else the one that the mapping gives for `k8s.namespace.name`, else the
/// default. A client whose certificate has a name that the configuration maps is of that tenant, by itself or together
/// with a token that allows it. Without `auth`, it is the certificate's, else the attribute, else the mapping's, else the
/// default; where senders are not trusted, the default. Clones decide alike.
#[derive(Debug, Clone)]
pub struct Tenants {
    decided: Arc<ArcSwap<Decided>>,
    auth: Auth,
    sender: Sender,
}

/// Who sends.
#[derive(Debug, Clone)]
enum Sender {
    /// Nobody was asked.
    Anyone,
    /// Of one tenant, by a certificate or a credential.
    One {
        tenant: Arc<str>,
        /// Whether it may not name another one.
        strict: bool,
    },
    /// Of several tenants, or of all.
    Several(Allowed),
}

#[derive(Debug)]
struct Decided {
    options: TenantOptions,
    /// Pairs of names whose disagreement the log has.
    told: Mutex<HashSet<[String; 2]>>,
}

/// Names of one certificate that are mapped to different tenants.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the client's certificate is of two tenants: by its name {} of {}, and by {} of {}; collector.tenant.clients must \
     map the names of one certificate to one tenant", .names[0], .tenants[0], .names[1], .tenants[1]
)]
pub(crate) struct Disagreement {
    names: [String; 2],
    tenants: [String; 2],
}

/// A request that names, or leaves out, a tenant that its sender cannot send for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// Another one's.
    #[error("the sender may not send for the tenant `{0}` that the attribute weir.tenant names")]
    Named(String),
    /// None, where one must be named.
    #[error("the credential is of several tenants: name one of {} in the resource attribute weir.tenant", .0.join(", "))]
    Unnamed(Vec<String>),
}

impl Tenants {
    /// By the configuration.
    pub fn new(options: &TenantOptions, auth: Auth) -> Self {
        Self { decided: Arc::new(ArcSwap::from_pointee(Decided::by(options))), auth, sender: Sender::Anyone }
    }

    /// By another configuration from now on.
    pub(crate) fn replace(&self, options: &TenantOptions) {
        self.decided.store(Arc::new(Decided::by(options)));
    }

    /// For a request with these headers, of this address and client, as the configuration is now.
    pub(super) async fn of(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        client: Option<&Client>,
    ) -> Result<Self, Refusal> {
        let mapped: Option<Arc<str>> = {
            let decided = self.decided.load();
            let mapped = client.map_or(Ok(None), |client| decided.options.tenant_of(client));
            mapped.inspect_err(|disagreement| decided.tell(disagreement))?.map(Arc::from)
        };
        let is_on = self.auth.is_on();
        // A certificate is enough by itself.
        let allowed = if is_on && (mapped.is_none() || headers.contains_key(AUTHORIZATION)) {
            Some(self.auth.admit(Access::Send, headers, &[], peer).await?.tenants)
        } else {
            None
        };
        let sender = match (mapped, allowed) {
            (None, None) => Sender::Anyone,
            (Some(tenant), None) => Sender::One { tenant, strict: is_on },
            // What both allow.
            (Some(tenant), Some(allowed)) if !allowed.allows(Some(&tenant)) => {
                return Err(Foreign::Named(tenant.to_string()).into());
            }
            (Some(tenant), Some(_)) => Sender::One { tenant, strict: true },
            (None, Some(allowed)) => match allowed.only() {
                Some(tenant) => Sender::One { tenant: tenant.into(), strict: true },
                None => Sender::Several(allowed),
            },
        };
        Ok(Self { decided: self.decided.clone(), auth: self.auth.clone(), sender })
    }

    /// Whether the sender may send for every tenant: what it says that weir measured is believed then.
    pub(super) fn is_trusted(&self) -> bool {
        match &self.sender {
            Sender::Anyone => self.decided.load().options.trust_attribute,
            Sender::One { .. } => false,
            Sender::Several(allowed) => allowed.is_all(),
        }
    }

    /// The resource (its protobuf, already checked) with exactly one `weir.tenant`.
    pub(crate) fn assign<'a>(&self, resource: &'a [u8]) -> Result<Cow<'a, [u8]>, Foreign> {
        let options = &self.decided.load().options;
        let mut named = 0;
        let (mut claimed, mut namespace) = (None, None);
        for field in Fields::checked(resource).filter(|field| field.number == 1) {
            match key(field.bytes()) {
                name if name == attribute::TENANT.as_bytes() => {
                    named += 1;
                    claimed = text(field.bytes());
                }
                b"k8s.namespace.name" => namespace = text(field.bytes()),
                _ => {}
            }
        }
        let mapped =
            || namespace.and_then(|name| options.namespaces.get(name)).map_or(&*options.default, String::as_str);
        let tenant = match &self.sender {
            Sender::One { tenant, strict } => match claimed {
                Some(claimed) if *strict && *claimed != **tenant => return Err(Foreign::Named(shown(claimed))),
                _ => &**tenant,
            },
            Sender::Several(allowed) => match claimed {
                Some(claimed) if is_tenant_name(claimed) && allowed.allows(Some(claimed)) => claimed,
                Some(claimed) => return Err(Foreign::Named(shown(claimed))),
                None if allowed.is_all() => mapped(),
                None => return Err(Foreign::Unnamed(allowed.names())),
            },
            Sender::Anyone if options.trust_attribute => {
                claimed.filter(|claimed| is_tenant_name(claimed)).unwrap_or_else(mapped)
            }
            Sender::Anyone => &options.default,
        };
        if claimed == Some(tenant) && named == 1 {
            return Ok(Cow::Borrowed(resource));
        }
        let mut out = Vec::with_capacity(resource.len() + tenant.len() + 24);
        for field in Fields::checked(resource) {
            if field.number != 1 || key(field.bytes()) != attribute::TENANT.as_bytes() {
                out.extend_from_slice(field.whole);
            }
        }
        let mut value = Vec::new();
        put_bytes(&mut value, 1, tenant.as_bytes());
        let mut pair = Vec::new();
        put_bytes(&mut pair, 1, attribute::TENANT.as_bytes());
        put_bytes(&mut pair, 2, &value);
        put_bytes(&mut out, 1, &pair);
        Ok(Cow::Owned(out))
    }
}

/// A name that comes from outside, for an answer.
fn shown(tenant: &str) -> String {
    tenant.chars().filter(|c| !c.is_control()).take(MAX_TENANT).collect()
}

impl Decided {
    fn by(options: &TenantOptions) -> Self {
        Self { options: options.clone(), told: Mutex::default() }
    }

    /// Once: the client may well try again and again.
    fn tell(&self, disagreement: &Disagreement) {
        let mut told = self.told.lock();
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        if told.insert(disagreement.names.clone()) {
            tracing::warn!(error = %disagreement, "OTLP requests of a client are refused");
        }
    }
}

impl TenantOptions {
    /// The tenant that a certificate's names are mapped to, if any is.
    fn tenant_of(&self, client: &Client) -> Result<Option<&str>, Disagreement> {
        if self.clients.is_empty() {
            return Ok(None);
        }
        let mut mapped = client.names().filter_map(|name| Some((name, self.clients.get(name)?)));
        let Some((name, tenant)) = mapped.next() else { return Ok(None) };
        match mapped.find(|(_, other)| *other != tenant) {
            None => Ok(Some(tenant)),
            Some((other, others)) => Err(Disagreement {
                names: [name.to_owned(), other.to_owned()],
                tenants: [tenant.clone(), others.clone()],
            }),
        }
    }
}

/// Key of a `KeyValue`; of a field given twice, protobuf takes the last.
fn key(pair: &[u8]) -> &[u8] {
    Fields::checked(pair).filter(|field| field.number == 1).last().map_or(&[], |field| field.bytes())
}

/// Value of a `KeyValue`, where it is text.
fn text(pair: &[u8]) -> Option<&str> {
    let value = Fields::checked(pair).filter(|field| field.number == 2).last()?.bytes();
    let chosen = Fields::checked(value).filter(|field| (1..=8).contains(&field.number)).last()?;
    if chosen.number == 1 { std::str::from_utf8(chosen.bytes()).ok() } else { None }
}
