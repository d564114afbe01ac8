//! The loop that keeps [`Pods`] in step with the API server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::metrics::{Gauge, Meter};
use tokio::time::timeout_at;

use super::Error;
use super::api::{Api, Event, Kind, Metadata, Object, PAGES, Watch};
use super::pods::{self, Known, Pod, Pods, State};
use super::resources::Runs;

/// Waits.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// How long the server is asked to keep a watch at most; some are shorter, so that not all collectors come again at
    /// the same time.
    pub(super) watch: Duration,
    /// After that, until a watch is ended from here that the server did not end: its connection is gone without a word.
    pub(super) grace: Duration,
    /// Least and greatest wait between two rounds. Files wait for their pods for longer than the greatest, or the first of
    /// them would give up while a server that is back is not asked.
    pub(super) waits: [Duration; 2],
    /// After a round of so long, the next wait is the least.
    pub(super) steady: Duration,
    /// How long after a watch the next may begin before what happens meanwhile is missed. Files wait for their pods for
    /// longer than that.
    pub(super) late: Duration,
    /// How long a watch is listened to until what came before it has surely been told.
    pub(super) catch_up: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            watch: Duration::from_mins(5),
            grace: Duration::from_secs(30),
            waits: [Duration::from_millis(100), Duration::from_secs(5)],
            steady: Duration::from_secs(5),
            late: Duration::from_secs(1),
            catch_up: Duration::from_secs(1),
        }
    }
}

/// Waits that double, up to the greatest; each is shortened by chance, by up to a half.
#[derive(Debug)]
struct Backoff {
    waits: [Duration; 2],
    next: Duration,
}

impl Backoff {
    fn new(waits: [Duration; 2]) -> Self {
        Self { waits, next: waits[0] }
    }

    fn reset(&mut self) {
        self.next = self.waits[0];
    }

    fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.waits[1]);
        shortened(wait, 0.5)
    }
}

/// Shorter by up to so much of it.
fn shortened(time: Duration, part: f64) -> Duration {
    time.mul_f64(1.0 - part * rand::random::<f64>())
}

/// Failures in a row, of which the second is told, and so is their end.
#[derive(Debug, Default)]
struct Standing {
    failures: u32,
}

impl Standing {
    /// Whether it is to be told.
    fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures == 2
    }

    /// Whether it is to be told.
    fn well(&mut self) -> bool {
        std::mem::take(&mut self.failures) >= 2
    }
}

/// An error with its causes, as one line; what one has said of the next is not said twice.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        before if before.ends_with(&cause) => said,
        before => format!("{before}: {cause}"),
    })
}

#[derive(Debug)]
pub(super) struct Watcher {
    api: Api,
    pods: Pods,
    /// The label or annotation that names a pod's tenant.
    tenant: String,
    settings: Settings,
    standing: Standing,
    /// When the last watch ended.
    heard: Instant,
    /// Whether it was told that there are more pods than are taken in.
    full: bool,
    count: Gauge<u64>,
    in_step: Gauge<u64>,
}

impl Watcher {
    pub(super) fn new(api: Api, pods: Pods, tenant: &str, settings: Settings, meter: &Meter) -> Self {
        let count = meter.u64_gauge("weir_collector_kubernetes_pods").with_unit("{pod}");
        let in_step = meter.u64_gauge("weir_collector_kubernetes_in_step");
        let watcher = Self {
            api,
            pods,
            tenant: tenant.to_owned(),
            settings,
            standing: Standing::default(),
            heard: Instant::now(),
            full: false,
            count: count.with_description("Pods that the Kubernetes API has told of and that are there").build(),
            in_step: in_step.with_description("1 while the Kubernetes API tells of every change, else 0").build(),
        };
        watcher.set(State::Away);
        watcher
    }

    /// Runs for ever; every wait in it may be cut off.
    pub(super) async fn run(mut self) {
        let mut version = None;
        let mut backoff = Backoff::new(self.settings.waits);
        loop {
            let began = Instant::now();
            if let Err(error) = self.round(&mut version).await {
                self.ended(&error, &mut version);
            }
            if began.elapsed() >= self.settings.steady {
                backoff.reset();
            }
            self.or_away(tokio::time::sleep(backoff.wait())).await;
        }
    }

    /// Lists if there is nothing to go on from, then watches until that ends. Each has a connection of its own: a token
    /// or an authority that was replaced is used at once.
    async fn round(&mut self, version: &mut Option<String>) -> Result<(), Error> {
        let from = match version {
            Some(version) => version.clone(),
            None => version.insert(self.list().await?).clone(),
        };
        let time = shortened(self.settings.watch, 0.2);
        let watch = async { self.api.connect().await?.watch(&from, time, self.settings.grace).await };
        let watch = self.or_away(watch).await?;
        if self.standing.well() {
            tracing::info!("the Kubernetes API is back");
        }
        let ended = self.listen(watch, version).await;
        self.heard = Instant::now();
        ended
    }

