//! Section `collector` of the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::DnsName;
use serde::Deserialize;
use weir_service::auth::is_tenant_name;
use weir_service::config::{Address, Size, Span};
use weir_service::tls::TlsOptions;

use crate::Error;
use crate::encoding::Encoding;
use crate::kubernetes::KubernetesOptions;
use crate::limits::LimitOptions;
use crate::otlp::CorsOptions;

/// Greatest `max_line`: lines of a file are batches of the bus, which stay under 1 MB.
pub const MAX_LINE_LIMIT: u64 = 800_000;

/// Least size of the spool: the largest export has room in it.
const LEAST_SPOOL: u64 = 48 << 20;

/// Least interval between two passes over the machine or its GPUs.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// Least `max_open_files`: below it, files that are being read would close each other.
const LEAST_OPEN: usize = 16;

/// Section `collector` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Which files are followed; none by default.
    pub files: Vec<FileOptions>,
    /// Where OTLP is taken.
    pub otlp: OtlpOptions,
    /// Whose data it is.
    pub tenant: TenantOptions,
    /// Where pods and their labels are learned from; null switches it off.
    pub kubernetes: Option<KubernetesOptions>,
    /// How long the kubelet keeps the log files of containers.
    pub kubelet: KubeletOptions,
    /// Metrics and events of NVIDIA's GPUs, where there is NVML; null switches them off.
    pub gpu: Option<GpuOptions>,
    /// Metrics of the machine and its containers; null switches them off.
    pub host: Option<HostOptions>,
    /// Longer lines are cut here, marked with `weir.truncated`, and the rest of the line is skipped. In bytes of UTF-8,
    /// however the file is encoded.
    pub max_line: Size,
    /// Files that are open at the same time; idle ones are closed and opened again when they grow. Only files that are
    /// deleted and not read to the end yet, or that wait some seconds for what is known of their pods, may be more.
    pub max_open_files: usize,
    /// What the process may take, where it is a collector alone.
    pub limits: LimitOptions,
}

/// Files that are followed in one way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileOptions {
    /// Globs of paths; `*` stays within a folder, `**` does not.
    pub include: Vec<String>,
    /// Globs of paths that are left out.
    pub exclude: Vec<String>,
    /// How lines are written.
    pub format: Format,
    /// How their characters are written. A line that has others is sent as it is, as bytes, with `weir.not_utf8`.
    pub encoding: Encoding,
    /// Which lines belong together.
    pub multiline: Multiline,
    /// Where a file begins that was never seen before.
    pub from: From,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Decided line by line.
    Auto,
    /// What containerd and CRI-O write.
    Cri,
    /// Docker's json-file.
    Docker,
    /// One JSON object a line: its time and level are taken; the body is the whole line.
    Json,
    /// Text as it is.
    Plain,
}

/// Which lines belong together.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Multiline {
    /// Each stands alone.
    None,
    /// The lines of a stack trace are one record, with the line that announces it; others each stand alone.
    Auto,
    /// A line that does not match belongs to the line before.
    Start(Pattern),
}

/// A regular expression.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(pub regex::bytes::Regex);

/// Where a file begins that was never seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// At its first byte.
    Beginning,
    /// At its end, if it was there when the collector first started on this data folder; what appears later is read
    /// whole.
    End,
}

/// Where OTLP is taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpOptions {
    /// gRPC; port 0 picks one, null switches it off.
    #[serde(deserialize_with = "address")]
    pub grpc: Option<SocketAddr>,
    /// HTTP; port 0 picks one, null switches it off.
    #[serde(deserialize_with = "address")]
    pub http: Option<SocketAddr>,
    /// Certificates of both listeners; null is plain text.
    pub tls: Option<TlsOptions>,
    /// Pages that may send OTLP/HTTP from a browser; null allows none.
    pub cors: Option<CorsOptions>,
    /// What is taken while the bus is away; null keeps nothing, and senders are told to try again. The embedded bus
    /// needs none.
    pub spool: Option<SpoolOptions>,
}

