//! The rows of `mntr`, in the order of release 3.9.5 as captured from it.
//!
//! Absent: how a row is shown, see `mntr`.

use super::mntr::{Absence, LeaderGauges, MntrFigures, MntrRow};

/// Numbers that go up and down.
pub(super) static GAUGE_ROWS: &[MntrRow] = &[
    MntrRow::Integer("ephemerals_count", |it| it.gauges.ephemerals_count as i64),
    MntrRow::Integer("num_alive_connections", |it| it.gauges.num_alive_connections as i64),
    MntrRow::Decimal("avg_latency", |it| it.shards.latency.avg()),
    MntrRow::Optional("min_proposal_size", |it| {
        leader(it).map(|it| it.proposal_size.last_min_max().1)
    }),
    MntrRow::Integer("outstanding_requests", |it| it.gauges.outstanding_requests as i64),
    MntrRow::Integer("znode_count", |it| it.gauges.znode_count as i64),
    MntrRow::Integer("global_sessions", |it| it.gauges.global_sessions as i64),
    MntrRow::NoCounter("non_mtls_remote_conn_count", Absence::Tls),
    MntrRow::Integer("last_client_response_size", |it| {
        it.shards.client_response_size.last_min_max().0
    }),
    MntrRow::Integer("packets_sent", |it| it.shards.packets_sent as i64),
    MntrRow::Integer("packets_received", |it| it.shards.packets_received as i64),
    MntrRow::Optional("max_proposal_size", |it| {
        leader(it).map(|it| it.proposal_size.last_min_max().2)
    }),
    MntrRow::Integer("max_client_response_size", |it| {
        it.shards.client_response_size.last_min_max().2
    }),
    MntrRow::Optional("synced_followers", |it| leader(it).map(|it| it.synced_followers as i64)),
    MntrRow::Decimal("connection_drop_probability", |it| it.gauges.connection_drop_probability),
    MntrRow::Integer("watch_count", |it| it.gauges.watch_count as i64),
    MntrRow::Optional("synced_non_voting_followers", |it| {
        leader(it).map(|it| it.synced_non_voting_followers as i64)
    }),
    MntrRow::Optional("synced_observers", |it| {
        it.gauges.member.and_then(|it| it.synced_observers).map(|it| it as i64)
    }),
    MntrRow::Integer("auth_failed_count", |it| it.shards.auth_failed_count as i64),
    MntrRow::Integer("min_latency", |it| it.shards.latency.min() as i64),
    MntrRow::Integer("max_file_descriptor_count", |it| it.gauges.max_file_descriptor_count as i64),
    MntrRow::Integer("approximate_data_size", |it| it.gauges.approximate_data_size as i64),
    MntrRow::Integer("open_file_descriptor_count", |it| {
        it.gauges.open_file_descriptor_count as i64
    }),
    MntrRow::Optional("last_proposal_size", |it| {
        leader(it).map(|it| it.proposal_size.last_min_max().0)
    }),
    MntrRow::Optional("pending_syncs", |it| leader(it).map(|it| it.pending_syncs as i64)),
    MntrRow::Optional("leader_uptime", |it| leader(it).map(|it| it.uptime_ms as i64)),
    MntrRow::Integer("local_sessions", |it| it.gauges.local_sessions as i64),
    MntrRow::Integer("uptime", |it| it.gauges.uptime_ms as i64),
    MntrRow::Integer("max_latency", |it| it.shards.latency.max as i64),
    MntrRow::NoCounter("outstanding_tls_handshake", Absence::Tls),
    MntrRow::Optional("learners", |it| leader(it).map(|it| it.learners as i64)),
    MntrRow::Integer("min_client_response_size", |it| {
        it.shards.client_response_size.last_min_max().1
    }),
    MntrRow::NoCounter("non_mtls_local_conn_count", Absence::Tls),
    MntrRow::Optional("quorum_size", |it| it.gauges.member.map(|it| it.quorum_size as i64)),
];

