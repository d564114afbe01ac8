//! The bus's contract, on both brokers: what `weir-bus` promises, shown from outside.
//!
//! Each case is one function over a [`Site`]; the macro below runs it on the embedded broker and on a real Kafka.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test, and the child it talks to")]

#[path = "bus_contract/cases.rs"]
mod cases;
#[path = "bus_contract/crashes.rs"]
mod crashes;
#[path = "bus_contract/outages.rs"]
mod outages;
#[path = "bus_contract/site.rs"]
mod site;

use site::Site;

macro_rules! on_both_brokers {
    ($($module:ident::$case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case(&crate::Site::embedded()).await;
            })*
        }
        mod kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(site) = crate::Site::kafka(stringify!($case)).await {
                    crate::$module::$case(&site).await;
                }
            })*
        }
    };
}

on_both_brokers![
    cases::records_of_one_key_keep_their_order,
    cases::ten_thousand_small_records_arrive_once,
    cases::records_of_a_megabyte_come_back_byte_for_byte,
    cases::records_of_sixteen_mebibytes_come_back_among_small_ones,
    cases::a_topic_that_takes_less_says_so_and_keeps_what_it_has,
    cases::a_record_keeps_key_headers_and_time,
    cases::keys_choose_partitions_as_kafka_does,
    cases::a_seek_right_after_the_assignment_counts,
    cases::each_of_many_seeks_counts,
    cases::who_leaves_before_it_reads_leaves_all_to_the_others,
    cases::fixed_partitions_are_read_from_their_positions,
    cases::two_members_share_and_older_commits_are_fenced,
    cases::what_was_not_committed_is_read_again,
    cases::a_transaction_shows_records_and_positions_at_once,
    cases::a_zombie_is_fenced,
    cases::lag_and_offsets_tell_the_truth,
    cases::published_positions_are_the_lag_of_a_group,
    cases::what_is_sent_and_read_is_counted,
    cases::topics_are_made_grown_and_removed,
    cases::old_records_go_by_age,
    cases::old_records_go_by_size,
    crashes::acknowledged_records_survive_sigkill,
    crashes::transactions_survive_sigkill_whole_or_not_at_all,
];
