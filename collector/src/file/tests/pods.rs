//! Files of pods, their labels and their tenants.

use weir_proto::otlp::common::v1::KeyValue;

use super::*;
use crate::kubernetes::{Pod, Pods, State};

const UID: &str = "11111111-2222-3333-4444-555555555555";

impl World {
    /// Follows the folders of pods, of which these are known.
    async fn of_pods(pods: &Pods) -> Self {
        let mut world = Self::new(Format::Cri).await;
        world.options.files[0].include = vec![world.path("*/*/*.log").to_str().unwrap().to_owned()];
        world.naming = Naming::of("", &world.options.tenant).with(pods);
        world
    }

    /// The log file of a container of this pod.
    fn log(&self, uid: &str) -> String {
        let folder = format!("team-a_ocr-1_{uid}/main");
        fs::create_dir_all(self.path(&folder)).unwrap();
        format!("{folder}/0.log")
    }

    /// Of each record that came: its body, and an attribute of its resource.
    async fn resources(&self, key: &str) -> Vec<(String, String)> {
        let text = |attributes: &[KeyValue]| {
            let found = attributes.iter().find(|attribute| attribute.key == key);
            match found.and_then(|attribute| attribute.value.as_ref()?.value.clone()) {
                Some(Value::StringValue(text)) => text,
                _ => String::new(),
            }
        };
        let mut found = Vec::new();
        for message in self.messages().await {
            let request = ExportLogsServiceRequest::decode(&*message.value).unwrap();
            for logs in request.resource_logs {
                let value = text(&logs.resource.unwrap().attributes);
                for record in logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                    let Some(Value::StringValue(body)) = record.body.unwrap().value else { panic!() };
                    found.push((body, value.clone()));
                }
            }
        }
        found.sort();
        found
    }
}

fn of(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(body, value)| ((*body).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn labels_and_the_tenant_that_they_name_are_in_what_is_sent() {
    let pods = Pods::of_test(State::InStep);
    pods.come(Pod::of_test(UID, "acme"));
    let world = World::of_pods(&pods).await;
    world.append(&world.log(UID), cri("1"));
    world.to_the_end().await;
    assert_eq!(world.resources("weir.tenant").await, of(&[("1", "acme")]));
    assert_eq!(world.resources("k8s.pod.label.app").await, of(&[("1", "ocr")]));
    assert_eq!(world.resources("k8s.pod.uid").await, of(&[("1", UID)]));
}

#[tokio::test]
async fn a_file_waits_for_its_pod_and_then_has_its_tenant_from_the_first_line_on() {
    for state in [State::InStep, State::Away] {
        let pods = Pods::of_test(state);
        let world = World::of_pods(&pods).await;
        world.append(&world.log(UID), cri("1"));
        let running = world.start();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(world.bodies().await.is_empty());
        pods.come(Pod::of_test(UID, "acme"));
        world.wait_for(1).await;
        // What changes later is in what is read later.
        pods.come(Pod::of_test(UID, "umbrella"));
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.append(&world.log(UID), cri("2"));
        world.wait_for(2).await;
        stop(running).await;
        assert_eq!(world.resources("weir.tenant").await, of(&[("1", "acme"), ("2", "umbrella")]), "{state:?}");
    }
}

#[tokio::test]
async fn a_pod_that_never_comes_is_not_waited_for_long_and_another_of_its_name_gives_nothing() {
    let pods = Pods::of_test(State::InStep);
    pods.come(Pod::of_test("99999999-2222-3333-4444-555555555555", "umbrella"));
    let world = World::of_pods(&pods).await;
    world.append(&world.log(UID), cri("1"));
    world.to_the_end().await;
    assert_eq!(world.resources("weir.tenant").await, of(&[("1", "default")]));
    assert_eq!(world.resources("k8s.pod.label.app").await, of(&[("1", "")]));
    assert_eq!(world.resources("k8s.pod.name").await, of(&[("1", "ocr-1")]));
}

#[tokio::test]
async fn what_was_known_of_a_pod_is_known_after_a_restart_though_it_is_gone() {
    let pods = Pods::of_test(State::InStep);
    pods.come(Pod::of_test(UID, "acme"));
    let mut world = World::of_pods(&pods).await;
    world.append(&world.log(UID), cri("1"));
    world.to_the_end().await;
    world.append(&world.log(UID), cri("2"));
    world.naming = Naming::of("", &world.options.tenant).with(&Pods::of_test(State::InStep));
    world.to_the_end().await;
    assert_eq!(world.resources("weir.tenant").await, of(&[("1", "acme"), ("2", "acme")]));
}
