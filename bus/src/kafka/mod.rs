//! Apache Kafka, through librdkafka.
//!
//! # What is promised
//! - A producer is idempotent and asks for all in-sync replicas; a record waits for as long as the broker is away
//!   (`message.timeout.ms=0`), and the sender waits when 32 MiB wait. Whoever drops the last handle of a producer
//!   without [`crate::Producer::flush`] gives up what is still queued.
//! - A consumer reads committed records only, and never commits by itself. A rebalance is eager: all is revoked, then
//!   dealt out anew. A commit is refused here already if the partition is not this member's.
//! - A broker that is away is no error for producers and consumers: it is logged once when it goes and once when it
//!   is back. Admin calls wait up to ten seconds for it.
//! - After [`crate::Bus::give_up`] nobody waits for it any more. librdkafka's own calls end behind that, by themselves.

mod admin;
mod consumer;
mod context;
mod limits;
mod producer;
mod transactions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio_util::sync::CancellationToken;

pub(crate) use self::consumer::Consumer;
use self::context::Context;
use self::limits::Limits;
pub(crate) use self::producer::Producer;
pub(crate) use self::transactions::TransactionalProducer;
use crate::{Error, Options};

/// How long an admin call waits for Kafka.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects when it is first used; cheap to clone.
#[derive(Clone)]
pub(crate) struct Broker(Arc<Inner>);

struct Inner {
    /// Brokers and the user's properties.
    options: Options,
    reader: Mutex<Reader>,
    limits: Limits,
    /// Greatest record that this client's own properties let through, whatever the topic takes.
    own_limit: usize,
    /// Cancelled when nobody waits for Kafka any more.
    given_up: CancellationToken,
}

/// Asks for metadata and offsets; of no group.
#[derive(Default)]
struct Reader {
    client: Option<Arc<BaseConsumer<Context>>>,
    /// When it was first told that Kafka is away, since it last had an answer.
    away: Option<Instant>,
}

/// Whether librdkafka takes the properties; connects to nothing.
pub(crate) fn check(options: &Options) -> Result<(), Error> {
    let nowhere = Options { brokers: None, ..options.clone() };
    let broker = Broker::new(nowhere);
    // A client of each kind, as some properties are only found wanting together.
    drop(producer::client(&broker, Context::of("producer"))?);
    drop(broker.client::<BaseConsumer<Context>>(&consumer::config("weir"), Context::of("consumer"))?);
    Ok(())
}

impl Broker {
    fn new(options: Options) -> Self {
        let given_up = CancellationToken::new();
        let own_limit = limits::of_properties(&options);
        Self(Arc::new(Inner { options, reader: Mutex::default(), limits: Limits::default(), own_limit, given_up }))
    }

    /// Connects to nothing yet; the properties are those that [`check`] has seen.
    pub(crate) fn open(options: &Options) -> Self {
        Self::new(options.clone())
    }

    pub(crate) async fn answers(&self, within: Duration) -> bool {
        let broker = self.clone();
        // Any answer will do, so a short one is asked for; and also of whoever gave up.
        let ask = move || {
            let answer = broker.ask(|reader| reader.fetch_metadata(Some("weir-is-anybody-there"), within))?;
            Ok::<_, Error>(!answer.is_err_and(|error| is_away(&error)))
        };
        tokio::task::spawn_blocking(ask).await.is_ok_and(|answer| answer.unwrap_or(false))
    }

    pub(crate) fn give_up(&self) {
        self.0.given_up.cancel();
    }