fn leader<'a>(it: &MntrFigures<'a>) -> Option<&'a LeaderGauges> {
    it.gauges.member.and_then(|it| it.leader.as_ref())
}

/// Numbers that go up.
pub(super) static COUNTER_ROWS: &[MntrRow] = &[
    MntrRow::Counter("watch_bytes", |it| it.shards.watch_bytes),
    MntrRow::Counter("stale_requests_dropped", |it| it.shards.stale_requests_dropped),
    MntrRow::Counter("throttled_ops", |it| it.shards.throttled_ops),
    MntrRow::NoCounter("insecure_admin_count", Absence::Admin),
    MntrRow::Counter("connection_rejected", |it| it.shards.connection_rejected),
    MntrRow::Counter("sessionless_connections_expired", |it| {
        it.shards.sessionless_connections_expired
    }),
    MntrRow::NoCounter("dead_watchers_queued", Absence::DeadWatchers),
    MntrRow::Counter("stale_requests", |it| it.shards.stale_requests),
    MntrRow::Counter("connection_drop_count", |it| it.shards.connection_drop_count),
    MntrRow::NoCounter("response_packet_cache_hits", Absence::ResponseCache),
    MntrRow::Counter("bytes_received_count", |it| it.shards.bytes_received_count),
    MntrRow::NoCounter("add_dead_watcher_stall_time", Absence::DeadWatchers),
    MntrRow::Counter("request_throttle_wait_count", |it| it.shards.request_throttle_wait_count),
    MntrRow::NoCounter("requests_not_forwarded_to_commit_processor", Absence::CommitProcessor),
    MntrRow::NoCounter("response_packet_cache_misses", Absence::ResponseCache),
    MntrRow::Counter("prep_processor_request_queued", |it| {
        it.pipeline.prep_processor_request_queued
    }),
    MntrRow::Counter("stale_replies", |it| it.shards.stale_replies),
    MntrRow::Counter("response_bytes", |it| it.shards.response_bytes),
    MntrRow::NoCounter("ensemble_auth_fail", Absence::QuorumSasl),
    MntrRow::Counter("diff_count", |it| it.pipeline.diff_count),
    MntrRow::Counter("connection_revalidate_count", |it| it.shards.connection_revalidate_count),
    MntrRow::Counter("quit_leading_due_to_disloyal_voter", |it| {
        it.pipeline.quit_leading_due_to_disloyal_voter
    }),
    MntrRow::NoCounter("unrecoverable_error_count", Absence::EndsServer),
    MntrRow::NoCounter("unsuccessful_handshake", Absence::Tls),
    MntrRow::Counter("commit_count", |it| it.pipeline.commit_count),
    MntrRow::Counter("outstanding_changes_queued", |it| it.pipeline.outstanding_changes_queued),
    MntrRow::NoCounter("request_commit_queued", Absence::CommitProcessor),
    MntrRow::NoCounter("ensemble_auth_skip", Absence::QuorumSasl),
    MntrRow::NoCounter("skip_learner_request_to_next_processor_count", Absence::Processors),
    MntrRow::Counter("proposal_count", |it| it.pipeline.proposal_count),
    MntrRow::Counter("large_requests_rejected", |it| it.shards.large_requests_rejected),
    MntrRow::Counter("outstanding_changes_removed", |it| it.pipeline.outstanding_changes_removed),
    MntrRow::NoCounter("restore_error_count", Absence::Admin),
    MntrRow::NoCounter("cnxn_closed_without_zk_server_running", Absence::Serving),
    MntrRow::Counter("looking_count", |it| it.pipeline.looking_count),
    MntrRow::NoCounter("snapshot_rate_limited_count", Absence::Admin),
    MntrRow::Counter("learner_proposal_received_count", |it| {
        it.pipeline.learner_proposal_received_count
    }),
    MntrRow::NoCounter("digest_mismatches_count", Absence::EndsServer),
    MntrRow::NoCounter("dead_watchers_cleared", Absence::DeadWatchers),
    MntrRow::NoCounter("ensemble_auth_success", Absence::QuorumSasl),
    MntrRow::Counter("learner_commit_received_count", |it| {
        it.pipeline.learner_commit_received_count
    }),
    MntrRow::Counter("snapshot_error_count", |it| it.pipeline.snapshot_error_count),
    MntrRow::Counter("connection_request_count", |it| it.shards.connection_request_count),
    MntrRow::NoCounter("response_packet_get_children_cache_misses", Absence::ResponseCache),
    MntrRow::Counter("snap_count", |it| it.pipeline.snap_count),
    MntrRow::Counter("stale_sessions_expired", |it| it.pipeline.stale_sessions_expired),
    MntrRow::NoCounter("restore_rate_limited_count", Absence::Admin),
    MntrRow::NoCounter("response_packet_get_children_cache_hits", Absence::ResponseCache),
    MntrRow::Counter("sync_processor_request_queued", |it| {
        it.pipeline.sync_processor_request_queued
    }),
    MntrRow::NoCounter("tls_handshake_exceeded", Absence::Tls),
    MntrRow::Counter("revalidate_count", |it| it.pipeline.revalidate_count),
];

