//! What Kubernetes is told that there is: its discovery documents, in their unaggregated form, which kube-apiserver falls
//! back to, as it does without an OpenAPI document.

use serde_json::{Value, json};

/// Group of the API.
pub(super) const GROUP: &str = "external.metrics.k8s.io";
/// Version of the group.
pub(super) const VERSION: &str = "v1beta1";
pub(super) const API_VERSION: &str = "external.metrics.k8s.io/v1beta1";
pub(super) const GROUP_PATH: &str = "/apis/external.metrics.k8s.io";
pub(super) const VERSION_PATH: &str = "/apis/external.metrics.k8s.io/v1beta1";

fn versions() -> Value {
    let version = json!({"groupVersion": API_VERSION, "version": VERSION});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

/// `APIGroupList`.
pub(super) fn groups() -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [versions()]})
}

/// `APIGroup`.
pub(super) fn group() -> Value {
    let mut group = versions();
    (group["kind"], group["apiVersion"]) = (json!("APIGroup"), json!("v1"));
    group
}

/// `APIResourceList` of these metrics.
pub(super) fn resources<'a>(metrics: impl Iterator<Item = &'a String>) -> Value {
    let resource = |name: &String| {
        json!({
            "name": name, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"],
        })
    };
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": API_VERSION,
        "resources": metrics.map(resource).collect::<Vec<_>>(),
    })
}
