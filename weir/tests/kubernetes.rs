//! `configs/kubernetes` and the Dockerfile, as far as they can be read without a cluster: every key is one of the API's,
//! names lead to what is there, and each configuration is one that the program takes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, networking::v1 as networking, rbac::v1 as rbac};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use weir_alerter::promql::Query;
use weir_collector::limits::LimitOptions;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn manifests() -> Vec<Value> {
    let files = std::fs::read_dir(root().join("configs/kubernetes")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let all: Vec<Value> = files.flat_map(|path| serde_saphyr::from_multiple::<Value>(&read(path)).unwrap()).collect();
    assert!(all.len() >= 15, "{}", all.len());
    all
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    manifests.iter().filter(move |manifest| text(manifest, "/kind") == kind)
}

fn names<'a>(manifests: &'a [Value], kind: &str) -> BTreeSet<&'a str> {
    of_kind(manifests, kind).map(|manifest| text(manifest, "/metadata/name")).collect()
}

fn workloads(manifests: &[Value]) -> Vec<&Value> {
    let all: Vec<_> =
        ["DaemonSet", "StatefulSet", "Deployment"].iter().flat_map(|kind| of_kind(manifests, kind)).collect();
    assert_eq!(all.len(), 5);
    all
}

/// What the API keeps of a manifest: a key that it does not know is gone.
fn through<T: Serialize + DeserializeOwned>(manifest: &Value) -> Value {
    let typed: T = serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{error} in {manifest}"));
    serde_json::to_value(typed).unwrap()
}

fn assert_kept(written: &Value, kept: &Value, at: &str) {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => {
            for (key, value) in written {
                let at = format!("{at}.{key}");
                assert_kept(value, kept.get(key).unwrap_or_else(|| panic!("{at} is no key of the API")), &at);
            }
        }
        (Value::Array(written), Value::Array(kept)) => {
            assert_eq!(written.len(), kept.len(), "{at}");
            written.iter().zip(kept).for_each(|(written, kept)| assert_kept(written, kept, at));
        }
        _ => assert_eq!(written, kept, "{at}"),
    }
}

#[test]
fn every_key_is_one_of_the_api() {
    for manifest in &manifests() {
        let kind = text(manifest, "/kind");
        let kept = match kind {
            "Namespace" => through::<core::Namespace>(manifest),
            "ServiceAccount" => through::<core::ServiceAccount>(manifest),
            "ConfigMap" => through::<core::ConfigMap>(manifest),
            "Service" => through::<core::Service>(manifest),
            "DaemonSet" => through::<apps::DaemonSet>(manifest),
            "StatefulSet" => through::<apps::StatefulSet>(manifest),
            "Deployment" => through::<apps::Deployment>(manifest),
            "ClusterRole" => through::<rbac::ClusterRole>(manifest),
            "ClusterRoleBinding" => through::<rbac::ClusterRoleBinding>(manifest),
            "NetworkPolicy" => through::<networking::NetworkPolicy>(manifest),
            other => panic!("{other}: add its type here"),
        };
        assert_kept(manifest, &kept, kind);
        let is_everywhere = ["Namespace", "ClusterRole", "ClusterRoleBinding"].contains(&kind);
        assert!(is_everywhere || text(manifest, "/metadata/namespace") == "weir", "{manifest}");
    }
}

