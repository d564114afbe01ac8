//! Compiles weir's own messages with protox, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["weir/v1/alerts.proto", "weir/v1/calls.proto", "weir/v1/search.proto"];
    println!("cargo::rerun-if-changed=weir");
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".weir.v1.LogHit.body_bytes").compile_fds(descriptors)?;
    Ok(())
}