/// What is kept on disk while the bus is away.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolOptions {
    /// Greatest size of all of it on disk; beyond, senders are told to try again later.
    pub size: Size,
}

/// Whose data it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantOptions {
    /// Pod label or annotation that names the tenant.
    pub label: String,
    /// Tenant by Kubernetes namespace.
    pub namespaces: BTreeMap<String, String>,
    /// Tenant of everything else.
    pub default: String,
    /// How reading of files is shared between tenants; who is not named has weight 1 and no limit.
    pub shares: BTreeMap<String, ShareOptions>,
    /// OTLP over mutual TLS: tenant by a name of the client's certificate, a DNS name in lower case or a URI such as
    /// `spiffe://cluster/ns/team-a`. All that comes over such a client's connections is that tenant's, whatever it says
    /// itself and whatever `trust_attribute` is. Where names of one certificate are mapped to different tenants, its
    /// requests are refused; where none is mapped, it is as without. Needs `otlp.tls.client_ca`.
    pub clients: BTreeMap<String, String>,
    /// OTLP: take the resource attribute `weir.tenant` as the sender set it.
    pub trust_attribute: bool,
}

/// What a tenant has of the reading of files.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShareOptions {
    /// Bytes in proportion, from 1 to 1000, while there is more to be read than can be.
    pub weight: u32,
    /// Bytes a second at most. Null is no limit.
    pub rate: Option<Size>,
    /// What becomes of more.
    pub over: Over,
}

/// What becomes of bytes beyond a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// They wait in their files.
    Delay,
    /// What has waited for some seconds is left out, and counted as lost.
    Drop,
}

/// How long the kubelet keeps the log files of containers: as it is configured itself. When not all can be read in time,
/// what it will delete first is read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KubeletOptions {
    /// Its `containerLogMaxSize`: a file of this size is rotated away.
    pub max_size: Size,
    /// Its `containerLogMaxFiles`: more of one container are deleted, the oldest first.
    pub max_files: u32,
}

/// GPU metrics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GpuOptions {
    /// Path of libnvidia-ml.so; null looks for it.
    pub library: Option<std::path::PathBuf>,
    /// How often.
    pub interval: Span,
}

/// Host metrics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostOptions {
    /// How often.
    pub interval: Span,
    /// Where the machine's `/proc`, `/sys` and file systems lie: `/`, or in a container where they are mounted.
    pub root: std::path::PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            otlp: OtlpOptions::default(),
            tenant: TenantOptions::default(),
            kubernetes: Some(KubernetesOptions::default()),
            kubelet: KubeletOptions::default(),
            gpu: Some(GpuOptions::default()),
            host: Some(HostOptions::default()),
            max_line: Size(256 << 10),
            max_open_files: 512,
            limits: LimitOptions::default(),
        }
    }
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            format: Format::Auto,
            encoding: Encoding::Utf8,
            multiline: Multiline::None,
            from: From::Beginning,
        }
    }
}

fn address<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    Ok(Option::<Address>::deserialize(deserializer)?.map(|address| address.0))
}

impl Default for OtlpOptions {
    fn default() -> Self {
        Self {
            grpc: Some(SocketAddr::from(([127, 0, 0, 1], 4317))),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 4318))),
            tls: None,
            cors: None,
            spool: Some(SpoolOptions::default()),
        }
    }
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self { size: Size(1_000_000_000) }
    }
}

impl Default for TenantOptions {
    fn default() -> Self {
        Self {
            label: "weir.io/tenant".to_owned(),
            namespaces: BTreeMap::new(),
            shares: BTreeMap::new(),
            default: "default".to_owned(),
            clients: BTreeMap::new(),
            trust_attribute: true,
        }
    }
}

impl Default for ShareOptions {
    fn default() -> Self {
        Self { weight: 1, rate: None, over: Over::Delay }
    }
}

impl Default for KubeletOptions {
    fn default() -> Self {
        Self { max_size: Size(10 << 20), max_files: 5 }
    }
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { library: None, interval: Span(Duration::from_secs(5)) }
    }
}