#[test]
fn names_lead_to_what_is_there() {
    let manifests = manifests();
    for workload in workloads(&manifests) {
        let name = text(workload, "/metadata/name");
        let pod = workload.pointer("/spec/template/spec").unwrap();
        let labels = workload.pointer("/spec/template/metadata/labels").unwrap();
        assert_eq!(workload.pointer("/spec/selector/matchLabels"), Some(labels));
        assert!(names(&manifests, "ServiceAccount").contains(text(pod, "/serviceAccountName")), "{name}");
        let container = &list(pod, "/containers")[0];
        assert_eq!(text(container, "/args/0"), text(labels, "/app.kubernetes.io~1component"), "{name}");

        let volumes = list(pod, "/volumes").iter();
        let claims = list(workload, "/spec/volumeClaimTemplates").iter().map(|claim| text(claim, "/metadata/name"));
        let volumes: BTreeSet<_> = volumes.map(|volume| text(volume, "/name")).chain(claims).collect();
        let mounts = list(container, "/volumeMounts").iter().map(|mount| text(mount, "/name")).collect();
        assert_eq!(volumes, mounts, "{name}");
        let sources = || list(pod, "/volumes").iter().flat_map(|volume| list(volume, "/projected/sources"));
        let maps: Vec<_> = sources().filter_map(|source| source.pointer("/configMap/name")?.as_str()).collect();
        assert!(maps.iter().all(|map| names(&manifests, "ConfigMap").contains(map)), "{maps:?}");
        assert_eq!(maps, [name]);
        // Nobody's secrets are in the repository: what is to be made, and how, stands where everybody begins.
        let secrets: Vec<_> = sources().filter_map(|source| source.pointer("/secret/name")?.as_str()).collect();
        assert_eq!(secrets, ["weir-tokens", &format!("{name}-tls")]);
        let manual = std::fs::read_to_string(root().join("configs/kubernetes/namespace.yaml")).unwrap();
        assert!(secrets.iter().all(|secret| manual.contains(secret)), "{secrets:?}");

        let ports: BTreeSet<_> = list(container, "/ports").iter().map(|port| text(port, "/name")).collect();
        for probe in ["/livenessProbe", "/readinessProbe"] {
            assert!(ports.contains(text(container, &format!("{probe}/httpGet/port"))), "{name}");
            assert_eq!(text(container, &format!("{probe}/httpGet/scheme")), "HTTPS", "{name}");
        }
        let service = of_kind(&manifests, "Service").find(|service| text(service, "/metadata/name") == name).unwrap();
        assert_eq!(service.pointer("/spec/selector"), Some(labels));
        assert!(list(service, "/spec/ports").iter().all(|port| ports.contains(text(port, "/targetPort"))), "{name}");
        let of_policy = |policy: &&Value| {
            policy.pointer("/spec/podSelector/matchLabels").is_some_and(|selected| selected == labels)
        };
        let policy = of_kind(&manifests, "NetworkPolicy").find(of_policy).expect("who gets in");
        let let_in = list(policy, "/spec/ingress").iter().flat_map(|rule| list(rule, "/ports"));
        assert_eq!(let_in.map(|port| text(port, "/port")).collect::<BTreeSet<_>>(), ports, "{name}");
    }
}

#[test]
fn no_container_may_more_than_it_needs() {
    let manifests = manifests();
    for workload in workloads(&manifests) {
        let pod = workload.pointer("/spec/template/spec").unwrap();
        let collects = text(workload, "/kind") == "DaemonSet";
        assert_eq!(text(pod, "/securityContext/seccompProfile/type"), "RuntimeDefault");
        // run.rs ends the process after 20 s.
        assert!(pod.pointer("/terminationGracePeriodSeconds").unwrap().as_u64() > Some(20));
        for key in ["/hostNetwork", "/hostIPC"] {
            assert_eq!(pod.pointer(key), None);
        }
        // Other pods' processes have a number for the collector only there.
        assert_eq!(pod.pointer("/hostPID"), collects.then_some(&Value::Bool(true)));
        let container = &list(pod, "/containers")[0];
        // An account's token is where the API is asked, and nowhere else.
        assert_eq!(pod.pointer("/automountServiceAccountToken"), (!collects).then_some(&Value::Bool(false)));
        let rights = container.pointer("/securityContext").unwrap();
        assert_eq!(rights.pointer("/allowPrivilegeEscalation"), Some(&Value::Bool(false)));
        assert_eq!(rights.pointer("/readOnlyRootFilesystem"), Some(&Value::Bool(true)));
        assert_eq!(list(rights, "/capabilities/drop"), ["ALL"]);
        assert_eq!(list(rights, "/capabilities/add"), if collects { &["DAC_READ_SEARCH"][..] } else { &[] });
        assert_eq!(pod.pointer("/securityContext/runAsNonRoot").is_none(), collects);
        let writable = list(container, "/volumeMounts").iter().filter(|mount| mount.get("readOnly").is_none());
        assert_eq!(writable.map(|mount| text(mount, "/mountPath")).collect::<Vec<_>>(), ["/var/lib/weir"]);
        assert!(container.pointer("/resources/requests/cpu").is_some(), "{container}");
        assert!(container.pointer("/resources/limits/memory").is_some(), "{container}");
        if collects {
            let map = of_kind(&manifests, "ConfigMap").find(|map| text(map, "/metadata/name") == "weir-collector");
            let config: Value = serde_saphyr::from_str(text(map.unwrap(), "/data/weir.yaml")).unwrap();
            let read = |limits: &Value| serde_json::from_value::<LimitOptions>(limits.clone()).unwrap();
            let own = read(&config["collector"]["limits"]);
            let given = read(container.pointer("/resources/limits").unwrap());
            assert!(own.memory.is_some() && own.memory < given.memory, "{own:?} {given:?}");
            assert!(own.cpu.is_some() && own.cpu < given.cpu, "{own:?} {given:?}");
        }
    }
    let role = of_kind(&manifests, "ClusterRole").next().unwrap();
    assert_eq!(
        role["rules"],
        serde_json::json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}])
    );
    let binding = of_kind(&manifests, "ClusterRoleBinding").next().unwrap();
    assert_eq!(text(binding, "/roleRef/name"), text(role, "/metadata/name"));
    assert_eq!(text(binding, "/subjects/0/name"), "weir-collector");
}

