//! Whose data a resource holds.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use weir_proto::attribute;

use super::client::Client;
use super::wire::{Fields, put_bytes};
use crate::options::TenantOptions;

/// Longest tenant that is taken from a sender, in bytes.
const MAX_TENANT: usize = 128;

/// So many disagreements are remembered as told.
const MOST_TOLD: usize = 1024;

/// Decides the tenant of a resource that came over OTLP: the client's, where its certificate has a name that the
/// configuration maps. Else the attribute `weir.tenant`, else the one that the mapping gives for its
/// `k8s.namespace.name`, else the default; where senders are not trusted, always the default. Clones decide alike.
#[derive(Debug, Clone)]
pub struct Tenants {
    decided: Arc<ArcSwap<Decided>>,
    /// That of everything, as the client's certificate says.
    fixed: Option<Arc<str>>,
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

impl Tenants {
    /// By the configuration.
    pub fn new(options: &TenantOptions) -> Self {
        Self { decided: Arc::new(ArcSwap::from_pointee(Decided::by(options))), fixed: None }
    }

    /// By another configuration from now on.
    pub(crate) fn replace(&self, options: &TenantOptions) {
        self.decided.store(Arc::new(Decided::by(options)));
    }

    /// For a request of this client, as the configuration is now.
    pub(super) fn of(&self, client: &Client) -> Result<Self, Disagreement> {
        let decided = self.decided.load();
        let fixed = decided.options.tenant_of(client).inspect_err(|disagreement| decided.tell(disagreement))?;
        Ok(Self { decided: self.decided.clone(), fixed: fixed.map(Arc::from) })
    }

    /// The resource (its protobuf, already checked) with exactly one `weir.tenant`.
    pub(crate) fn assign<'a>(&self, resource: &'a [u8]) -> Cow<'a, [u8]> {
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
        let claimed = claimed.filter(|tenant| match &self.fixed {
            Some(fixed) => **fixed == **tenant,
            None => options.trust_attribute && is_tenant(tenant),
        });
        if claimed.is_some() && named == 1 {
            return Cow::Borrowed(resource);
        }
        let mapped = namespace.filter(|_| options.trust_attribute).and_then(|name| options.namespaces.get(name));
        let decided = self.fixed.as_deref().or(claimed).or(mapped.map(String::as_str));
        let tenant = decided.unwrap_or(&options.default);
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
        Cow::Owned(out)
    }
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

fn is_tenant(tenant: &str) -> bool {
    (1..=MAX_TENANT).contains(&tenant.len()) && !tenant.chars().any(char::is_control)
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
