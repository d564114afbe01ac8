//! The table of routes as an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::{Parameter, Route};
use crate::auth::Access;

pub(super) fn document(routes: &[&Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "weir", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The token as the password"},
            },
            "schemas": {"Problem": {
                "type": "object",
                "required": ["status", "title", "detail"],
                "properties": {
                    "status": {"type": "integer"},
                    "title": {"type": "string"},
                    "detail": {"type": "string", "description": "What is wrong, and what would be right"},
                    "parameter": {"type": "string", "description": "The parameter at fault"},
                },
            }},
        },
    })
}

fn operation(route: &Route) -> Value {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let is_guarded = route.access != Access::Open;
    let narrows = ("tenant", "Only data of this tenant, which must be one of the credential's");
    let named = || route.parameters.iter().chain(is_guarded.then_some(&narrows));
    for (name, about) in named() {
        parameters.push(json!({"name": name, "in": "query", "description": about, "schema": {"type": "string"}}));
    }
    let problem = |about: &str| {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        json!({"description": about, "content": {"application/problem+json": {"schema": schema}}})
    };
    let mut operation = json!({
        "summary": route.about,
        "parameters": parameters,
        "responses": {"200": {"description": "Done"}, "400": problem("A parameter is wrong")},
        "x-weir-access": route.access.wanted(),
    });
    if route.form {
        let property = |(name, about): &Parameter| {
            ((*name).to_owned(), json!({"type": ["string", "number", "boolean"], "description": about}))
        };
        let properties: Map<String, Value> = named().map(property).collect();
        let content = json!({"schema": {"type": "object", "properties": properties}});
        operation["requestBody"] = json!({
            "description": "The parameters, here or in the address",
            "content": {"application/json": content, "application/x-www-form-urlencoded": content},
        });
    }
    if is_guarded {
        operation["security"] = json!([{"bearer": []}, {"basic": []}]);
        operation["responses"]["401"] = problem("No credential, or one that is not good");
        operation["responses"]["403"] = problem("Another role or tenant is needed");
        operation["responses"]["429"] = problem("Too many failures, or too many requests at the same time");
    } else {
        operation["security"] = json!([]);
    }
    operation
}

/// Text for HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
