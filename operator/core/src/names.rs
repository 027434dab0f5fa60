//! Names of the objects that a pipeline is made of.

use tocsin_contract::names::child;

/// Name of the worker's container in its pod: what a pod template is laid over.
pub const WORKER_CONTAINER: &str = "worker";

/// The objects of one pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pipeline: &'a str,
}

impl<'a> Names<'a> {
    /// The objects of `pipeline`.
    pub const fn of(pipeline: &'a str) -> Self {
        Self { pipeline }
    }

    /// The workers' StatefulSet, its Service, and their ServiceAccount, PodDisruptionBudget and NetworkPolicy.
    pub fn workers(&self) -> String {
        child(self.pipeline, "workers")
    }

    /// The worker with this number: the pod, and its name in the consumer group.
    pub fn worker(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.workers())
    }

    /// The ConfigMap with the pipeline's file as `revision` of the workers reads it. It never changes.
    pub fn config(&self, revision: &str) -> String {
        child(self.pipeline, &format!("config-{revision}"))
    }

    /// The ConfigMap with the rule sets that workers begin with, by the name of what is in it. It never changes.
    pub fn rules(&self, rules: &str) -> String {
        child(self.pipeline, &format!("rules-{rules}"))
    }

    /// The ConfigMap with what running workers take up when it changes.
    pub fn live(&self) -> String {
        child(self.pipeline, "live")
    }

    /// The ConfigMap that says what went out on the pipeline's own topics.
    pub fn published(&self) -> String {
        child(self.pipeline, "published")
    }

    /// The Secret by which the operator and the workers know each other.
    pub fn admin(&self) -> String {
        child(self.pipeline, "admin")
    }

    /// The volume claim with snapshots.
    pub fn state(&self) -> String {
        child(self.pipeline, "state")
    }

    /// Where clients of a managed Kafka begin, and what belongs to all of its nodes.
    pub fn kafka(&self) -> String {
        child(self.pipeline, "kafka")
    }

    /// The Service that gives each node of a managed Kafka a name.
    pub fn kafka_nodes(&self) -> String {
        child(self.pipeline, "kafka-nodes")
    }

    /// A pool of nodes.
    pub fn kafka_pool(&self, pool: &str) -> String {
        child(self.pipeline, &format!("kafka-{pool}"))
    }

    /// The Secret with the authority of a managed Kafka.
    pub fn kafka_authority(&self) -> String {
        child(self.pipeline, "kafka-authority")
    }

    /// The Secret with what clients of a managed Kafka trust.
    pub fn kafka_trusted(&self) -> String {
        child(self.pipeline, "kafka-ca")
    }

    /// The Secret with the certificate of the nodes.
    pub fn kafka_tls(&self) -> String {
        child(self.pipeline, "kafka-tls")
    }

    /// The Secret with the pipeline's login.
    pub fn kafka_user(&self) -> String {
        child(self.pipeline, "kafka-user")
    }

    /// The Secret with the login of those who write what the pipeline reads, and read what it writes.
    pub fn kafka_client(&self) -> String {
        child(self.pipeline, "kafka-client")
    }

    /// The savepoint that is taken before the pipeline with this UID goes.
    pub fn last_savepoint(&self, uid: &str) -> String {
        child(self.pipeline, &format!("last-{}", uid.get(..8).unwrap_or(uid)))
    }

    /// The savepoint that this `savepointNonce` asked for, in this generation of the pipeline with this UID: the same number may
    /// come again, and a savepoint of another day is not what it asks for.
    pub fn asked_savepoint(&self, nonce: i64, uid: &str, generation: i64) -> String {
        let uid = uid.get(..8).unwrap_or(uid);
        child(self.pipeline, &format!("asked-{nonce}-{uid}-{generation}"))
    }

    /// The savepoint of this time of the time table.
    pub fn scheduled_savepoint(&self, due: jiff::Timestamp) -> String {
        child(self.pipeline, &format!("scheduled-{}", due.strftime("%Y%m%d-%H%M")))
    }

    /// The savepoint that ends a run, as this generation of the pipeline asked for it.
    pub fn ending_savepoint(&self, run: &str, generation: i64) -> String {
        child(self.pipeline, &format!("ending-{run}-{generation}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_contract::names::{MAX_LABEL, MAX_PIPELINE_NAME};

    #[test]
    fn objects_are_named_after_their_pipeline() {
        let names = Names::of("noc");
        assert_eq!(names.worker(2), "noc-workers-2");
        assert_eq!(names.config("0123456789ab"), "noc-config-0123456789ab");
        assert_eq!(names.ending_savepoint("0123456789ab", 7), "noc-ending-0123456789ab-7");
    }

    #[test]
    fn the_longest_name_of_a_pipeline_leaves_room_for_what_kubernetes_puts_behind() {
        let longest = "p".repeat(MAX_PIPELINE_NAME);
        let names = Names::of(&longest);
        // The controller of StatefulSets labels pods with NAME-HASH, ten signs of it.
        assert!(names.workers().len() + 11 <= MAX_LABEL, "{}", names.workers());
        assert!(names.worker(u32::MAX).len() <= MAX_LABEL);
        assert!(names.config("0123456789ab").len() <= MAX_LABEL);
    }
}
