//! What others test their collectors with: Fluent Bit's, Filebeat's and Kubernetes' own files, stack traces of ten
//! languages and real logs. Each is read by the file source, or sent to the OTLP server, onto the embedded bus, and what
//! arrives is compared with what they expect, in weir's words.
//!
//! Where weir does otherwise on purpose, a suite lists the cases with the reason; one that is listed and does the same
//! after all fails. The number of cases that pass may only rise.
//!
//! Of Fluent Bit's data, what no collector of files and OTLP reads is left out: the events of Kubernetes, Docker's
//! control groups, the systemd journal, and MessagePack.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod fixtures {
    pub(crate) mod files;
    pub(crate) mod kubernetes;
    pub(crate) mod otlp;
    pub(crate) mod otlp_json;
    pub(crate) mod runtimes;
    pub(crate) mod suite;
    pub(crate) mod tail;
    pub(crate) mod traces;
}

#[path = "../../collector/src/kubernetes/tests/server.rs"]
#[allow(dead_code, reason = "the collector's own tests use all of it")]
mod server;

use fixtures::{kubernetes, otlp, runtimes, tail, traces};
use weir_tests::data;

#[tokio::test(flavor = "multi_thread")]
async fn files_come_as_fluent_bits_tail_and_filebeat_read_them() {
    let Some(data) = data("files_come_as_fluent_bits_tail_and_filebeat_read_them") else { return };
    tail::run(&data.join("logs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_container_runtimes_come_as_their_own_tests_have_them() {
    let Some(data) = data("lines_of_container_runtimes_come_as_their_own_tests_have_them") else { return };
    runtimes::run(&data.join("logs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_pods_come_with_what_fluent_bit_tells_of_them() {
    let Some(data) = data("lines_of_pods_come_with_what_fluent_bit_tells_of_them") else { return };
    kubernetes::run(&data.join("logs/fluent-bit/kubernetes")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_trace_is_one_record_and_other_lines_are_not() {
    let Some(data) = data("a_stack_trace_is_one_record_and_other_lines_are_not") else { return };
    traces::recorded(&data.join("logs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_trace_that_breaks_off_takes_no_other_line_with_it() {
    let Some(data) = data("a_stack_trace_that_breaks_off_takes_no_other_line_with_it") else { return };
    traces::broken_off(&data.join("logs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ordinary_lines_of_real_logs_are_not_joined() {
    let Some(data) = data("ordinary_lines_of_real_logs_are_not_joined") else { return };
    traces::real(&data.join("logs")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_otlp_arrive_or_are_refused() {
    let Some(data) = data("requests_of_otlp_arrive_or_are_refused") else { return };
    otlp::run(&data).await;
}
