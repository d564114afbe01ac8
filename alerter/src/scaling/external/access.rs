//! Whether a user may read a metric of a namespace: the Kubernetes API's `SubjectAccessReview`, remembered for as long as
//! its own API servers remember one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use parking_lot::Mutex;
use weir_service::telemetry::whole;

use super::discovery::{GROUP, VERSION};
use super::front_proxy::User;
use super::kubernetes::Api;
use super::status::{Failure, Reason};

/// So long an answer holds.
const KEPT: Duration = Duration::from_secs(10);
/// Answers that are remembered.
const MAX_REMEMBERED: usize = 1024;

/// User, namespace and metric.
type Asked = (User, String, String);
/// When it was decided, and how.
type Decided = (Instant, Result<(), Failure>);

/// The answers of before.
#[derive(Debug, Default)]
pub(super) struct Access(Mutex<HashMap<Asked, Decided>>);

impl Access {
    /// Whether it is allowed; where that is not known, it is not.
    pub(super) async fn check(&self, api: &Api, user: &User, namespace: &str, metric: &str) -> Result<(), Failure> {
        let asked = (user.clone(), namespace.to_owned(), metric.to_owned());
        if let Some((at, decided)) = self.0.lock().get(&asked)
            && at.elapsed() < KEPT
        {
            return decided.clone();
        }
        let answered = api.review(&review(&asked)).await.map_err(|error| {
            let error = whole(&error).to_string();
            tracing::warn!(error, user = user.name, "external metrics: access cannot be reviewed");
            Failure::new(Reason::ServiceUnavailable, format!("access cannot be reviewed: {error}"))
        })?;
        let decided = decide(&asked, &answered);
        let mut remembered = self.0.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, (at, _)| at.elapsed() < KEPT);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(asked, (Instant::now(), decided.clone()));
        }
        decided
    }
}

/// The question. A GET of a metric's values is a `list`, since it names none of them.
fn review((user, namespace, metric): &Asked) -> SubjectAccessReview {
    let resource = ResourceAttributes {
        group: Some(GROUP.to_owned()),
        version: Some(VERSION.to_owned()),
        namespace: Some(namespace.clone()),
        resource: Some(metric.clone()),
        verb: Some("list".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(user.name.clone()),
        uid: user.uid.clone(),
        groups: Some(user.groups.clone()),
        extra: Some(user.extra.clone()),
        resource_attributes: Some(resource),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

fn decide((user, namespace, metric): &Asked, answered: &SubjectAccessReviewStatus) -> Result<(), Failure> {
    if answered.allowed && answered.denied != Some(true) {
        return Ok(());
    }
    let why = answered.reason.as_deref().filter(|reason| !reason.is_empty());
    let why = why.map(|reason| format!(": {reason}")).unwrap_or_default();
    let message = format!(
        "{metric}.{GROUP} is forbidden: User \"{}\" cannot list resource \"{metric}\" in API group \"{GROUP}\" in the \
         namespace \"{namespace}\"{why}",
        user.name
    );
    Err(Failure::new(Reason::Forbidden, message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn asked() -> Asked {
        let user = User {
            name: "hpa".to_owned(),
            uid: None,
            groups: vec!["g".to_owned()],
            extra: BTreeMap::from([("k".to_owned(), vec!["v".to_owned()])]),
        };
        (user, "team-a".to_owned(), "queue_depth".to_owned())
    }

    #[test]
    fn the_review_asks_for_the_user_and_the_metric_in_the_namespace() {
        let review = serde_json::to_value(review(&asked())).unwrap();
        assert_eq!(
            review["spec"],
            serde_json::json!({
                "user": "hpa", "groups": ["g"], "extra": {"k": ["v"]},
                "resourceAttributes": {
                    "group": "external.metrics.k8s.io", "version": "v1beta1", "namespace": "team-a",
                    "resource": "queue_depth", "verb": "list",
                },
            })
        );
    }

    #[test]
    fn only_what_is_allowed_and_not_denied_is_allowed() {
        let status = |allowed, denied| SubjectAccessReviewStatus { allowed, denied, ..Default::default() };
        let is_ok = |status| decide(&asked(), &status).is_ok();
        assert!(is_ok(status(true, None)) && is_ok(status(true, Some(false))));
        assert!(!is_ok(status(false, None)) && !is_ok(status(false, Some(true))) && !is_ok(status(true, Some(true))));
    }
}
