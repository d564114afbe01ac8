//! Topics, offsets and lag.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::consumer::{committed, config, list};
use super::context::Context;
use super::{ADMIN_TIMEOUT, Broker, kafka};
use crate::{BATCH_OVERHEAD, Error, Lag, MAX_LARGE_MESSAGE_BYTES, Partition, Position, TopicSpec};

impl Broker {
    pub(super) fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Error> {
        self.config(&[]).create().map_err(|error| kafka("cannot be opened", error))
    }

    pub(crate) async fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        let admin = self.admin()?;
        for spec in topics {
            self.or_given_up(self.ensure(&admin, spec)).await?;
        }
        let names: Vec<_> = topics.iter().map(|spec| spec.name.as_str()).collect();
        self.read_due_limits(&names).await;
        Ok(())
    }

    async fn ensure(&self, admin: &AdminClient<DefaultClientContext>, spec: &TopicSpec) -> Result<(), Error> {
        let failed = |code| kafka(&format!("making topic {}", spec.name), KafkaError::AdminOp(code));
        let limits = limits(spec);
        let mut topic = NewTopic::new(&spec.name, spec.partitions.max(1), TopicReplication::Fixed(spec.replication));
        for (name, value) in &limits {
            topic = topic.set(name, value);
        }
        let made = admin.create_topics([&topic], &timeouts()).await;
        let made = made.map_err(|error| kafka(&format!("making topic {}", spec.name), error))?;
        match Answer::of(made) {
            Answer::Done => return self.until_known(spec).await,
            Answer::There => {}
            // Who may not make topics is given them, with the partitions that their owner thought right.
            Answer::Forbidden(_) if self.partitions(&spec.name).await.is_ok() => return Ok(()),
            Answer::Forbidden(code) | Answer::Failed(code) => return Err(failed(code)),
        }
        if self.partitions(&spec.name).await? < spec.partitions {
            let more = NewPartitions::new(&spec.name, spec.partitions as usize);
            let grown = admin.create_partitions([&more], &timeouts()).await;
            let grown = grown.map_err(|error| kafka(&format!("growing topic {}", spec.name), error))?;
            match Answer::of(grown) {
                // Another was faster.
                Answer::Done | Answer::There | Answer::Failed(Code::InvalidPartitions) => {}
                Answer::Forbidden(_) => {
                    tracing::warn!(
                        topic = spec.name,
                        wanted = spec.partitions,
                        "the topic has fewer partitions than configured, and may not be grown"
                    );
                    return Ok(());
                }
                Answer::Failed(code) => return Err(failed(code)),
            }
            self.until_known(spec).await?;
        }
        Ok(())
    }

    /// A broker may have made a topic some time before all speak of it.
    async fn until_known(&self, spec: &TopicSpec) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + ADMIN_TIMEOUT;
        loop {
            match self.partitions(&spec.name).await {
                Ok(count) if count >= spec.partitions => return Ok(()),
                Ok(_) | Err(Error::Unknown(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Ok(_) => return Err(Error::Unknown(spec.name.clone())),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn delete_topic(&self, name: &str) -> Result<(), Error> {
        let failed = |error| kafka(&format!("removing topic {name}"), error);
        let admin = self.admin()?;
        let ask = async { admin.delete_topics(&[name], &timeouts()).await.map_err(failed) };
        let done = self.or_given_up(ask).await?;
        match done.into_iter().next() {
            Some(Err((_, code))) => Err(failed(KafkaError::AdminOp(code))),
            _ => Ok(()),
        }
    }

    pub(crate) async fn partitions(&self, topic: &str) -> Result<i32, Error> {
        let (broker, topic) = (self.clone(), topic.to_owned());
        self.blocking(move || count(&broker, &topic)).await
    }

    pub(crate) async fn offsets(&self, partition: &Partition) -> Result<(i64, i64), Error> {
        let (broker, partition) = (self.clone(), partition.clone());
        self.blocking(move || offsets(&broker, &partition)).await
    }

    pub(crate) async fn lag(&self, group: &str, topics: &[&str]) -> Result<Vec<Lag>, Error> {
        let (broker, group) = (self.clone(), group.to_owned());
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let ask = move || {
            let mut partitions = Vec::new();
            for topic in topics {
                let count = count(&broker, &topic)?;
                let name: std::sync::Arc<str> = topic.into();
                partitions.extend((0..count).map(|n| Partition::new(name.clone(), n)));
            }
            // It joins nothing; librdkafka asks for positions only in the name of a client's own group.
            let asker: BaseConsumer<Context> = broker.client(&config(&group), Context::of("reader of positions"))?;
            let committed = committed(|list| asker.committed_offsets(list, ADMIN_TIMEOUT), &partitions)?;
            let lag = partitions.into_iter().map(|partition| {
                let (low, high) = offsets(&broker, &partition)?;
                let committed = committed.iter().find(|p| p.partition == partition).map(|p| p.offset);
                Ok(Lag { partition, committed, low, high })
            });
            lag.collect()
        };
        self.blocking(ask).await
    }

    pub(crate) async fn publish(&self, group: &str, positions: &[Position]) -> Result<(), Error> {
        let (broker, group, positions) = (self.clone(), group.to_owned(), list(positions)?);
        let publish = move || {
            // It joins nothing: Kafka takes positions of anybody as long as the group has no members.
            let client: BaseConsumer<Context> = broker.client(&config(&group), Context::of("writer of positions"))?;
            client.commit(&positions, CommitMode::Sync).map_err(|error| kafka("publishing positions", error))
        };
        self.blocking(publish).await
    }
}

/// What came of making or growing a topic.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    There,
    Forbidden(Code),
    Failed(Code),
}

impl Answer {
    /// The answer to a request for one topic.
    fn of(results: Vec<TopicResult>) -> Self {
        match results.into_iter().next() {
            None | Some(Ok(_)) => Self::Done,
            Some(Err((_, Code::TopicAlreadyExists))) => Self::There,
            Some(Err((_, code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)))) => {
                Self::Forbidden(code)
            }
            Some(Err((_, code))) => Self::Failed(code),
        }
    }
}

fn timeouts() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT))
}

