//! Names of the topics that a pipeline keeps for itself.

use std::fmt;

use crate::names::bounded;

/// Longest name that Kafka takes.
const MAX_TOPIC: usize = 249;

/// Name of a topic of the pipeline's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalTopic(String);

impl InternalTopic {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InternalTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The topics of a pipeline: `noc.journal`, `noc.kpis.by`, `noc.pager.buffer`.
///
/// Names of pipelines, stages and sinks have no dots, so no two of these are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopics {
    prefix: String,
}

impl InternalTopics {
    /// The topics of a pipeline that has its Kafka to itself.
    pub fn of(pipeline: &str) -> Self {
        Self {
            prefix: pipeline.to_owned(),
        }
    }

    /// The topics of a pipeline that shares its Kafka: the namespace stands in front.
    pub fn shared(namespace: &str, pipeline: &str) -> Self {
        Self {
            prefix: format!("{namespace}.{pipeline}"),
        }
    }

    /// Sequence, positions and decisions of every transaction. Its partitions are the pipeline's shards.
    pub fn journal(&self) -> InternalTopic {
        self.topic("journal")
    }

    /// Rules, KPIs and models, signed by the operator.
    pub fn control(&self) -> InternalTopic {
        self.topic("control")
    }

    /// What the operator asks of the workers.
    pub fn commands(&self) -> InternalTopic {
        self.topic("commands")
    }

    /// Who changed what and when.
    pub fn audit(&self) -> InternalTopic {
        self.topic("audit")
    }

    /// Records that could not be read, with cause and place.
    pub fn dead_letter(&self) -> InternalTopic {
        self.topic("dead-letter")
    }

    /// Input of `stage`, partitioned by its key.
    pub fn by(&self, stage: &str, generation: u32) -> InternalTopic {
        self.of_stage(stage, "by", generation)
    }

    /// Partial results of `stage`, to be added up.
    pub fn partial(&self, stage: &str, generation: u32) -> InternalTopic {
        self.of_stage(stage, "partial", generation)
    }

    /// Events that came too late for `stage`.
    pub fn late(&self, stage: &str, generation: u32) -> InternalTopic {
        self.of_stage(stage, "late", generation)
    }

    /// What `sink` still has to deliver outside Kafka.
    pub fn buffer(&self, sink: &str) -> InternalTopic {
        self.topic(&format!("{sink}.buffer"))
    }

    /// The first generation has no number. So far there is no other: rows say by which form they were written, and a savepoint to
    /// begin anew with is drained.
    fn of_stage(&self, stage: &str, what: &str, generation: u32) -> InternalTopic {
        match generation {
            0 => self.topic(&format!("{stage}.{what}")),
            _ => self.topic(&format!("{stage}.{what}.g{generation}")),
        }
    }

    fn topic(&self, rest: &str) -> InternalTopic {
        InternalTopic(bounded(&format!("{}.{rest}", self.prefix), MAX_TOPIC))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_after_pipeline_and_stage() {
        let topics = InternalTopics::of("noc");
        assert_eq!(topics.journal().as_str(), "noc.journal");
        assert_eq!(topics.dead_letter().as_str(), "noc.dead-letter");
        assert_eq!(topics.by("kpis", 0).as_str(), "noc.kpis.by");
        assert_eq!(topics.partial("kpis", 2).as_str(), "noc.kpis.partial.g2");
        assert_eq!(topics.late("kpis", 0).as_str(), "noc.kpis.late");
        assert_eq!(topics.buffer("pager").as_str(), "noc.pager.buffer");
        assert_eq!(
            InternalTopics::shared("ops", "noc").journal().as_str(),
            "ops.noc.journal"
        );
    }

    #[test]
    fn the_longest_names_fit_kafka() {
        let topics = InternalTopics::shared(&"n".repeat(63), &"p".repeat(40));
        let longest = topics.partial(&"s".repeat(63), u32::MAX);
        assert!(
            longest.as_str().len() <= MAX_TOPIC && longest.as_str().ends_with(".g4294967295"),
            "{longest}"
        );
        assert_eq!(InternalTopics::of(&"p".repeat(300)).journal().as_str().len(), MAX_TOPIC);
    }
}
