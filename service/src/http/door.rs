//! The one door to every route: who asks, may they, whose data may they see. What passes it carries its
//! [`Tenants`](crate::auth::Tenants), and leaves an audit record.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::{HeaderValue, Method, StatusCode, Uri, header};

use super::form::{self, Form};
use super::peer::Shares;
use super::{Peer, Problem, Route};
use crate::audit::{self, Audit, Entry, Note};
use crate::auth::header::HeaderError;
use crate::auth::{Access, Admitted, Auth, Denied, Tenants};

/// Narrows a request to tenants; may be there more than once.
const TENANT: &str = "tenant";

/// What every request passes; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Door {
    auth: Auth,
    audit: Option<Audit>,
    /// Requests by credential.
    shares: Shares<[u8; 32]>,
}

impl Door {
    pub(super) fn new(auth: Auth, audit: Option<Audit>, requests: usize) -> Self {
        Self { auth, audit, shares: Shares::new(requests) }
    }

    /// Where nobody is asked.
    pub(super) fn open() -> Self {
        Self::new(Auth::off(), None, usize::MAX)
    }
}

/// Of one path, its routes by method; other methods are refused behind it.
pub(super) type Doorway = (Door, Arc<[Route]>);

pub(super) async fn pass(State((door, routes)): State<Doorway>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let asked = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let route = routes.iter().find(|route| route.method == asked);
    let access = route.map_or(Access::Credential, |route| route.access);
    if access == Access::Open {
        return next.run(request).await;
    }
    let narrowed = match narrow(request.uri()) {
        Ok((narrowed, rest)) => {
            if let Some(rest) = rest {
                *request.uri_mut() = rest;
            }
            narrowed
        }
        Err(problem) => return problem.into_response(),
    };
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
    let mut admitted = match door.auth.admit(access, request.headers(), &narrowed, peer).await {
        Ok(admitted) => admitted,
        Err(denied) => return denied.into_response(),
    };
    if let Some(problem) = route.and_then(|route| unknown_in(route, request.uri())) {
        return problem.into_response();
    }
    let place = admitted.credential.key().map(|key| door.shares.place(key));
    if matches!(place, Some(None)) {
        let detail = "this credential has too many requests at the same time";
        let busy = Problem { retry_after: Some(1), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) };
        return busy.into_response();
    }
    let note = Note::default();
    if let Some(route) = route.filter(|route| route.form) {
        match in_body(route, &mut request, &mut admitted.tenants, &note).await {
            Ok(form) => request.extensions_mut().insert(form),
            Err(problem) => return problem.into_response(),
        };
    }
    let entry = route.filter(|route| route.is_audited()).zip(door.audit.clone());
    let entry = entry.map(|(route, audit)| (begin(route, &request, &admitted), note.clone(), audit));
    let extensions = request.extensions_mut();
    extensions.insert(admitted.tenants.clone());
    extensions.insert(admitted.credential.clone());
    extensions.insert(note);
    let mut response = next.run(request).await;
    drop(place);
    if let Some((mut entry, note, audit)) = entry {
        let noted = note.text();
        if !noted.is_empty() {
            let query = if entry.query.is_empty() { noted } else { format!("{}&{noted}", entry.query) };
            entry.query = audit::kept(&query);
        }
        entry.status = response.status().as_u16();
        entry.duration_nano = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        audit.add(entry);
    }
    if is_live(&response) && door.auth.is_on() {
        // A live stream outlasts its request, but not its credential.
        let auth = door.auth.clone();
        let ends = Box::pin(async move { auth.ends(&admitted.credential).await });
        response = response.map(|body| Body::from_stream(body.into_data_stream().take_until(ends)));
    }
    response
}

fn begin(route: &Route, request: &Request, admitted: &Admitted) -> Entry {
    Entry {
        unix_nano: crate::time::now_unix_nano(),
        name: admitted.credential.name.clone(),
        role: admitted.credential.role,
        tenants: admitted.tenants.names(),
        method: request.method().to_string(),
        route: route.path,
        path: audit::kept(request.uri().path()),
        query: audit::kept(request.uri().query().unwrap_or_default()),
        status: 0,
        duration_nano: 0,
    }
}