#[test]
fn every_configuration_is_one_that_the_program_takes() {
    let manifests = manifests();
    for workload in workloads(&manifests) {
        let name = text(workload, "/metadata/name");
        let map = of_kind(&manifests, "ConfigMap").find(|map| text(map, "/metadata/name") == name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in map.pointer("/data").unwrap().as_object().unwrap() {
            // Where the ConfigMap is mounted.
            let text = text.as_str().unwrap().replace("/etc/weir", folder.path().to_str().unwrap());
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let own = rcgen::generate_simple_self_signed([format!("{name}.weir")]).unwrap();
        std::fs::write(folder.path().join("tls.crt"), own.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), own.signing_key.serialize_pem()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["token", "new", "--name", "grafana", "--tenants", "*", "--role", "viewer", "--file"]);
        assert!(command.arg(folder.path().join("tokens.yaml")).output().unwrap().status.success());
        let config = folder.path().join("weir.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        let env = list(workload, "/spec/template/spec/containers/0/env").iter();
        command.env_clear().envs(env.map(|variable| (text(variable, "/name"), "node-1")));
        let output = command.args(["check", "--config"]).arg(config).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let container = workload.pointer("/spec/template/spec/containers/0").unwrap();
        let port = list(container, "/ports").iter().find(|port| text(port, "/name") == "https").unwrap();
        assert!(told.contains(&format!("HTTP       0.0.0.0:{}", port["containerPort"])), "{name}: {told}");
        assert!(told.contains("data       /var/lib/weir\n") && told.contains("bus        Kafka at "), "{told}");
        // Everybody is asked who they are, and nothing is read on its way.
        let of_map: Value = serde_saphyr::from_str(text(map, "/data/weir.yaml")).unwrap();
        assert!(of_map.get("allow_insecure").is_none() && of_map.pointer("/auth/tokens").is_some(), "{of_map}");
        assert!(of_map.pointer("/tls/cert").is_some(), "{of_map}");
        let is_sent_to = name == "weir-collector";
        assert_eq!(of_map.pointer("/collector/otlp/tls/cert").is_some(), is_sent_to, "{of_map}");
        assert!(name != "weir-alerter" || told.contains("rules      1 from"), "{told}");
        assert!(name != "weir-reflow" || told.contains("captures   1 from"), "{told}");
    }
}

/// Manifests of `configs/kubernetes/autoscaling`, and what they say of the alerter's configuration.
fn autoscaling(name: &str) -> (Vec<Value>, Value) {
    let text = std::fs::read_to_string(root().join("configs/kubernetes/autoscaling").join(name)).unwrap();
    let config: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#| ")).collect();
    let config = serde_saphyr::from_str(&config.join("\n")).unwrap();
    (serde_saphyr::from_multiple(&text).unwrap(), config)
}

/// That the program takes a configuration, with files of certificates where it names some.
fn assert_taken(config: &Value) {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["weir-alerter.weir".to_owned()]).unwrap();
    for (name, text) in [
        ("tls.crt", own.cert.pem()),
        ("keda-ca.crt", own.cert.pem()),
        ("tls.key", own.signing_key.serialize_pem()),
        ("weir.yaml", config.to_string().replace("/etc/weir", folder.path().to_str().unwrap())),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    let output = command.args(["check", "--config"]).arg(folder.path().join("weir.yaml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("scaling    KEDA gRPC 0.0.0.0:9090, mutual TLS") || told.contains("metrics 0.0.0.0:6443"),
        "{told}"
    );
}

#[test]
fn triggers_of_keda_are_ones_that_the_alerter_answers() {
    let (manifests, config) = autoscaling("keda.yaml");
    assert_taken(&config);
    let scaled = of_kind(&manifests, "ScaledObject").next().unwrap();
    let namespace = text(scaled, "/metadata/namespace");
    assert!(config.pointer("/collector/tenant/namespaces").unwrap().get(namespace).is_some(), "{config}");
    let triggers = list(scaled, "/spec/triggers");
    let asking = triggers.iter().filter(|trigger| text(trigger, "/type").starts_with("external"));
    let asking: Vec<_> = asking.collect();
    assert_eq!(
        asking.iter().map(|trigger| text(trigger, "/name")).collect::<Vec<_>>(),
        ["qps", "p99", "tokens", "queue", "gpu"]
    );
    assert!(triggers.iter().any(|trigger| text(trigger, "/type") == "cron"), "times of day");
    for trigger in asking {
        Query::parse(text(trigger, "/metadata/query")).unwrap_or_else(|error| panic!("{trigger}: {error}"));
        for key in ["/metadata/target", "/metadata/activationTarget"] {
            let number = trigger.pointer(key).map(|_| text(trigger, key).parse::<f64>().unwrap());
            assert!(number.is_none_or(|number| number > 0.0), "{trigger}");
        }
        assert!(trigger.pointer("/metadata/target").is_some(), "{trigger}");
        let auth = text(trigger, "/authenticationRef/name");
        assert!(names(&manifests, "ClusterTriggerAuthentication").contains(auth), "{trigger}");
    }
}

#[test]
fn a_horizontal_pod_autoscaler_names_metrics_that_the_alerter_has() {
    let (manifests, config) = autoscaling("external-metrics.yaml");
    assert_taken(&config);
    for manifest in &manifests {
        let kept = match text(manifest, "/kind") {
            "APIService" => through::<APIService>(manifest),
            "Service" => through::<core::Service>(manifest),
            "ClusterRoleBinding" => through::<rbac::ClusterRoleBinding>(manifest),
            "RoleBinding" => through::<rbac::RoleBinding>(manifest),
            "HorizontalPodAutoscaler" => through::<HorizontalPodAutoscaler>(manifest),
            other => panic!("{other}: add its type here"),
        };
        assert_kept(manifest, &kept, text(manifest, "/kind"));
    }
    let metrics = config.pointer("/alerter/external_metrics/metrics").unwrap().as_array().unwrap();
    let there: BTreeSet<_> = metrics.iter().map(|metric| text(metric, "/name")).collect();
    let scaled = of_kind(&manifests, "HorizontalPodAutoscaler").next().unwrap();
    let asked: BTreeSet<_> =
        list(scaled, "/spec/metrics").iter().map(|metric| text(metric, "/external/metric/name")).collect();
    assert_eq!(asked, there);
    let service = of_kind(&manifests, "Service").next().unwrap();
    let api = of_kind(&manifests, "APIService").next().unwrap();
    assert_eq!(text(api, "/spec/service/name"), text(service, "/metadata/name"));
    assert!(api.pointer("/spec/insecureSkipTLSVerify").is_none(), "{api}");
}

#[test]
fn the_image_is_made_of_what_is_there() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let (dockerfile, manifest) = (read("Dockerfile"), read("Cargo.toml"));
    let copied =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"));
    let copied: BTreeSet<_> = copied.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')).collect();
    let ignored = read(".dockerignore");
    for source in &copied {
        assert!(root().join(source).exists(), "{source}");
        assert!(ignored.lines().all(|line| line.trim_end_matches('/') != *source), "{source} is left out");
    }
    // Cargo reads the manifests of all members, whichever is built. A folder lies in one that is copied.
    let members = manifest.split("\nmembers = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let members: BTreeSet<_> = members.split('"').skip(1).step_by(2).collect();
    let folders: BTreeSet<_> =
        copied.iter().copied().filter(|source| root().join(source).join("Cargo.toml").exists()).collect();
    assert!(folders.is_subset(&members), "{folders:?}");
    for member in &members {
        assert!(folders.contains(member.split('/').next().unwrap()), "{member} is not copied");
    }
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "{version}");
}
