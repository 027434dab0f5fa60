//! The four lists. A field that gets built moves from the last list to another.

/// Something that is not built yet.
pub(super) struct Refused {
    /// Which fields.
    pub path: &'static str,
    /// Which values of them.
    pub when: When,
    /// What to do instead.
    pub advice: &'static str,
}

/// Which values of a field are refused.
pub(super) enum When {
    /// Any.
    Given,
    /// One word of several.
    Word(&'static str),
    /// All words but one.
    OtherThan(&'static str),
    /// Any, in a cluster: on one machine it has its effect.
    InCluster,
}

const fn given(path: &'static str, advice: &'static str) -> Refused {
    Refused {
        path,
        when: When::Given,
        advice,
    }
}

const fn word(path: &'static str, word: &'static str, advice: &'static str) -> Refused {
    Refused {
        path,
        when: When::Word(word),
        advice,
    }
}

const fn other_than(path: &'static str, built: &'static str, advice: &'static str) -> Refused {
    Refused {
        path,
        when: When::OtherThan(built),
        advice,
    }
}

const fn in_cluster(path: &'static str, advice: &'static str) -> Refused {
    Refused {
        path,
        when: When::InCluster,
        advice,
    }
}

/// Fields with an effect on one machine, each by its whole path.
pub(super) const EFFECT: &[&str] = &[
    "spec.sources[].name",
    "spec.sources[].file.path",
    "spec.sources[].stdin",
    "spec.sources[].generator.seed",
    "spec.sources[].generator.count",
    "spec.sources[].generator.rate",
    "spec.sources[].generator.services",
    "spec.sources[].generator.criticalPercent",
    "spec.sources[].generator.outOfOrderPercent",
    "spec.sources[].generator.latePercent",
    "spec.sources[].http.listen",
    "spec.sources[].format.type",
    "spec.sources[].format.fields[].name",
    "spec.sources[].format.fields[].type",
    "spec.sources[].format.fields[].path",
    "spec.sources[].format.fields[].required",
    "spec.sources[].format.strict",
    "spec.sources[].format.year",
    "spec.sources[].eventTime.field",
    "spec.sources[].eventTime.unit",
    "spec.sources[].eventTime.maxOutOfOrderness",
    "spec.sources[].eventTime.idleTimeout",
    "spec.sources[].eventTime.allowedLateness",
    "spec.sources[].eventTime.maxAhead",
    "spec.sources[].eventTime.alignment",
    "spec.stages[].name",
    "spec.stages[].from",
    "spec.stages[].filter",
    "spec.stages[].aggregate.by",
    "spec.stages[].aggregate.select",
    "spec.stages[].aggregate.kpisRef.name",
    "spec.stages[].aggregate.window.tumbling",
    "spec.stages[].aggregate.window.sliding.size",
    "spec.stages[].aggregate.window.sliding.every",
    "spec.stages[].aggregate.window.session.gap",
    "spec.stages[].escalate.by",
    "spec.stages[].escalate.count",
    "spec.stages[].escalate.within",
    "spec.stages[].escalate.ttl",
    "spec.stages[].escalate.severity",
    "spec.stages[].alarm.by",
    "spec.stages[].alarm.when",
    "spec.stages[].alarm.for",
    "spec.stages[].alarm.clear",
    "spec.stages[].alarm.keepFiringFor",
    "spec.stages[].alarm.maxGap",
    "spec.stages[].alarm.onNoData",
    "spec.stages[].alarm.baseline.value",
    "spec.stages[].alarm.baseline.over",
    "spec.stages[].alarm.baseline.sigmas",
    "spec.stages[].alarm.baseline.minSamples",
    "spec.stages[].alarm.severity",
    "spec.stages[].alarm.summary",
    "spec.stages[].alarm.rulesRef.name",
    "spec.stages[].incident.by",
    "spec.stages[].incident.openFor",
    "spec.stages[].incident.order",
    "spec.stages[].sql",
    "spec.stages[].emit",
    "spec.stages[].onError",
    "spec.stages[].ttl",
    // It changes no result, so that one process with all events of a key has nothing to do for it.
    "spec.stages[].skew",
    "spec.sinks[].name",
    "spec.sinks[].from",
    "spec.sinks[].file.path",
    "spec.sinks[].stdout",
];

/// Fields that have an effect from Kafka to Kafka (`tocsin run --bootstrap`), each with all that it holds.
pub(super) const KAFKA: &[&str] = &[
    // `--input` and `--output` stand for the topics.
    "spec.sources[].kafka.topic",
    "spec.sources[].partitionedBy",
    "spec.sources[].format.registry",
    "spec.sinks[].kafka.topic",
    "spec.sinks[].webhook",
    // In a file each result is there once either way.
    "spec.delivery",
    "spec.partitions.onGrowth",
    "spec.kafka.manageTopics",
    "spec.kafka.startingOffsets",
    "spec.kafka.tls",
    "spec.kafka.sasl",
    "spec.state.checkpoint",
    "spec.state.allowNonRestoredState",
];

/// Fields that only a cluster reads, each with all that it holds.
pub(super) const CLUSTER_ONLY: &[&str] = &[
    "spec.suspend",
    "spec.restartNonce",
    "spec.partitions.grow",
    "spec.partitions.max",
    // `--bootstrap` stands for the brokers, and topics that a worker makes have the brokers' own settings.
    "spec.kafka.mode",
    "spec.kafka.bootstrapServers",
    "spec.kafka.version",
    "spec.kafka.pools",
    "spec.kafka.listeners",
    "spec.kafka.config",
    "spec.kafka.autoRebalance",
    "spec.kafka.topics",
    "spec.kafka.partitions",
    "spec.kafka.replicationFactor",
    "spec.kafka.retention",
    "spec.kafka.user",
    "spec.workers",
    "spec.infrastructure",
    // `--state` and `--restore-from` stand for these.
    "spec.state.storage",
    "spec.state.savepoint",
    "spec.state.savepointNonce",
    "spec.state.restoreFrom",
    "spec.state.restoreNonce",
    "spec.upgrade",
    "spec.autoscaling",
    "spec.deletionPolicy",
    "spec.health",
    "spec.observability",
    "spec.ingress",
];

/// Fields that a cluster will read and does not yet, each with all that it holds: whoever sets one is told.
pub(super) const WITHOUT_EFFECT_YET: &[&str] = &[
    "spec.partitions.grow",
    "spec.partitions.max",
    "spec.kafka.autoRebalance",
    "spec.upgrade.readinessTimeout",
    "spec.upgrade.rollback",
    "spec.upgrade.maxCheckpointAge",
    "spec.health",
    "spec.observability.serviceMonitor",
    "spec.observability.alertRules",
    "spec.observability.dashboards",
    "spec.ingress",
];

/// What is not built yet.
pub(super) const REFUSED: &[Refused] = &[
    given(
        "spec.tables",
        "remove the tables, and have the columns in the events themselves",
    ),
    given(
        "spec.stages[].enrich",
        "remove the stage, and have the columns in the events themselves",
    ),
    given(
        "spec.stages[].detect",
        "remove the stage, or watch the columns with an `alarm`",
    ),
    given(
        "spec.stages[].match",
        "remove the stage, or count events with `escalate`",
    ),
    other_than(
        "spec.timeZone",
        "UTC",
        "remove `timeZone`, and shift the times in the expressions",
    ),
    word("spec.stages[].alarm.onNoData", "Alert", "use Keep or Ok"),
    word(
        "spec.stages[].onError",
        "DeadLetter",
        "remove `onError`: an operation that fails gives NULL and is counted",
    ),
];

/// What of rule sets is not built yet.
pub(super) const REFUSED_RULES: &[Refused] = &[
    word("spec.rules[].onNoData", "Alert", "use Keep or Ok"),
    other_than("spec.rollout", "Active", "remove `rollout`: rules take effect at once"),
];

/// What a cluster does not run, or not yet. The other fields that only a cluster reads have their effect there, but for those
/// of [`WITHOUT_EFFECT_YET`].
pub(super) const REFUSED_IN_CLUSTER: &[Refused] = &[
    in_cluster(
        "spec.sources[].file",
        "have the events in a Kafka topic: `tocsin produce` writes a file to one",
    ),
    in_cluster(
        "spec.sources[].stdin",
        "have the events in a Kafka topic: `tocsin produce` writes them to one",
    ),
    in_cluster(
        "spec.sources[].generator",
        "have the events in a Kafka topic: `tocsin produce --generate` makes some",
    ),
    in_cluster("spec.sources[].http", "have the events in a Kafka topic"),
    in_cluster(
        "spec.sinks[].file",
        "write to a Kafka topic: `tocsin consume` reads one",
    ),
    in_cluster(
        "spec.sinks[].stdout",
        "write to a Kafka topic: `tocsin consume` reads one",
    ),
    other_than(
        "spec.infrastructure.provider",
        "None",
        "remove `infrastructure`: the workers run on the nodes that the cluster has",
    ),
    other_than(
        "spec.autoscaling.mode",
        "Off",
        "remove `autoscaling`, and set `workers.replicas` or use `kubectl scale`",
    ),
    other_than(
        "spec.upgrade.mode",
        "Savepoint",
        "remove `upgrade.mode`: each upgrade begins with a savepoint",
    ),
    other_than(
        "spec.upgrade.fallback",
        "None",
        "remove `upgrade.fallback`: an upgrade whose savepoint fails does not begin",
    ),
];
