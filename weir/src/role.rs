/// What one process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// All rooms.
    Standalone,
    /// Files and OTLP onto the bus.
    Collector,
    /// Logs and spans into the index.
    Indexer,
    /// Call statistics and rules.
    Alerter,
    /// Usage reports, quotas and rate limits.
    Usage,
    /// Captures of inference data.
    Reflow,
    /// The console, in front of the others.
    Console,
}

impl Role {
    /// As in the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Collector => "collector",
            Self::Indexer => "indexer",
            Self::Alerter => "alerter",
            Self::Usage => "usage",
            Self::Reflow => "reflow",
            Self::Console => "console",
        }
    }

    /// `service.name` of its own telemetry.
    pub(crate) fn service_name(self) -> &'static str {
        match self {
            Self::Standalone => "weir",
            Self::Collector => "weir-collector",
            Self::Indexer => "weir-indexer",
            Self::Alerter => "weir-alerter",
            Self::Usage => "weir-usage",
            Self::Reflow => "weir-reflow",
            Self::Console => "weir-console",
        }
    }

    /// Whether this room runs in it.
    pub(crate) fn runs(self, room: Self) -> bool {
        self == Self::Standalone || self == room
    }
}