    /// What `work` gives, or [`Error::Closed`] once nobody waits any more.
    async fn or_given_up<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.0.given_up.cancelled() => Err(Error::Closed),
        }
    }

    /// librdkafka's blocking calls, off the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let work = async { tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)? };
        self.or_given_up(work).await
    }

    /// weir's properties, and over them the user's.
    fn config(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        if let Some(brokers) = &self.0.options.brokers {
            config.set("bootstrap.servers", brokers);
        }
        config.set("client.id", "weir").set("socket.keepalive.enable", "true").set("log.connection.close", "false");
        config.set("reconnect.backoff.max.ms", "2000");
        for (key, value) in own.iter().copied().chain(self.0.options.properties.iter().map(|(k, v)| (&**k, &**v))) {
            config.set(key, value);
        }
        config
    }

    fn client<T: rdkafka::config::FromClientConfigAndContext<Context>>(
        &self,
        own: &[(&str, &str)],
        context: Context,
    ) -> Result<T, Error> {
        self.config(own).create_with_context(context).map_err(|error| kafka("cannot be opened", error))
    }

    /// Asks the reader, which is opened where there is none.
    fn ask<T>(
        &self,
        ask: impl FnOnce(&BaseConsumer<Context>) -> Result<T, KafkaError>,
    ) -> Result<Result<T, KafkaError>, Error> {
        let client = {
            let mut reader = self.0.reader.lock();
            if let Some(client) = &reader.client {
                client.clone()
            } else {
                let own = [("allow.auto.create.topics", "false")];
                reader.client.insert(Arc::new(self.client(&own, Context::of("reader of topics"))?)).clone()
            }
        };
        let answer = ask(&client);
        self.0.reader.lock().heard(&client, answer.as_ref().is_err_and(is_away), Instant::now());
        Ok(answer)
    }
}

impl Reader {
    /// Gives `client` up once it has told for [`ADMIN_TIMEOUT`] that Kafka is away: the next begins with the configured
    /// addresses. A client that is told of a cluster without brokers, as a fenced broker tells, forgets all of them and
    /// may never look again (librdkafka's issue 5301).
    fn heard(&mut self, client: &Arc<BaseConsumer<Context>>, away: bool, now: Instant) {
        if !self.client.as_ref().is_some_and(|current| Arc::ptr_eq(current, client)) {
            return;
        }
        self.away = away.then(|| self.away.unwrap_or(now));
        if self.away.is_some_and(|since| now.saturating_duration_since(since) >= ADMIN_TIMEOUT) {
            *self = Self::default();
        }
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Properties may hold passwords.
        f.debug_struct("Kafka").field("brokers", &self.0.options.brokers).finish_non_exhaustive()
    }
}

/// Kafka's error in the bus's words.
fn kafka(context: &str, error: KafkaError) -> Error {
    match &error {
        // The value may be a password, so librdkafka's text, which quotes it, is left out.
        KafkaError::ClientConfig(_, _, key, _) => {
            Error::Options(format!("bus.properties: librdkafka does not take this name or value of `{key}`"))
        }
        KafkaError::ClientCreation(reason) => Error::Options(format!("bus.properties: {reason}")),
        _ => match code(&error) {
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                Error::Unknown(context.to_owned())
            }
            Some(code) if is_fenced(code) => Error::Fenced(format!("{context}: {code}")),
            _ => Error::Kafka { context: context.to_owned(), source: error },
        },
    }
}

/// librdkafka's code for an error, for admin calls too.
fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// Whether this says that no broker answers just now.
fn is_away(error: &KafkaError) -> bool {
    code(error).is_some_and(consumer::is_away)
}

