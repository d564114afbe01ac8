//! Compiles weir's own messages, and Envoy's, KEDA's and Prometheus' that it speaks, with protox, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "weir/v1/alert_states.proto",
        "weir/v1/alerts.proto",
        "weir/v1/calls.proto",
        "weir/v1/notifications.proto",
        "weir/v1/progress.proto",
        "weir/v1/search.proto",
        "weir/v1/series.proto",
        "envoy/service/ratelimit/v3/rls.proto",
        "keda/externalscaler.proto",
        "prometheus/remote.proto",
    ];
    println!("cargo::rerun-if-changed=weir");
    println!("cargo::rerun-if-changed=envoy");
    println!("cargo::rerun-if-changed=keda");
    println!("cargo::rerun-if-changed=prometheus");
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".weir.v1.LogHit.body_bytes").compile_fds(descriptors)?;
    Ok(())
}