/// Whether an answer is a stream of events without an end of its own.
pub(super) fn is_live(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let problem = Problem { retry_after: self.retry_after(), ..Problem::new(self.status(), self.to_string()) };
        let mut response = problem.into_response();
        if response.status() == StatusCode::UNAUTHORIZED {
            let is_missing = matches!(self, Self::Header(HeaderError::Missing));
            let challenge =
                if is_missing { r#"Bearer realm="weir""# } else { r#"Bearer realm="weir", error="invalid_token""# };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// The values of `tenant`, and the address without it, where it has it.
fn narrow(uri: &Uri) -> Result<(Vec<String>, Option<Uri>), Problem> {
    let Some(query) = uri.query() else { return Ok((Vec::new(), None)) };
    let (mut narrowed, mut rest) = (Vec::new(), Vec::new());
    for part in query.split('&') {
        let pair = form_urlencoded::parse(part.as_bytes()).next();
        match pair {
            Some((name, value)) if name == TENANT => narrowed.push(value.into_owned()),
            _ => rest.push(part),
        }
    }
    if narrowed.is_empty() {
        return Ok((narrowed, None));
    }
    if narrowed.iter().any(String::is_empty) {
        return Err(no_tenant());
    }
    let path = uri.path();
    let address = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
    let mut parts = uri.clone().into_parts();
    let wrong = |_| Problem::new(StatusCode::BAD_REQUEST, "the address cannot be read");
    parts.path_and_query = Some(address.parse().map_err(wrong)?);
    let rest =
        Uri::from_parts(parts).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the address cannot be read"))?;
    Ok((narrowed, Some(rest)))
}

fn no_tenant() -> Problem {
    Problem::parameter(TENANT, "`tenant` is empty: name one, or leave it out")
}

/// Parameters in the body, treated as those in the address: they narrow to tenants, unknown ones are refused, and all
/// are in the audit record.
async fn in_body(route: &Route, request: &mut Request, tenants: &mut Tenants, note: &Note) -> Result<Form, Problem> {
    let Form(pairs) = form::read(request).await?;
    let (narrowed, pairs): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| name == TENANT);
    if narrowed.iter().any(|(_, value)| value.is_empty()) {
        return Err(no_tenant());
    }
    if !narrowed.is_empty() {
        *tenants = tenants.narrow(narrowed.iter().map(|(_, value)| value.as_str()))?;
    }
    if let Some(problem) = pairs.iter().find_map(|(name, _)| unknown(route, name)) {
        return Err(problem);
    }
    for (name, value) in narrowed.iter().chain(&pairs) {
        note.add(&format!("{name}={value}"));
    }
    Ok(Form(pairs))
}

/// The first parameter that a route of weir's own does not have, as a problem that names the right one.
fn unknown_in(route: &Route, uri: &Uri) -> Option<Problem> {
    form_urlencoded::parse(uri.query()?.as_bytes()).find_map(|(name, _)| unknown(route, &name))
}

fn unknown(route: &Route, name: &str) -> Option<Problem> {
    let names = || route.parameters.iter().map(|(name, _)| *name);
    if !route.is_strict() || names().any(|known| known == name) {
        return None;
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let near = |known: &&str| strsim::jaro_winkler(known, &shown) > 0.8;
    let meant =
        names().filter(near).max_by(|a, b| strsim::jaro_winkler(a, &shown).total_cmp(&strsim::jaro_winkler(b, &shown)));
    let right = match (meant, names().next()) {
        (_, None) => "it takes none".to_owned(),
        (Some(meant), _) => format!("did you mean `{meant}`? use {}", names().collect::<Vec<_>>().join(", ")),
        (None, _) => format!("use {}", names().collect::<Vec<_>>().join(", ")),
    };
    Some(Problem::parameter(&shown, format!("there is no parameter `{shown}`: {right}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_tenants_in_the_address_then_they_are_taken_out_however_they_are_written() {
        for (address, tenants, rest) in [
            ("/a?b=1", &[][..], None),
            ("/a?tenant=acme", &["acme"], Some("/a")),
            ("/a?b=%20&tenant=a%26b&c=2", &["a&b"], Some("/a?b=%20&c=2")),
            ("/a?%74enant=acme&tenant=globex", &["acme", "globex"], Some("/a")),
            ("/a?tenants=acme", &[], None),
        ] {
            let (narrowed, uri) = narrow(&address.parse().unwrap()).unwrap();
            assert_eq!(narrowed, tenants, "{address}");
            assert_eq!(uri.map(|uri| uri.to_string()).as_deref(), rest, "{address}");
        }
        assert!(narrow(&"/a?tenant=".parse().unwrap()).is_err() && narrow(&"/a?tenant".parse().unwrap()).is_err());
    }

    #[test]
    fn given_an_unknown_parameter_then_the_right_one_is_named_and_other_apis_ignore_it() {
        let detail = |path: &'static str, names: &[super::super::Parameter], query: &str| {
            let route = Route::get(path, Access::Read, "").takes(names);
            unknown_in(&route, &format!("{path}?{query}").parse().unwrap()).map(|problem| problem.detail)
        };
        let names = [("query", ""), ("start", ""), ("end", "")];
        assert_eq!(detail("/api/v1/x", &names, "query=a&start=1"), None);
        assert_eq!(
            detail("/api/v1/x", &names, "qeury=a").unwrap(),
            "there is no parameter `qeury`: did you mean `query`? use query, start, end"
        );
        assert_eq!(detail("/api/v1/x", &names, "zzz=a").unwrap(), "there is no parameter `zzz`: use query, start, end");
        assert_eq!(detail("/api/v1/x", &[], "x").unwrap(), "there is no parameter `x`: it takes none");
        assert_eq!(detail("/prometheus/api/v1/query", &names, "zzz=a"), None);
    }
}
