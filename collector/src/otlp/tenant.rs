//! Whose data a resource holds.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use weir_proto::attribute;

use super::wire::{Fields, put_bytes};
use crate::options::TenantOptions;

/// Longest tenant that is taken from a sender, in bytes.
const MAX_TENANT: usize = 128;

/// Decides the tenant of a resource that came over OTLP: its attribute `weir.tenant`, else the one that the mapping
/// gives for its `k8s.namespace.name`, else the default. Where senders are not trusted, always the default.
/// Clones decide alike.
#[derive(Debug, Clone)]
pub struct Tenants(Arc<ArcSwap<TenantOptions>>);

impl Tenants {
    /// By the configuration.
    pub fn new(options: &TenantOptions) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(options.clone())))
    }

    /// By another configuration from now on.
    pub(crate) fn replace(&self, options: &TenantOptions) {
        self.0.store(Arc::new(options.clone()));
    }

    /// The resource (its protobuf, already checked) with exactly one `weir.tenant`.
    pub(crate) fn assign<'a>(&self, resource: &'a [u8]) -> Cow<'a, [u8]> {
        let options = self.0.load();
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
        let claimed = claimed.filter(|tenant| options.trust_attribute && is_tenant(tenant));
        if claimed.is_some() && named == 1 {
            return Cow::Borrowed(resource);
        }
        let mapped = namespace.filter(|_| options.trust_attribute).and_then(|name| options.namespaces.get(name));
        let tenant = claimed.or(mapped.map(String::as_str)).unwrap_or(&options.default);
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
