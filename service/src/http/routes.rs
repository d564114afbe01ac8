//! The table of routes: what is served where, for whom, with which parameters. A server takes nothing else, so that every
//! route is behind the check of credentials, and the table and the OpenAPI document are the routes themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

use super::door::{self, Door};
use crate::auth::Access;

/// A query parameter of a route: its name, and what it holds.
pub type Parameter = (&'static str, &'static str);

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Route {
    /// GET also answers HEAD.
    pub method: Method,
    /// As axum writes it: `/api/v1/logs/{id}/context`.
    pub path: &'static str,
    /// What it asks of a credential.
    pub access: Access,
    /// One line for people.
    pub about: &'static str,
    /// Its query parameters. Below `/api/v1/` others are refused.
    pub parameters: Vec<Parameter>,
    /// Its parameters may come in the body too, as [`super::Form`].
    pub form: bool,
}

/// Routes of a room, with their handlers; `S` is what these share.
#[derive(Debug, Clone)]
pub struct Routes<S = ()>(Vec<(Route, MethodRouter<S>)>);

impl Route {
    /// A GET.
    pub fn get(path: &'static str, access: Access, about: &'static str) -> Self {
        Self { method: Method::GET, path, access, about, parameters: Vec::new(), form: false }
    }

    /// A POST.
    pub fn post(path: &'static str, access: Access, about: &'static str) -> Self {
        Self { method: Method::POST, ..Self::get(path, access, about) }
    }

    /// With any other method.
    pub fn with(method: Method, path: &'static str, access: Access, about: &'static str) -> Self {
        Self { method, ..Self::get(path, access, about) }
    }

    /// A DELETE.
    pub fn delete(path: &'static str, access: Access, about: &'static str) -> Self {
        Self { method: Method::DELETE, ..Self::get(path, access, about) }
    }

    /// Its query parameters.
    #[must_use]
    pub fn takes(self, parameters: &[Parameter]) -> Self {
        Self { parameters: parameters.to_vec(), ..self }
    }

    /// Whether its requests leave an audit record: those that read or change data of tenants. Metrics are no such.
    pub(super) fn is_audited(&self) -> bool {
        self.access.is_audited() || (self.access == Access::ReadAll && self.path.starts_with("/api/"))
    }

    /// Whether parameters that it does not have are refused. The APIs of other systems ignore them, and what lies below a
    /// wildcard is refused by the server behind it.
    pub(super) fn is_strict(&self) -> bool {
        self.path.starts_with("/api/v1/") && !self.path.contains("{*")
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// With one more.
    #[must_use]
    pub fn on<T: 'static, H: Handler<T, S>>(mut self, route: Route, handler: H) -> Self {
        let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
        self.0.push((route, on(filter, handler)));
        self
    }

    /// With a GET, and a POST that takes the same parameters in its body: a JSON object, or a form.
    #[must_use]
    pub fn on_query<T: 'static, H: Handler<T, S>>(self, route: Route, handler: H) -> Self {
        let post = Route { method: Method::POST, form: true, ..route.clone() };
        self.on(route, handler.clone()).on(post, handler)
    }

    /// These and others, which share the same.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// What the handlers share.
    pub fn with_state(self, state: &S) -> Routes {
        Routes(self.0.into_iter().map(|(route, handler)| (route, handler.with_state(state.clone()))).collect())
    }
}

impl Routes {
    /// What is served, in the order in which it was registered.
    pub fn table(&self) -> impl Iterator<Item = &Route> {
        self.0.iter().map(|(route, _)| route)
    }

    /// Behind a door that lets everybody do everything: for tests, and for what runs without a server.
    pub fn open(self) -> Router {
        self.behind(&Door::open())
    }

    /// Behind the check of credentials.
    pub(super) fn behind(self, door: &Door) -> Router {
        let mut paths: BTreeMap<&'static str, (Vec<Route>, MethodRouter)> = BTreeMap::new();
        for (route, handler) in self.0 {
            let (routes, merged) = paths.entry(route.path).or_default();
            *merged = std::mem::take(merged).merge(handler);
            routes.push(route);
        }
        let mut router = Router::new();
        for (path, (routes, handler)) in paths {
            let state = (door.clone(), Arc::<[Route]>::from(routes));
            router = router.route(path, handler.layer(axum::middleware::from_fn_with_state(state, door::pass)));
        }
        router
    }
}