/// Summaries: the basic ones, then those with percentiles.
pub(super) static SUMMARY_ROWS: &[MntrRow] = &[
    MntrRow::NoBasic("socket_closing_time", Absence::Closing),
    MntrRow::NoBasic("proposal_process_time", Absence::NotMeasured),
    MntrRow::Basic("leader_unavailable_time", |it| &it.pipeline.leader_unavailable_time),
    MntrRow::Basic("node_created_watch_count", |it| &it.shards.node_created_watch_count),
    MntrRow::NoBasic("session_queues_drained", Absence::CommitProcessor),
    MntrRow::NoBasic("write_commit_proc_req_queued", Absence::CommitProcessor),
    MntrRow::Basic("connection_token_deficit", |it| &it.shards.connection_token_deficit),
    MntrRow::NoBasic("read_commit_proc_req_queued", Absence::CommitProcessor),
    MntrRow::Basic("node_deleted_watch_count", |it| &it.shards.node_deleted_watch_count),
    MntrRow::Basic("startup_txns_load_time", |it| &it.pipeline.startup_txns_load_time),
    MntrRow::Basic("sync_processor_queue_size", |it| &it.pipeline.sync_processor_queue_size),
    MntrRow::Basic("follower_sync_time", |it| &it.pipeline.follower_sync_time),
    MntrRow::Basic("prep_processor_queue_size", |it| &it.pipeline.prep_processor_queue_size),
    MntrRow::Basic("fsynctime", |it| &it.pipeline.fsynctime),
    MntrRow::NoBasic("inflight_snap_count", Absence::SyncQueues),
    MntrRow::NoBasic("reads_issued_from_session_queue", Absence::CommitProcessor),
    MntrRow::NoBasic("restore_time", Absence::Admin),
    MntrRow::NoBasic("learner_request_processor_queue_size", Absence::Processors),
    MntrRow::Basic("snapshottime", |it| &it.pipeline.snapshottime),
    MntrRow::Basic("unavailable_time", |it| &it.pipeline.unavailable_time),
    MntrRow::Basic("startup_txns_loaded", |it| &it.pipeline.startup_txns_loaded),
    MntrRow::NoBasic("reads_after_write_in_session_queue", Absence::CommitProcessor),
    MntrRow::NoBasic("requests_in_session_queue", Absence::CommitProcessor),
    MntrRow::NoBasic("write_commit_proc_issued", Absence::CommitProcessor),
    MntrRow::NoBasic("prep_process_time", Absence::NotMeasured),
    MntrRow::NoBasic("pending_session_queue_size", Absence::CommitProcessor),
    MntrRow::NoBasic(
        "time_waiting_empty_pool_in_commit_processor_read_ms",
        Absence::CommitProcessor,
    ),
    MntrRow::NoBasic("commit_process_time", Absence::CommitProcessor),
    MntrRow::Basic("dbinittime", |it| &it.pipeline.dbinittime),
    MntrRow::NoBasic("inflight_diff_count", Absence::SyncQueues),
    MntrRow::NoBasic("netty_queued_buffer_capacity", Absence::Tls),
    MntrRow::Basic("election_time", |it| &it.pipeline.election_time),
    MntrRow::NoBasic("commit_commit_proc_req_queued", Absence::CommitProcessor),
    MntrRow::Basic("sync_processor_batch_size", |it| &it.pipeline.sync_processor_batch_size),
    MntrRow::Basic("node_children_watch_count", |it| &it.shards.node_children_watch_count),
    MntrRow::NoBasic("write_batch_time_in_commit_processor", Absence::CommitProcessor),
    MntrRow::NoBasic("read_commit_proc_issued", Absence::CommitProcessor),
    MntrRow::NoBasic("concurrent_request_processing_in_commit_processor", Absence::CommitProcessor),
    MntrRow::Basic("observer_sync_time", |it| &it.pipeline.observer_sync_time),
    MntrRow::Basic("node_changed_watch_count", |it| &it.shards.node_changed_watch_count),
    MntrRow::NoBasic("sync_process_time", Absence::NotMeasured),
    MntrRow::Basic("startup_snap_load_time", |it| &it.pipeline.startup_snap_load_time),
    MntrRow::NoAdvanced("prep_processor_queue_time_ms", Absence::NotMeasured),
    MntrRow::NoAdvanced("jvm_pause_time_ms", Absence::Jvm),
    MntrRow::NoAdvanced("close_session_prep_time", Absence::NotMeasured),
    MntrRow::NoAdvanced("read_commitproc_time_ms", Absence::CommitProcessor),
    MntrRow::Advanced("updatelatency", |it| &it.shards.updatelatency),
    MntrRow::NoAdvanced("local_write_committed_time_ms", Absence::CommitProcessor),
    MntrRow::Advanced("request_throttle_queue_time_ms", |it| {
        &it.shards.request_throttle_queue_time_ms
    }),
    MntrRow::Advanced("readlatency", |it| &it.shards.readlatency),
    MntrRow::Advanced("quorum_ack_latency", |it| &it.pipeline.quorum_ack_latency),
    MntrRow::NoAdvanced("om_commit_process_time_ms", Absence::ObserverMaster),
    MntrRow::NoAdvanced("read_final_proc_time_ms", Absence::CommitProcessor),
    MntrRow::Advanced("commit_propagation_latency", |it| &it.pipeline.commit_propagation_latency),
    MntrRow::NoAdvanced("dead_watchers_cleaner_latency", Absence::DeadWatchers),
    MntrRow::NoAdvanced("write_final_proc_time_ms", Absence::CommitProcessor),
    MntrRow::Advanced("proposal_ack_creation_latency", |it| {
        &it.pipeline.proposal_ack_creation_latency
    }),
    MntrRow::Advanced("proposal_latency", |it| &it.pipeline.proposal_latency),
    MntrRow::NoAdvanced("om_proposal_process_time_ms", Absence::ObserverMaster),
    // A transaction is in the log's queue from its preparation on, and applied when it is on the disk.
    MntrRow::Advanced("sync_processor_queue_and_flush_time_ms", |it| {
        &it.pipeline.propagation_latency
    }),
    MntrRow::Advanced("propagation_latency", |it| &it.pipeline.propagation_latency),
    MntrRow::NoAdvanced("server_write_committed_time_ms", Absence::CommitProcessor),
    MntrRow::NoAdvanced("sync_processor_queue_time_ms", Absence::NotMeasured),
    MntrRow::Advanced("sync_processor_queue_flush_time_ms", |it| {
        &it.pipeline.sync_processor_queue_flush_time_ms
    }),
    MntrRow::NoAdvanced("write_commitproc_time_ms", Absence::CommitProcessor),
];
