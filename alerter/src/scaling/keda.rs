//! KEDA's external scaler over gRPC. KEDA shows no token, so callers are known by their client certificate, or reach a
//! listener of loopback alone.
//!
//! KEDA takes an error of a poll as «unknown»: it neither scales by it nor to zero. Of a stream, an error is an end, and
//! KEDA comes back after 2 s, then twice as late each time, up to a minute. So a stream ends with an error only where
//! it could never be answered; while data are late or absent it is silent, and the polls of the same trigger tell of it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use weir_proto::externalscaler::external_scaler_server::ExternalScaler;
use weir_proto::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
use weir_service::auth::Tenants;
use weir_service::time::now_unix_ms;

use super::answer::{Answer, Unanswered};
use super::askers::{About, Asker, Askers, Kind};
use super::evaluate::Evaluator;
use super::namespaces::Namespaces;
use super::trigger::Trigger;

/// Streams that are open at once.
const MAX_STREAMS: usize = 256;
/// How often a stream looks whether event time has moved.
const LOOK: Duration = Duration::from_millis(500);
/// Longest name of a ScaledObject or a namespace, in bytes: Kubernetes' own.
const MAX_NAME: usize = 253;

/// What the calls share; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Keda {
    evaluator: Evaluator,
    namespaces: Namespaces,
    askers: Askers,
    streams: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// One trigger of one ScaledObject, with what it may see.
#[derive(Debug)]
struct Asking {
    asker: Asker,
    trigger: Trigger,
    tenants: Tenants,
}

/// A stream between two changes.
struct Watch {
    keda: Keda,
    asking: Asking,
    look: Interval,
    /// Event time of the last evaluation, in unix milliseconds.
    evaluated_ms: Option<i64>,
    /// What was pushed last.
    active: Option<bool>,
    _place: OwnedSemaphorePermit,
}

impl Keda {
    /// Streams end at the `shutdown`.
    pub(super) fn new(
        evaluator: Evaluator,
        namespaces: Namespaces,
        askers: Askers,
        shutdown: CancellationToken,
    ) -> Self {
        Self { evaluator, namespaces, askers, streams: Arc::new(Semaphore::new(MAX_STREAMS)), shutdown }
    }

    /// Who asks, and for what; a refusal is noted.
    fn asking(&self, reference: ScaledObjectRef) -> Result<Asking, Unanswered> {
        let ScaledObjectRef { name, namespace, scaler_metadata: metadata } = reference;
        for (key, text) in [("name", &name), ("namespace", &namespace)] {
            if text.is_empty() || text.len() > MAX_NAME {
                return Err(Unanswered::Wrong(format!("{key}: must have 1 to {MAX_NAME} bytes")));
            }
        }
        let tenants = self.namespaces.tenants(&namespace);
        let trigger = Trigger::read(&metadata);
        let text = metadata.get("query").map(|query| super::answer::shown(query)).unwrap_or_default();
        let asker = Asker {
            kind: Kind::Keda,
            namespace,
            name,
            metric: trigger.as_ref().map_or_else(|_| String::new(), Trigger::metric),
            query: trigger.as_ref().map_or(text, |trigger| trigger.query.text().to_owned()),
            selector: String::new(),
        };
        let about = About { tenants: tenants.clone().ok(), target: None, activation: None };
        match (tenants, trigger) {
            (Ok(tenants), Ok(trigger)) => Ok(Asking { asker, trigger, tenants }),
            (Err(error), _) | (_, Err(error)) => {
                self.askers.note(asker, about, Err(&error), now_unix_ms());
                Err(error)
            }
        }
    }

    async fn value(&self, asking: &Asking) -> Result<Answer, Unanswered> {
        self.evaluator.value(&asking.trigger.query, &[], &asking.tenants).await
    }

    async fn answer(&self, asking: &Asking) -> Result<Answer, Unanswered> {
        let answer = self.value(asking).await;
        self.note(asking, answer.as_ref());
        answer
    }

