//! Tests that cannot run here say so, and never pass in silence.

use std::io::Write;

/// Says that a test is skipped, in a way that the test runner does not swallow; where everything is required
/// (`WEIR_TEST_REQUIRE=all`), fails instead.
pub fn skip(name: &str, why: &str) {
    let required = std::env::var_os("WEIR_TEST_REQUIRE").is_some_and(|value| value == "all");
    assert!(!required, "{name} cannot be skipped: {why}");
    // Nobody reads it if this fails.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
}
