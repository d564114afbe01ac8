//! The console: a web application that is embedded in the binary, its sign-in, and the reverse proxy in front of roles
//! that run apart.
//!
//! ```text
//! let console = Console::open(auth, is_tls, Roles::Here(health));      // or Roles::Apart(Proxy::open(&options, true)?)
//! let server = bound.routes(routes.merge(console.routes())).before(console.before());
//! ```
//!
//! Pages are static and open to everybody; what they show comes from the same APIs as for any other client. A browser
//! that has signed in holds a cookie, behind which a session in memory keeps the bearer token: [`Console::before`]
//! turns the cookie into the header `authorization`, so the door of the server knows no cookies. A restart signs
//! everybody out.

mod assets;
mod before;
mod cookies;
mod options;
mod origin;
mod proxy;
mod roles;
mod secret;
mod sessions;
mod sign_in;

use std::sync::Arc;

use axum::extract::Path;
use http::HeaderMap;
use weir_service::auth::{Access, Auth};
use weir_service::http::{Before, Route, Routes};

pub use options::Options;
pub use proxy::{Error, Proxy};
pub use roles::Roles;

use sessions::Sessions;
use sign_in::CodeFlow;

/// Paths of the application; each shows the same page, which reads its address.
const PAGES: [&str; 13] = [
    "/",
    "/logs",
    "/traces",
    "/traces/{trace_id}",
    "/interfaces",
    "/alerts",
    "/gpus",
    "/usage",
    "/data",
    "/scaling",
    "/status",
    "/sign-in",
    CALLBACK,
];

/// Where the page sends what the provider gave it.
const CALLBACK: &str = "/auth/callback";

/// The console of one server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Console {
    shared: Arc<Shared>,
    roles: Roles,
}

/// What the handlers share.
#[derive(Debug)]
struct Shared {
    auth: Auth,
    /// Whether the server itself speaks TLS.
    is_tls: bool,
    sessions: Sessions,
    /// Sign-in by the OpenID Connect provider, where it is configured.
    code_flow: Option<CodeFlow>,
}

impl Console {
    /// In front of these roles. `auth` is that of the server, `is_tls` whether the server has certificates.
    pub fn open(auth: Auth, is_tls: bool, roles: Roles) -> Self {
        let code_flow = auth.provider().and_then(|provider| CodeFlow::of(provider.options()));
        let shared = Shared { auth, is_tls, sessions: Sessions::default(), code_flow };
        Self { shared: Arc::new(shared), roles }
    }

    /// Pages, assets, sign-in and the state of roles; with [`Roles::Apart`] what these serve, too.
    pub fn routes(&self) -> Routes {
        let mut pages = Routes::new();
        for path in PAGES {
            let page = Route::get(path, Access::Open, "The console");
            pages = pages.on(page, |headers: HeaderMap| async move { assets::page(&headers) });
        }
        let asset = Route::get("/assets/{file}", Access::Open, "A file of the console");
        let pages = pages.on(asset, |Path(file): Path<String>| async move { assets::asset(&file) });
        let session = "/auth/session";
        let login = Route::get("/auth/login", Access::Open, "Goes to the identity provider")
            .takes(&[("return", "The page to come back to: a path of this console")]);
        let sign_in = Routes::new()
            .on(Route::get(session, Access::Open, "Who has signed in, and how one can"), sign_in::session)
            .on(Route::post(session, Access::Open, "Signs in with a token"), sign_in::with_token)
            .on(Route::delete(session, Access::Open, "Signs out"), sign_in::out)
            .on(login, sign_in::login)
            .on(
                Route::post(CALLBACK, Access::Open, "Signs in with a code of the identity provider"),
                sign_in::callback,
            );
        pages.merge(sign_in.with_state(&self.shared)).merge(self.roles.routes())
    }

    /// What the server does with each request first: refuses writes that another site makes a browser send, and turns
    /// the cookie of a session into a credential.
    pub fn before(&self) -> Before {
        let shared = self.shared.clone();
        Before::new(move |request| before::before(shared.clone(), request))
    }
}

#[cfg(test)]
mod tests;