    fn note(&self, asking: &Asking, answer: Result<&Answer, &Unanswered>) {
        let trigger = &asking.trigger;
        let about = About {
            tenants: Some(asking.tenants.clone()),
            target: Some(trigger.target),
            activation: Some(trigger.activation),
        };
        let answer = answer.map(|answer| (answer.value, Some(trigger.is_active(answer.value)), answer.time_ms));
        self.askers.note(asking.asker.clone(), about, answer, now_unix_ms());
    }
}

impl Watch {
    /// Waits until the trigger's state differs from what was pushed last.
    async fn change(&mut self) -> bool {
        loop {
            self.look.tick().await;
            let Ok(time_ms) = self.keda.evaluator.time_ms() else { continue };
            if self.evaluated_ms.is_some_and(|evaluated_ms| time_ms <= evaluated_ms) {
                continue;
            }
            let answer = self.keda.value(&self.asking).await;
            self.evaluated_ms = Some(answer.as_ref().map_or(time_ms, |answer| answer.time_ms));
            let Ok(answer) = answer else { continue };
            let active = self.asking.trigger.is_active(answer.value);
            if self.active != Some(active) {
                self.active = Some(active);
                self.keda.note(&self.asking, Ok(&answer));
                return active;
            }
        }
    }
}

#[tonic::async_trait]
impl ExternalScaler for Keda {
    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        let asking = self.asking(request.into_inner()).map_err(|error| status(&error))?;
        let answer = self.answer(&asking).await.map_err(|error| status(&error))?;
        Ok(Response::new(IsActiveResponse { result: asking.trigger.is_active(answer.value) }))
    }

    type StreamIsActiveStream = Pin<Box<dyn Stream<Item = Result<IsActiveResponse, Status>> + Send>>;

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let asking = self.asking(request.into_inner()).map_err(|error| status(&error))?;
        let place = self.streams.clone().try_acquire_owned();
        let place = place.map_err(|_| status(&Unanswered::Busy(MAX_STREAMS)))?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = Watch { keda: self.clone(), asking, look, evaluated_ms: None, active: None, _place: place };
        // It works only while it is polled: a caller that goes away takes it along.
        let changes = futures::stream::unfold(watch, |mut watch| async move {
            let result = watch.change().await;
            Some((Ok(IsActiveResponse { result }), watch))
        });
        // Without an error: KEDA comes back at once.
        let stop = self.shutdown.clone().cancelled_owned();
        Ok(Response::new(Box::pin(changes.take_until(Box::pin(stop)))))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let Asking { trigger, .. } = self.asking(request.into_inner()).map_err(|error| status(&error))?;
        let spec = MetricSpec {
            metric_name: trigger.metric(),
            // What an old KEDA reads; a target of 0 would be none.
            target_size: trigger.target.round().max(1.0) as i64,
            target_size_float: trigger.target,
        };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        let asking = self.asking(scaled_object_ref.unwrap_or_default()).map_err(|error| status(&error))?;
        let answer = self.answer(&asking).await.map_err(|error| status(&error))?;
        // KEDA takes the whole number of what is below 0.
        let value =
            MetricValue { metric_name, metric_value: answer.value.round() as i64, metric_value_float: answer.value };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }
}

fn status(error: &Unanswered) -> Status {
    let code = match error {
        Unanswered::Wrong(_) => Code::InvalidArgument,
        Unanswered::Unmapped(_) => Code::PermissionDenied,
        Unanswered::Unknown | Unanswered::Late { .. } => Code::Unavailable,
        Unanswered::Absent(_) => Code::NotFound,
        Unanswered::Several { .. } | Unanswered::NotFinite { .. } | Unanswered::Histogram(_) | Unanswered::Query(_) => {
            Code::FailedPrecondition
        }
        Unanswered::Slow(_) => Code::DeadlineExceeded,
        Unanswered::Busy(_) => Code::ResourceExhausted,
    };
    Status::new(code, error.to_string())
}
