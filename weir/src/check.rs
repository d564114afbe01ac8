//! `weir check`: what would run.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use weir_bus::Broker;

use crate::{config, rules};

/// Says what `weir standalone` and the single roles would run with this file.
pub(crate) fn check(path: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = config::load(path)?;
    let name = path.unwrap_or(Path::new("defaults"));
    config.listeners(path)?;
    config.secrets(path)?;
    config.certificates(path)?;
    config.usage_files(path)?;
    if config.console.is_some() {
        config.console(path)?;
    }
    let captures = config.captures(path)?;
    let rules = config.rules(path)?;
    let notifications = config.notifications(path)?;
    let bus = match config.bus.broker {
        Broker::Embedded => format!("embedded, in {}", config.data_dir.join("bus").display()),
        Broker::Kafka => format!("Kafka at {}", config.bus.brokers.as_deref().unwrap_or("?")),
        Broker::Null => "null: takes everything and keeps nothing".to_owned(),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: good", name.display())?;
    writeln!(
        out,
        "roles      {}",
        if config.bus.broker == Broker::Kafka {
            "standalone, or collector, indexer, alerter, usage, reflow and console apart"
        } else {
            "standalone"
        }
    )?;
    writeln!(out, "data       {}", config.data_dir.display())?;
    let tls = match &config.tls {
        Some(tls) if tls.client_ca.is_some() => ", mutual TLS",
        Some(_) => ", TLS",
        None => "",
    };
    writeln!(out, "HTTP       {}{tls}", config.listen)?;
    writeln!(out, "auth       {}", config.auth.as_ref().map_or("off: loopback alone".to_owned(), who))?;
    writeln!(out, "bus        {bus}; topics get {} partitions", config.bus.partitions)?;
    writeln!(
        out,
        "OTLP       gRPC {}, HTTP {}{}",
        or_off(config.collector.otlp.grpc.as_ref()),
        or_off(config.collector.otlp.http.as_ref()),
        match &config.collector.otlp.tls {
            Some(tls) if tls.client_ca.is_some() => ", mutual TLS",
            Some(_) => ", TLS",
            None => "",
        }
    )?;
    for files in &config.collector.files {
        let how = format!("{:?}, from {:?}", files.format, files.from).to_lowercase();
        writeln!(out, "files      {} ({how})", files.include.join(" "))?;
    }
    if config.collector.files.is_empty() {
        writeln!(out, "files      none")?;
    }
    match &config.collector.kubernetes {
        Some(kubernetes) => {
            let file = kubernetes.kubeconfig.as_ref().map(|path| path.display().to_string());
            let whom = file.unwrap_or("the service account, where there is one".to_owned());
            writeln!(out, "pods       by {whom}; of {}", kubernetes.node.as_deref().unwrap_or("all nodes"))?;
        }
        None => writeln!(out, "pods       off")?,
    }
    match &config.collector.host {
        Some(host) => writeln!(out, "host       {} every {:?}", host.root.display(), host.interval)?,
        None => writeln!(out, "host       off")?,
    }
    match &config.collector.gpu {
        Some(gpu) => {
            let library = gpu.library.as_ref().map_or("wherever NVML is".into(), |path| path.to_string_lossy());
            writeln!(out, "gpu        {library}, every {:?}", gpu.interval)?;
        }
        None => writeln!(out, "gpu        off")?,
    }
    let limits = config.collector.limits;
    match (limits.memory, limits.cpu) {
        (None, None) => writeln!(out, "limits     none")?,
        (memory, cpu) => writeln!(
            out,
            "limits     memory {}, CPU {}, of a collector that runs apart",
            memory.map_or("any".to_owned(), |memory| memory.to_string()),
            cpu.map_or("any".to_owned(), |cores| cores.to_string())
        )?,
    }
    writeln!(
        out,
        "index      windows of {:?}, sealed at {:?} or {:?}, kept {:?} or {:?}",
        config.indexer.window,
        config.indexer.seal.age,
        config.indexer.seal.size,
        config.indexer.retention.age,
        config.indexer.retention.size
    )?;
    writeln!(
        out,
        "rules      {rules} from {}{}",
        if config.alerter.rules.is_empty() { "no file".to_owned() } else { config.alerter.rules.join(" ") },
        rules::start(&config.alerter.rules).map_or(String::new(), |note| format!(" ({note})"))
    )?;
    let names: Vec<&str> = notifications.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    let file = config.alerter.alertmanager_config.as_ref().map(|file| format!(", by {}", file.display()));
    writeln!(out, "alerts     told to {names}{}", file.unwrap_or_default())?;
    let receivers: Vec<String> =
        config.alerter.remote_write.iter().map(weir_alerter::remote::RemoteWrite::name).collect();
    let receivers = if receivers.is_empty() { "nobody".to_owned() } else { receivers.join(", ") };
    writeln!(out, "series     kept {:?}, written to {receivers}", config.alerter.history)?;
    let keda = config.alerter.keda.as_ref();
    let external = config.alerter.external_metrics.as_ref();
    writeln!(
        out,
        "scaling    KEDA gRPC {}{}, external metrics {}",
        or_off(keda.map(|keda| keda.grpc).as_ref()),
        match keda.and_then(|keda| keda.tls.as_ref()) {
            Some(tls) if tls.client_ca.is_some() => ", mutual TLS",
            Some(_) => ", TLS",
            None => "",
        },
        or_off(external.map(|external| external.listen).as_ref())
    )?;
    match &config.usage {
        Some(usage) => {
            let prices = usage.prices.as_ref().map_or("none".into(), |path| path.to_string_lossy());
            let quotas = if usage.quotas.is_empty() { "none".to_owned() } else { usage.quotas.join(" ") };
            writeln!(
                out,
                "usage      {:?}, hours kept {:?}; prices {prices}; quotas {quotas}",
                usage.store, usage.retention
            )?;
            writeln!(out, "rate limit gRPC {}", or_off(usage.ratelimit.grpc.as_ref()))?;
        }
        None => writeln!(out, "usage      off")?,
    }
    match &config.reflow {
        Some(reflow) => {
            let files = if reflow.captures.is_empty() { "no file".to_owned() } else { reflow.captures.join(" ") };
            let datasets = config.data_dir.join("datasets").display().to_string();
            let store = reflow.store.as_deref().unwrap_or(&datasets);
            writeln!(out, "captures   {captures} from {files}; datasets in {store}")?;
        }
        None => writeln!(out, "captures   off")?,
    }
    if let Some(console) = &config.console {
        let roles: Vec<String> = console.roles().map(|(role, url)| format!("{role} at {}", url.as_str())).collect();
        writeln!(out, "console    in front of {}", roles.join(", "))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn who(auth: &weir_service::auth::Options) -> String {
    let tokens = auth.tokens.as_ref().map(|path| format!("tokens of {}", path.display()));
    let oidc = auth.oidc.as_ref().map(|oidc| format!("access tokens of {}", oidc.issuer));
    let anonymous = auth.anonymous.as_ref();
    let anonymous = anonymous.map(|who| format!("without a credential: {} of {}", who.role, who.tenants.join(", ")));
    [tokens, oidc, anonymous].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn or_off(address: Option<&impl ToString>) -> String {
    address.map_or("off".to_owned(), ToString::to_string)
}