    /// Takes events until the watch ends. What happened before it began is told first.
    async fn listen(&mut self, mut watch: Watch, version: &mut Option<String>) -> Result<(), Error> {
        let caught_up = Instant::now() + self.settings.catch_up;
        let mut is_behind = true;
        loop {
            let next = if is_behind {
                let Ok(next) = timeout_at(caught_up.into(), watch.next()).await else {
                    is_behind = false;
                    self.set(State::InStep);
                    continue;
                };
                next
            } else {
                watch.next().await
            };
            let Some(event) = next? else { return Ok(()) };
            let at = event.object.metadata.resource_version.clone();
            self.take(event);
            if !at.is_empty() {
                *version = Some(at);
            }
        }
    }

    /// Waits for what there is between two watches; where that takes long, events are missed meanwhile.
    async fn or_away<T>(&self, what: impl Future<Output = T>) -> T {
        let mut what = std::pin::pin!(what);
        if let Ok(done) = timeout_at((self.heard + self.settings.late).into(), &mut what).await {
            return done;
        }
        self.set(State::Away);
        what.await
    }

    fn ended(&mut self, error: &Error, version: &mut Option<String>) {
        match error {
            Error::Expired => {
                tracing::debug!("the list of pods is asked for again: {error}");
                self.set(State::Away);
                return *version = None;
            }
            // What cannot be read would come again; a list goes around it.
            Error::Large(_) | Error::Answer(_) => {
                self.set(State::Away);
                *version = None;
            }
            _ => {}
        }
        if self.standing.failed() {
            tracing::warn!(
                error = whole(error),
                "the Kubernetes API is away: the labels of pods that are new are not known until it is back"
            );
            self.set(State::Away);
        }
    }

    /// Takes in all pods that there are; gives the version from where to watch.
    async fn list(&mut self) -> Result<String, Error> {
        let connection = self.api.connect().await?;
        self.pods.quietly(Known::begin);
        let mut sizes = PAGES.into_iter();
        let mut size = sizes.next().unwrap_or_default();
        let mut next: Option<String> = None;
        loop {
            let page = match (connection.page(size, next.as_deref()).await, sizes.len()) {
                (Err(Error::Large(_)), 1..) => {
                    size = sizes.next().unwrap_or(size);
                    continue;
                }
                (page, _) => page?,
            };
            let pods = page.items.unwrap_or_default().into_iter().map(|object| self.pod(object));
            let pods: Vec<_> = pods.collect();
            self.put(pods);
            next = page.metadata.r#continue.filter(|next| !next.is_empty());
            if next.is_none() {
                self.pods.update(|known| known.end(Instant::now()));
                self.measure();
                return Ok(page.metadata.resource_version);
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event.kind {
            Kind::Added | Kind::Modified => {
                let pod = self.pod(event.object);
                self.put(vec![pod]);
            }
            Kind::Deleted => {
                let uid = event.object.metadata.uid;
                self.pods.update(|known| known.remove(&uid, Instant::now()));
            }
            Kind::Bookmark | Kind::Error | Kind::Other => self.pods.quietly(|known| known.expire(Instant::now())),
        }
        self.measure();
    }

    /// A pod, and how it runs where that is asked for.
    fn pod(&self, object: Object) -> (Pod, Option<Runs>) {
        let Object { metadata, spec, status, .. } = object;
        let Metadata { namespace, name, uid, labels, annotations, .. } = metadata;
        let [labels, annotations] =
            pods::kept(&self.tenant, labels.unwrap_or_default(), annotations.unwrap_or_default());
        let node: Option<Arc<str>> = self.api.node.clone();
        let runs = self.api.whole.then(|| Runs::new(spec, &status));
        (Pod { namespace, name, uid, node, labels, annotations, gone: false }, runs)
    }

    fn put(&mut self, pods: Vec<(Pod, Option<Runs>)>) {
        let now = Instant::now();
        let put = |known: &mut Known| {
            let put = pods.into_iter().map(|(pod, runs)| known.put(pod, runs, now));
            put.filter(|has_room| !has_room).count()
        };
        if self.pods.update(put) > 0 && !std::mem::replace(&mut self.full, true) {
            tracing::warn!(
                "there are more pods than are remembered: set collector.kubernetes.node, and only that node's are asked for"
            );
        }
    }

    fn set(&self, state: State) {
        self.pods.set(state);
        self.in_step.record(u64::from(state == State::InStep), &[]);
        self.measure();
    }

    fn measure(&self) {
        self.count.record(self.pods.count() as u64, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_greatest_and_chance_shortens_them() {
        let [least, greatest] = Settings::default().waits;
        let mut backoff = Backoff::new([least, greatest]);
        for doubled in 0..20 {
            let most = (least * 2_u32.pow(doubled)).min(greatest);
            let wait = backoff.wait();
            assert!(wait <= most && wait * 2 >= most, "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= least);
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = Error::from(kube::Error::Service("connection refused".into()));
        assert_eq!(whole(&error), "the API server was not reached: ServiceError: connection refused");
    }

    #[test]
    fn being_away_is_told_once_at_the_second_failure_and_being_back_once() {
        let mut standing = Standing::default();
        assert!(!standing.failed() && !standing.well(), "once is nothing");
        assert_eq!([(); 4].map(|()| standing.failed()), [false, true, false, false]);
        assert!(standing.well() && !standing.well());
    }
}