impl Default for HostOptions {
    fn default() -> Self {
        Self { interval: Span(Duration::from_secs(10)), root: "/".into() }
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        regex::bytes::Regex::new(&text).map(Self).map_err(|error| format!("not a regular expression: {error}"))
    }
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Options(text));
        if self.max_line.0 < 64 || self.max_line.0 > MAX_LINE_LIMIT {
            return wrong(format!("collector.max_line: must be from 64 to {MAX_LINE_LIMIT} bytes"));
        }
        if self.max_open_files < LEAST_OPEN {
            return wrong(format!("collector.max_open_files: must be at least {LEAST_OPEN}"));
        }
        self.limits.check()?;
        self.tenant.check()?;
        if !self.tenant.clients.is_empty() && self.otlp.tls.as_ref().is_none_or(|tls| tls.client_ca.is_none()) {
            let right = "needs collector.otlp.tls.client_ca: without it no client is asked for a certificate";
            return wrong(format!("collector.tenant.clients: {right}"));
        }
        if self.otlp.spool.as_ref().is_some_and(|spool| spool.size.0 < LEAST_SPOOL) {
            return wrong("collector.otlp.spool.size: must be at least 48MiB; spool: null switches it off".to_owned());
        }
        if let Some(kubernetes) = &self.kubernetes {
            kubernetes.check()?;
        }
        if self.kubelet.max_size.0 == 0 {
            return wrong("collector.kubelet.max_size: must be what the kubelet's containerLogMaxSize is".to_owned());
        }
        if self.kubelet.max_files < 2 {
            return wrong(
                "collector.kubelet.max_files: must be at least 2, as the kubelet's containerLogMaxFiles".to_owned(),
            );
        }
        if self.gpu.as_ref().is_some_and(|gpu| gpu.interval.0 < LEAST_INTERVAL) {
            return wrong("collector.gpu.interval: must be at least 1s; gpu: null switches it off".to_owned());
        }
        if self.gpu.as_ref().and_then(|gpu| gpu.library.as_ref()).is_some_and(|path| path.as_os_str().is_empty()) {
            return wrong("collector.gpu.library: must be a path, or null to look for it".to_owned());
        }
        if let Some(host) = &self.host {
            if host.interval.0 < LEAST_INTERVAL {
                return wrong("collector.host.interval: must be at least 1s; host: null switches it off".to_owned());
            }
            if !host.root.is_absolute() {
                return wrong("collector.host.root: must be an absolute path".to_owned());
            }
        }
        for (at, files) in self.files.iter().enumerate() {
            if files.include.is_empty() {
                return wrong(format!("collector.files[{at}].include: needs at least one glob"));
            }
            crate::file::Globs::new(files).map_err(|error| match error {
                Error::Options(text) => Error::Options(format!("collector.files[{at}].{text}")),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Whether the files that are named here can be used: for a role that uses them.
    pub fn check_files(&self) -> Result<(), Error> {
        if let Some(kubernetes) = &self.kubernetes {
            kubernetes.check_file()?;
        }
        self.otlp
            .tls
            .as_ref()
            .map_or(Ok(()), |tls| weir_service::tls::check(crate::otlp::TLS_SECTION, tls))
            .map_err(|error| crate::otlp::Error::from(error).into())
    }
}

impl TenantOptions {
    fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Options(text));
        let mut named = self.namespaces.values().chain(self.clients.values()).chain([&self.default]);
        if named.clone().any(String::is_empty) {
            return wrong("collector.tenant: a tenant's name must not be empty".to_owned());
        }
        if let Some(name) = named.find(|name| !is_tenant_name(name)) {
            return wrong(format!("collector.tenant: «{name}» is no name of a tenant, or is kept for weir itself"));
        }
        if let Some(name) = self.clients.keys().find(|name| !is_name(name)) {
            let right = "a DNS name, whole and in lower case, or a URI, such as spiffe://cluster/ns/team-a";
            return wrong(format!(
                "collector.tenant.clients: «{name}» is no name of a certificate; right would be {right}"
            ));
        }
        for (tenant, share) in &self.shares {
            if !(1..=1000).contains(&share.weight) {
                return wrong(format!("collector.tenant.shares.{tenant}.weight: must be from 1 to 1000"));
            }
            if share.rate.is_some_and(|rate| rate.0 < 1024) {
                return wrong(format!("collector.tenant.shares.{tenant}.rate: must be at least 1KiB (a second)"));
            }
            if share.over == Over::Drop && share.rate.is_none() {
                let right = "drop needs a rate beside it, such as {rate: 10MB, over: drop}";
                return wrong(format!("collector.tenant.shares.{tenant}.over: {right}"));
            }
        }
        Ok(())
    }

    /// The tenant of a file's records.
    pub(crate) fn of_namespace(&self, namespace: Option<&str>) -> &str {
        namespace.and_then(|name| self.namespaces.get(name)).unwrap_or(&self.default)
    }
}

