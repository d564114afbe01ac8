//! How pods run, as far as the API says: their phases, and what their containers request and may use.

use std::collections::BTreeMap;

use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::quantity;

/// Containers of one pod that are kept, and resources of one container, at most.
const MOST_CONTAINERS: usize = 64;
const MOST_RESOURCES: usize = 16;

/// A pod's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
pub enum Phase {
    /// It waits for a node, or for its images.
    Pending,
    /// At least one of its containers runs, or is started again.
    Running,
    /// All of its containers have ended well, and none is started again.
    Succeeded,
    /// All of its containers have ended, and one of them not well.
    Failed,
    /// Its node does not answer, or the phase is one that is not known here.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Unknown];

    /// As `k8s.pod.status.phase` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// It has ended: what it requested is free.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// How a pod runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs {
    /// Its phase.
    pub phase: Phase,
    /// Its containers, and those init containers that run as long as it does. The others have ended when these begin.
    pub containers: Vec<Container>,
}

/// What a container requests and may use, by the names of resources: `cpu` in cores, `memory` in bytes,
/// `nvidia.com/gpu`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    /// `k8s.container.name`.
    pub name: String,
    /// What is kept free for it.
    pub requests: Vec<(String, f64)>,
    /// More it does not get.
    pub limits: Vec<(String, f64)>,
}

impl Runs {
    pub(super) fn new(spec: Spec, status: &Status) -> Self {
        let is_beside = |container: &ContainerSpec| container.restart_policy.as_deref() == Some("Always");
        let beside = spec.init_containers.into_iter().flatten().filter(is_beside);
        let containers = spec.containers.into_iter().flatten().chain(beside).take(MOST_CONTAINERS);
        let phase = status.phase.unwrap_or_default();
        Self { phase, containers: containers.map(ContainerSpec::read).collect() }
    }

    /// About the bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let of = |resources: &[(String, f64)]| resources.iter().map(|(name, _)| name.len() + 32).sum::<usize>();
        let containers = self.containers.iter();
        containers.map(|one| 72 + one.name.len() + of(&one.requests) + of(&one.limits)).sum::<usize>()
    }
}

/// `spec` of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    containers: Option<Vec<ContainerSpec>>,
    init_containers: Option<Vec<ContainerSpec>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerSpec {
    name: String,
    restart_policy: Option<String>,
    resources: Option<Resources>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Option<BTreeMap<String, String>>,
    limits: Option<BTreeMap<String, String>>,
}

/// `status` of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    phase: Option<Phase>,
}

impl ContainerSpec {
    fn read(self) -> Container {
        let read = |resources: Option<BTreeMap<String, String>>| {
            let resources = resources.into_iter().flatten();
            resources.filter_map(|(name, text)| Some((name, quantity::parse(&text)?))).take(MOST_RESOURCES).collect()
        };
        let resources = self.resources.unwrap_or_default();
        Container { name: self.name, requests: read(resources.requests), limits: read(resources.limits) }
    }
}

/// A value, or its default where it is of another form: then that is not known, and all else is.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Perhaps<T> {
        Is(T),
        IsNot(IgnoredAny),
    }
    Ok(match Perhaps::deserialize(value)? {
        Perhaps::Is(value) => value,
        Perhaps::IsNot(IgnoredAny) => T::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn runs(spec: &Value, status: &Value) -> Runs {
        let spec = lenient(spec).unwrap();
        Runs::new(spec, &lenient(status).unwrap())
    }

    #[test]
    fn containers_and_those_that_run_beside_them_have_what_they_request_and_may_use() {
        let resources =
            json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": "2", "x": "?"}});
        let spec = json!({
            "containers": [{"name": "main", "image": "i", "resources": resources}, {"name": "bare", "resources": {}}],
            "initContainers": [
                {"name": "once", "resources": {"requests": {"cpu": "8"}}},
                {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": 1}}},
            ],
        });
        // A number where a text belongs: nothing is known of its resources, nor of the others'.
        assert_eq!(runs(&spec, &json!({})), Runs::default());
        let mut spec = spec;
        spec["initContainers"][1]["resources"]["requests"]["cpu"] = json!("1");
        let found = runs(&spec, &json!({"phase": "Running", "podIP": "10.0.0.1"}));
        let of = |name: &str, value| (name.to_owned(), value);
        let main = Container {
            name: "main".to_owned(),
            requests: vec![of("cpu", 0.5), of("memory", 1_073_741_824.0)],
            limits: vec![of("nvidia.com/gpu", 2.0)],
        };
        let bare = Container { name: "bare".to_owned(), ..Container::default() };
        let proxy = Container { name: "proxy".to_owned(), requests: vec![of("cpu", 1.0)], limits: Vec::new() };
        assert_eq!(found, Runs { phase: Phase::Running, containers: vec![main, bare, proxy] });
    }

    #[test]
    fn a_phase_that_is_not_known_or_not_told_is_unknown() {
        for (status, phase) in [
            (json!({"phase": "Succeeded"}), Phase::Succeeded),
            (json!({"phase": "Odd"}), Phase::Unknown),
            (json!({}), Phase::Unknown),
            (json!("Failure"), Phase::Unknown),
            (Value::Null, Phase::Unknown),
        ] {
            assert_eq!(runs(&json!({"containers": null}), &status).phase, phase, "{status}");
        }
        assert!(Phase::ALL.into_iter().filter(|phase| phase.is_over()).eq([Phase::Succeeded, Phase::Failed]));
    }
}
