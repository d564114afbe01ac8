/// What can go wrong on the bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work; the text names the key.
    #[error("{0}")]
    Options(String),
    /// The data folder cannot be used.
    #[error("bus: cannot use {path}: {reason}")]
    Storage {
        /// Folder.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
        /// Cause, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Another process holds the data folder.
    #[error("bus: {0} is in use by another weir")]
    Locked(std::path::PathBuf),
    /// A newer producer of the same transactional id took over, or the group gave the partition to another member.
    /// Nothing of the transaction is visible; this producer is of no more use.
    #[error("bus: fenced: {0}")]
    Fenced(String),
    /// The transaction was aborted; nothing of it is visible; it may be tried again.
    #[error("bus: transaction aborted: {0}")]
    Aborted(String),
    /// A record is larger than its topic takes.
    #[error(
        "bus: a record of {bytes} bytes for {topic}, or what was sent with it, is larger than the topic takes; on Kafka, \
         right would be a `max.message.bytes` of the topic of at least 1048588, which is the default, and 17825792 for \
         single spans and log records of up to 16 MiB"
    )]
    TooLarge {
        /// Topic.
        topic: String,
        /// Size of the value.
        bytes: usize,
    },
    /// There is no such topic or partition.
    #[error("bus: no such topic or partition: {0}")]
    Unknown(String),
    /// The bus was closed.
    #[error("bus: closed")]
    Closed,
    /// Anything else that Kafka says.
    #[error("bus: {context}")]
    Kafka {
        /// What was being done.
        context: String,
        /// Kafka's own word.
        #[source]
        source: rdkafka::error::KafkaError,
    },
}