/// Kafka's default of `segment.ms`.
const SEGMENT_AGE: Duration = Duration::from_hours(7 * 24);
/// Least age of a segment that a short retention asks for.
const LEAST_SEGMENT_AGE: Duration = Duration::from_secs(1);

/// What a topic is made with; what weir has no opinion on is as the operator wants it.
fn limits(spec: &TopicSpec) -> Vec<(&'static str, String)> {
    let age = spec.retention.map(|limit| ("retention.ms", limit.as_millis().to_string()));
    // Only whole segments are removed, so a retention below their age would keep a topic that is written all the time
    // for the age of a segment.
    let short = spec.retention.filter(|limit| *limit < SEGMENT_AGE);
    let segment = short.map(|limit| ("segment.ms", (limit / 4).max(LEAST_SEGMENT_AGE).as_millis().to_string()));
    let size = spec.retention_bytes.map(|limit| ("retention.bytes", limit.to_string()));
    let record = |most: usize| most.min(MAX_LARGE_MESSAGE_BYTES) + BATCH_OVERHEAD;
    let record = spec.max_message_bytes.map(|most| ("max.message.bytes", record(most).to_string()));
    let compacted = spec.compacted.then(|| ("cleanup.policy", "compact,delete".to_owned()));
    age.into_iter().chain(segment).chain(compacted).chain(size).chain(record).collect()
}

fn count(broker: &Broker, topic: &str) -> Result<i32, Error> {
    let metadata = broker.ask(|reader| reader.fetch_metadata(Some(topic), ADMIN_TIMEOUT))?;
    let metadata = metadata.map_err(|error| kafka(topic, error))?;
    let unknown = || Error::Unknown(topic.to_owned());
    let topic = metadata.topics().iter().find(|found| found.name() == topic).ok_or_else(unknown)?;
    match topic.partitions().len() {
        0 => Err(unknown()),
        count => i32::try_from(count).map_err(|_| unknown()),
    }
}

fn offsets(broker: &Broker, partition: &Partition) -> Result<(i64, i64), Error> {
    let ask =
        |reader: &BaseConsumer<Context>| reader.fetch_watermarks(&partition.topic, partition.partition, ADMIN_TIMEOUT);
    broker.ask(ask)?.map_err(|error| kafka(&format!("{}/{}", partition.topic, partition.partition), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_shorter_than_a_segment_makes_segments_shorter() {
        let spec = |hours| TopicSpec {
            name: "t".to_owned(),
            partitions: 1,
            replication: -1,
            retention: Some(Duration::from_hours(hours)),
            retention_bytes: None,
            max_message_bytes: None,
            compacted: false,
        };
        let hour = [("retention.ms", "3600000".to_owned()), ("segment.ms", "900000".to_owned())];
        assert_eq!(limits(&spec(1)), hour);
        assert_eq!(limits(&spec(168)), [("retention.ms", "604800000".to_owned())]);
        let compacted = TopicSpec { compacted: true, ..spec(168) };
        assert_eq!(limits(&compacted)[1], ("cleanup.policy", "compact,delete".to_owned()));
    }

    #[test]
    fn a_topic_that_is_there_and_one_that_may_not_be_made_are_told_from_a_failure() {
        let of = |code| Answer::of(vec![Err(("t".to_owned(), code))]);
        assert_eq!(Answer::of(vec![Ok("t".to_owned())]), Answer::Done);
        assert_eq!(of(Code::TopicAlreadyExists), Answer::There);
        for code in [Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed] {
            assert_eq!(of(code), Answer::Forbidden(code));
        }
        for code in [Code::InvalidReplicationFactor, Code::PolicyViolation, Code::SaslAuthenticationFailed] {
            assert_eq!(of(code), Answer::Failed(code));
        }
    }
}
