//! Rebuilds the crate when the bundle changes, new files included.

fn main() {
    println!("cargo::rerun-if-changed=web/dist");
}