/// Whether this says that another took the place of a producer, or of a group's member.
fn is_fenced(code: Code) -> bool {
    matches!(
        code,
        Code::Fenced
            | Code::ProducerFenced
            | Code::InvalidProducerEpoch
            | Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::FencedMemberEpoch
            | Code::RebalanceInProgress
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Broker as Kind;

    fn options(properties: &[(&str, &str)]) -> Options {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Options { broker: Kind::Kafka, brokers: Some("127.0.0.1:1".to_owned()), properties, ..Options::default() }
    }

    #[test]
    fn tls_sasl_and_both_compressions_are_built_in() {
        let features = ClientConfig::new().create_native_config().unwrap().get("builtin.features").unwrap();
        let features: Vec<_> = features.trim_end_matches('\0').split(',').collect();
        for wanted in ["ssl", "sasl_plain", "sasl_scram", "lz4", "zstd"] {
            assert!(features.contains(&wanted), "{wanted} is not among {features:?}");
        }
    }

    #[tokio::test]
    async fn tls_and_scram_are_taken_and_kafka_that_is_away_is_no_error() {
        let options = options(&[
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
        ]);
        check(&options).unwrap();
        let bus = crate::Bus::open(&options, std::path::Path::new("")).await.unwrap();
        assert!(!bus.answers(Duration::from_millis(200)).await);
    }

    #[test]
    fn a_bad_property_is_named_and_its_value_is_not_shown() {
        for (key, value) in [("sasl.pasword", "hunter2"), ("security.protocol", "hunter2")] {
            let error = options(&[(key, value)]).check().unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(matches!(error, Error::Options(_)) && text.contains(key) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn properties_that_do_not_fit_together_are_refused() {
        for properties in [
            &[("security.protocol", "ssl"), ("ssl.ca.location", "/no/such/file")][..],
            &[("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "NONSENSE")],
        ] {
            let error = options(properties).check().unwrap_err();
            assert!(matches!(error, Error::Options(_)), "{error:?}");
        }
    }

    #[tokio::test]
    async fn whoever_gave_up_waits_no_longer_for_kafka_that_is_away() {
        let bus = crate::Bus::open(&options(&[]), std::path::Path::new("")).await.unwrap();
        let record = || crate::Record { topic: "t".into(), value: "v".into(), ..crate::Record::default() };
        let producer = bus.producer().unwrap();
        let delivery = producer.send(record()).await.unwrap();
        let transactions = tokio::spawn({
            let bus = bus.clone();
            async move { bus.transactional_producer("id").await }
        });
        tokio::task::yield_now().await;
        bus.give_up();
        assert!(matches!(delivery.await, Err(Error::Closed)));
        assert!(matches!(transactions.await.unwrap(), Err(Error::Closed)));
        assert!(matches!(producer.flush().await, Err(Error::Closed)));
        assert!(matches!(producer.send(record()).await.err(), Some(Error::Closed)));
        assert!(matches!(bus.partitions("t").await, Err(Error::Closed)));
        assert!(matches!(bus.ensure_topics(&[bus.topic_spec("t")]).await, Err(Error::Closed)));
    }

    #[tokio::test]
    async fn a_reader_that_tells_for_long_that_kafka_is_away_is_made_anew() {
        let broker = Broker::open(&options(&[]));
        let away = || Err::<(), _>(KafkaError::MetadataFetch(Code::BrokerTransportFailure));
        broker.ask(|_| away()).unwrap().unwrap_err();
        let client = |broker: &Broker| broker.0.reader.lock().client.clone();
        let (first, now) = (client(&broker).unwrap(), Instant::now());
        for (away, after, kept) in [
            (true, ADMIN_TIMEOUT / 2, true),
            (false, ADMIN_TIMEOUT, true),
            (true, ADMIN_TIMEOUT * 2, true),
            (true, ADMIN_TIMEOUT * 5 / 2, true),
            (true, ADMIN_TIMEOUT * 3, false),
        ] {
            broker.0.reader.lock().heard(&first, away, now + after);
            assert_eq!(client(&broker).is_some(), kept, "{after:?}");
        }
        broker.ask(|_| away()).unwrap().unwrap_err();
        let second = client(&broker).unwrap();
        broker.0.reader.lock().heard(&first, true, now + ADMIN_TIMEOUT * 9);
        assert!(Arc::ptr_eq(&client(&broker).unwrap(), &second), "another one's answer");
    }

    #[test]
    fn the_users_properties_win() {
        let broker = Broker::open(&options(&[("compression.type", "zstd")]));
        assert_eq!(broker.config(&[("compression.type", "lz4")]).get("compression.type"), Some("zstd"));
    }
}