/// Whether a client's certificate can have this name, as names are compared: whole, and DNS names in lower case.
fn is_name(name: &str) -> bool {
    match name.split_once(':') {
        Some((scheme, rest)) => {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && !rest.is_empty()
                && name.bytes().all(|b| b.is_ascii_graphic())
        }
        None => DnsName::try_from(name).is_ok() && !name.bytes().any(|byte| byte.is_ascii_uppercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Options, String> {
        let options: Options = serde_json::from_str(json).map_err(|error| error.to_string())?;
        options.check().map_err(|error| error.to_string())?;
        Ok(options)
    }

    #[test]
    fn every_key_is_read() {
        let options = read(
            r#"{"files": [{"include": ["/var/log/containers/*.log"], "exclude": ["**/weir*"], "format": "cri",
                "multiline": {"start": "^\\d"}, "from": "end"},
                {"include": ["/a/**/*.log"], "multiline": "auto", "encoding": "gb18030"}],
                "otlp": {"grpc": "localhost:0", "http": null, "spool": {"size": "64MiB"},
                "tls": {"cert": "/a.pem", "key": "/a.key", "client_ca": "/ca.pem"}}, "gpu": {"library": null, "interval": "5s"}, "host": null,
                "kubernetes": {"kubeconfig": "/etc/weir/kubeconfig", "node": "node-1.example"},
                "kubelet": {"max_size": "100Mi", "max_files": 3},
                "tenant": {"label": "team", "clients": {"team-a.gpu.example": "acme", "spiffe://cluster/ns/team-a": "acme"}, "namespaces": {"team-a": "acme"}, "default": "other",
                    "shares": {"acme": {"weight": 4, "rate": "10MB", "over": "drop"}, "other": {}}}, "max_line": "64KiB", "max_open_files": 100,
                "limits": {"memory": "64MiB", "cpu": "500m"}}"#,
        )
        .unwrap();
        assert!(matches!(options.files[0].multiline, Multiline::Start(_)) && options.otlp.http.is_none());
        assert!(
            options.host.is_none()
                && read("{}").unwrap().host.is_some_and(|host| host.root == std::path::Path::new("/"))
        );
        assert_eq!(options.otlp.spool.as_ref().unwrap().size.0, 64 << 20);
        assert_eq!(options.kubernetes.as_ref().unwrap().node.as_deref(), Some("node-1.example"));
        assert_eq!(read(r#"{"kubernetes": null}"#).unwrap().kubernetes, None);
        assert_eq!(read("{}").unwrap().kubernetes, Some(KubernetesOptions::default()));
        assert_eq!(options.kubelet, KubeletOptions { max_size: Size(100 << 20), max_files: 3 });
        assert_eq!(read("{}").unwrap().kubelet, KubeletOptions { max_size: Size(10 << 20), max_files: 5 });
        assert_eq!(options.otlp.grpc, Some(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert_eq!(options.tenant.label, "team");
        assert_eq!(options.tenant.clients["spiffe://cluster/ns/team-a"], "acme");
        assert!(read("{}").unwrap().tenant.clients.is_empty());
        assert_eq!(options.limits.cpu, Some(crate::limits::Cores(0.5)));
        let share = |tenant: &str| options.tenant.shares[tenant];
        assert_eq!(
            (share("acme").weight, share("acme").rate, share("acme").over),
            (4, Some(Size(10_000_000)), Over::Drop)
        );
        assert_eq!((share("other").weight, share("other").rate, share("other").over), (1, None, Over::Delay));
        assert_eq!(options.tenant.of_namespace(Some("team-a")), "acme");
        assert_eq!(options.tenant.of_namespace(Some("team-b")), "other");
    }

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        for (json, says) in [
            (r#"{"max_line": 10}"#, "max_line"),
            (r#"{"otlp": {"spool": {"size": "1MB"}}}"#, "otlp.spool.size"),
            (r#"{"otlp": {"tls": {"cert": "/a.pem"}}}"#, "key"),
            (r#"{"kubernetes": {"node": "a,b=c"}}"#, "kubernetes.node"),
            (r#"{"kubernetes": {"node": ""}}"#, "kubernetes.node"),
            (r#"{"kubernetes": {"kubeconfig": ""}}"#, "kubernetes.kubeconfig"),
            (r#"{"kubernetes": {"api": "auto"}}"#, "unknown field `api`"),
            (r#"{"kubelet": {"max_files": 1}}"#, "kubelet.max_files"),
            (r#"{"kubelet": {"max_size": 0}}"#, "kubelet.max_size"),
            (r#"{"gpu": {"interval": "1ms"}}"#, "gpu.interval"),
            (r#"{"gpu": {"library": ""}}"#, "gpu.library"),
            (r#"{"host": {"interval": "10ms"}}"#, "host.interval"),
            (r#"{"host": {"root": "host"}}"#, "host.root"),
            (r#"{"tenant": {"shares": {"acme": {"weight": 0}}}}"#, "shares.acme.weight"),
            (r#"{"tenant": {"shares": {"acme": {"rate": 1}}}}"#, "shares.acme.rate"),
            (r#"{"tenant": {"shares": {"acme": {"over": "drop"}}}}"#, "shares.acme.over: drop needs a rate"),
            (r#"{"tenant": {"shares": {"acme": {"rate": "1MB", "over": "block"}}}}"#, "expected `delay` or `drop`"),
            (
                r#"{"tenant": {"clients": {"a.example": "acme"}}}"#,
                "collector.tenant.clients: needs collector.otlp.tls.client_ca",
            ),
            (
                r#"{"tenant": {"clients": {"a.example": "acme"}}, "otlp": {"tls": {"cert": "/a.pem", "key": "/a.key"}}}"#,
                "collector.tenant.clients: needs collector.otlp.tls.client_ca",
            ),
            (r#"{"tenant": {"clients": {"*.example": "acme"}}}"#, "«*.example» is no name of a certificate"),
            (r#"{"tenant": {"clients": {"A.example": "acme"}}}"#, "whole and in lower case"),
            (r#"{"tenant": {"clients": {"spiffe://a b": "acme"}}}"#, "or a URI"),
            (r#"{"tenant": {"clients": {"a.example": ""}}}"#, "must not be empty"),
            (r#"{"files": [{}]}"#, "files[0].include"),
            (r#"{"files": [{"include": ["/a/[x"]}]}"#, "files[0].include"),
            (r#"{"files": [{"include": ["/a/*.log.gz"]}]}"#, "files[0].include"),
            (
                r#"{"files": [{"include": ["/a"], "encoding": "iso-2022-jp"}]}"#,
                "right would be utf-8, utf-16, utf-16le",
            ),
            (r#"{"files": [{"include": ["/a"], "encoding": "gb13000"}]}"#, "right would be utf-8, utf-16, utf-16le"),
            (r#"{"max_open_files": 3}"#, "max_open_files"),
            (r#"{"limits": {"memory": "8MB"}}"#, "limits.memory"),
            (r#"{"limits": {"cpu": "1m"}}"#, "limits.cpu"),
            (r#"{"limits": {"cpu": "half"}}"#, "a number of cores such as"),
            (r#"{"files": [{"include": ["/a"], "multiline": {"start": "("}}]}"#, "regular expression"),
            (r#"{"files": [{"includes": ["/a"]}]}"#, "includes"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
