//! What workers measure: names, labels and meanings, for the worker that gives them and whoever reads them.
//!
//! Labels take few values: names from the pipeline's file, partitions that a worker owns, and closed lists. A key of the
//! data is never one.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the worker.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Kind {
    /// Its name in Prometheus.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as queries have it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All metrics of a worker, in the order in which they are given.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    WORKER_INFO: Gauge "tocsin_worker_info" ["pipeline", "worker", "version"] "Always 1; its labels say who answers";
    READY: Gauge "tocsin_ready" [] "1 when the worker has joined its group, has recovered its shards and reaches Kafka, else 0";
    SHARDS: Gauge "tocsin_shards" ["phase"] "Shards of this worker by phase: Asking, Restoring, Replaying, Running";
    REBALANCES: Counter "tocsin_rebalances_total" [] "Times that the group gave shards to this worker or took some away";
    RECOVERIES: Counter "tocsin_shard_recoveries_total" [] "Shards that this worker brought to where the pipeline had committed";
    KAFKA_TROUBLES: Counter "tocsin_kafka_troubles_total" [] "Times that a broker could not be used";

    SOURCE_RECORDS: Counter "tocsin_source_records_total" ["source"] "Records processed, good or dead; those that a recovery does again do not count";
    SOURCE_BYTES: Counter "tocsin_source_bytes_total" ["source"] "Bytes of the batches processed, as Kafka sent them";
    SOURCE_MISMATCHES: Counter "tocsin_source_mismatches_total" ["source"] "Values that became NULL because they had another type";
    DEAD_LETTERS: Counter "tocsin_dead_letters_total" ["source", "cause"] "Records that could not be taken, by cause; counted when their dead letter is committed";
    LAG_RECORDS: Gauge "tocsin_source_lag_records" ["source", "partition"] "Offsets between what is processed and the end of the partition";
    LAG_SECONDS: Gauge "tocsin_source_lag_seconds" ["source", "partition"] "Age of the oldest record that waits, by its Kafka timestamp, but not longer than the partition has been behind; 0 when none waits";
    WATERMARK_DELAY: Gauge "tocsin_source_watermark_delay_seconds" ["source"] "Time between now and the watermark of the slowest shard";

    STAGE_ROWS_IN: Counter "tocsin_stage_rows_in_total" ["stage"] "Rows that a stage took";
    STAGE_ROWS_OUT: Counter "tocsin_stage_rows_out_total" ["stage"] "Rows that a stage gave out";
    STAGE_LATE_ROWS: Counter "tocsin_stage_late_rows_total" ["stage"] "Rows that came too late to count";
    STAGE_MISPLACED: Counter "tocsin_stage_misplaced_keys_total" ["stage"] "Rows that stood in another partition than that of their key, though the source says `partitionedBy`; absent where nothing says so";
    STAGE_FAILURES: Counter "tocsin_stage_failures_total" ["stage"] "Operations of expressions that failed and gave NULL";
    STAGE_STATE_KEYS: Gauge "tocsin_stage_state_keys" ["stage"] "Keys with state";
    STAGE_STATE_BYTES: Gauge "tocsin_stage_state_bytes" ["stage"] "Memory that a stage's state takes";
    SINK_ROWS: Counter "tocsin_sink_rows_total" ["sink"] "Rows written to a sink; counted when they are committed";
    SINK_DELIVERIES: Counter "tocsin_sink_deliveries_total" ["sink", "outcome"] "What became of rows for a receiver outside of Kafka: Delivered, Retried (a try failed and another follows), Dead (to the dead letters), Deleted (by the buffer's retention, before they were delivered)";
    SINK_WAITING: Gauge "tocsin_sink_waiting_rows" ["sink"] "Rows for a receiver outside of Kafka that were read and are not done";
    SINK_OLDEST: Gauge "tocsin_sink_oldest_row_age_seconds" ["sink"] "Age of the oldest of them; absent when none waits";
    SINK_CIRCUIT: Gauge "tocsin_sink_circuit_open" ["sink"] "1 when the receiver is not tried because it failed again and again, 0.5 when it is tried once more, else 0";

    THREAD_BUSY: Counter "tocsin_thread_busy_seconds_total" ["thread"] "Time that a shard thread worked, or waited while the CPU quota held it back";
    THREAD_BACKPRESSURED: Counter "tocsin_thread_backpressured_seconds_total" ["thread"] "Time that a shard thread took no records because commits were outstanding";
    THREAD_IDLE: Counter "tocsin_thread_idle_seconds_total" ["thread"] "Time that a shard thread had nothing to do";
    BUSY_RATIO: Gauge "tocsin_thread_busy_ratio" ["thread"] "Share of the last ten seconds that a shard thread was busy";
    BACKPRESSURE_RATIO: Gauge "tocsin_thread_backpressure_ratio" ["thread"] "Share of the last ten seconds that a shard thread was held back by commits";
    CPU_THROTTLED: Counter "tocsin_cpu_throttled_seconds_total" [] "Time that the CPU quota of the worker's control group held it back; absent without one";

    TRANSACTIONS: Counter "tocsin_transactions_total" ["outcome"] "Transactions by outcome: Committed, Aborted (and sent again), Lost (and its shards recovered)";
    PRODUCERS_RENEWED: Counter "tocsin_producers_reinitialised_total" [] "Producers that were given up for a new one, as nobody knew what had become of a transaction";
    TRANSACTION_DURATION: Histogram "tocsin_transaction_duration_seconds" [] "Time from handing a transaction over until its commit is known";
    LATENCY: Histogram "tocsin_end_to_end_latency_seconds" [] "Time from a record's Kafka timestamp until the commit of what it led to is known";

    CHECKPOINTS: Counter "tocsin_checkpoints_total" [] "Snapshots of shards that were written";
    CHECKPOINT_FAILURES: Counter "tocsin_checkpoint_failures_total" [] "Snapshots of shards that could not be written";
    CHECKPOINT_AGE: Gauge "tocsin_checkpoint_age_seconds" [] "Age of the newest snapshot of the shard whose newest is oldest; absent before the first";
    CHECKPOINT_SIZE: Gauge "tocsin_checkpoint_size_bytes" [] "Size of the newest snapshots of all shards together";
    CHECKPOINT_DURATION: Gauge "tocsin_checkpoint_duration_seconds" [] "Time that the slowest of the newest snapshots took to write";
    CHECKPOINT_PAUSE: Gauge "tocsin_checkpoint_pause_seconds" [] "Longest time without a break for which the newest snapshots kept a thread from records, by the clock";
    CHECKPOINT_PAUSE_CPU: Gauge "tocsin_checkpoint_pause_cpu_seconds" [] "The same in the thread's processor time: without what other threads and processes took meanwhile";

    PROCESS_CPU: Counter "process_cpu_seconds_total" [] "CPU time of the worker, in the program and in the kernel";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" [] "Memory of the worker that is in RAM";
    PROCESS_FILES: Gauge "process_open_fds" [] "Open files and connections";
    PROCESS_START: Gauge "process_start_time_seconds" [] "When the worker started, in seconds since 1970";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_unit_and_kind_as_prometheus_wants_them() {
        for metric in ALL {
            let Metric { name, kind, .. } = metric;
            let prefix = name.starts_with("tocsin_") || name.starts_with("process_");
            assert!(prefix, "{name}: the prefix");
            assert_eq!(
                *kind == Kind::Counter,
                name.ends_with("_total"),
                "{name}: counters alone end so"
            );
            let units = ["ms", "millis", "milliseconds", "micros", "kib", "mib", "mb", "percent"];
            let foreign = name.split('_').any(|word| units.contains(&word));
            assert!(!foreign, "{name}: a base unit (seconds, bytes, ratio)");
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
