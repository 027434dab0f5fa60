//! Rules of how a pipeline is operated: Kafka, infrastructure, state, upgrade, autoscaling.

use super::{exactly_one, positive};
use crate::pipeline::IncidentPipelineSpec;
use crate::pipeline::autoscaling::Autoscaling;
use crate::pipeline::infrastructure::{Infrastructure, Provider};
use crate::pipeline::kafka::{Kafka, KafkaMode, KafkaPool, KafkaRole, ListenerKind, SaslMechanism, is_principal};
use crate::pipeline::node_pool::{CloudRef, NodePool, ReadySignalKind, SecurityRule, ServerGroupPolicy};
use crate::pipeline::state::State;
use crate::pipeline::time_table::TimeTable;
use crate::pipeline::upgrade::{Upgrade, UpgradeFallback, UpgradeMode};
use crate::problem::Problem;
use crate::rule::Rule;

/// Rules of `kafka`.
pub const KAFKA: [Rule; 13] = [
    Rule::on(
        ".bootstrapServers",
        "!has(self.mode) || (self.mode == 'External') == has(self.bootstrapServers)",
        "must be given exactly when mode is External",
    ),
    Rule::new(
        "!has(self.bootstrapServers) || !(has(self.version) || (has(self.pools) && self.pools.size() > 0) \
         || (has(self.listeners) && self.listeners.size() > 0) || (has(self.config) && self.config.size() > 0))",
        "must not have version, pools, listeners or config: an External Kafka has its own",
    ),
    Rule::new(
        "has(self.bootstrapServers) || !(has(self.tls) || has(self.sasl))",
        "must not have tls or sasl: a Managed Kafka and Strimzi set them up by themselves",
    ),
    Rule::on(
        ".sasl",
        "!has(self.sasl) || self.sasl.mechanism != 'Plain' || has(self.tls)",
        "must not have mechanism Plain without tls: the password would be sent as it is",
    ),
    Rule::on(
        ".pools",
        "!has(self.pools) || self.pools.size() == 0 || (self.pools.exists(p, 'Controller' in p.roles) \
         && self.pools.exists(p, 'Broker' in p.roles))",
        "must have at least one Controller and one Broker",
    ),
    Rule::on(
        ".sasl",
        "!has(self.sasl) || self.sasl.mechanism != 'OAuthBearer' || has(self.tls)",
        "must not have mechanism OAuthBearer without tls: whoever reads a token can use it",
    ),
    Rule::on(
        ".sasl",
        "!has(self.sasl) || (self.sasl.mechanism == 'OAuthBearer' ? has(self.sasl.tokenEndpoint) \
         : !(has(self.sasl.tokenEndpoint) || has(self.sasl.scope)))",
        "must have a tokenEndpoint with mechanism OAuthBearer, and neither that nor a scope with another",
    ),
    Rule::on(
        ".sasl",
        "!has(self.sasl) || self.sasl.mechanism == 'Kerberos' || !has(self.sasl.serviceName)",
        "must not have a serviceName without mechanism Kerberos",
    ),
    Rule::on(
        ".sasl",
        "!has(self.sasl) || self.sasl.mechanism != 'Kerberos' || self.sasl.username.matches('^[A-Za-z0-9._/@-]+$')",
        "must have a username of letters, digits, `.`, `_`, `-`, `/` and `@` with mechanism Kerberos",
    ),
    Rule::on(
        ".user",
        "!(has(self.bootstrapServers) && has(self.user))",
        "must not be given here: the limits of a user of an External Kafka are its owner's to set",
    ),
    Rule::on(
        ".listeners",
        "!has(self.listeners) || (has(self.mode) && self.mode == 'Strimzi') \
         || self.listeners.all(l, l.type == 'Internal')",
        "must have type Internal here: NodePort and LoadBalancer are for mode Strimzi",
    ),
    Rule::on(
        ".config",
        "!has(self.config) || self.config.all(name, name.matches('^[A-Za-z0-9._-]+$'))",
        "must have names of letters, digits, `.`, `_` and `-`, as Kafka's settings have",
    ),
    // The objects of a pipeline NAME-kafka are called so.
    Rule::on(
        ".pools",
        "!has(self.pools) || self.pools.all(p, !p.name.matches('^(workers|live|published|(config|rules|kafka)-.*)$'))",
        "must not be named workers, live or published, nor begin with config-, rules- or kafka-: objects of another pipeline \
         may have that name",
    ),
];

/// Rules of a change of `kafka`.
pub const KAFKA_CHANGE: [Rule; 2] = [
    Rule::on(
        ".mode",
        "(has(self.mode) ? self.mode : has(self.bootstrapServers) ? 'External' : 'Managed') \
         == (has(oldSelf.mode) ? oldSelf.mode : has(oldSelf.bootstrapServers) ? 'External' : 'Managed')",
        "must not change: records and journal are in that Kafka; make another pipeline and restore a savepoint into it",
    ),
    Rule::on(
        ".pools",
        "(has(self.mode) && self.mode == 'Strimzi') || !has(self.pools) || !has(oldSelf.pools) \
         || self.pools.all(p, oldSelf.pools.all(q, q.name != p.name || (q.storage.size == p.storage.size \
         && (has(q.storage.class) ? q.storage.class : '') == (has(p.storage.class) ? p.storage.class : ''))))",
        "must not change the storage of a pool: its disks are there; make another pool beside it",
    ),
];

/// Rules of a change of a topic.
pub const TOPIC_PARTITIONS: [Rule; 1] = [Rule::new(
    "self >= oldSelf",
    "must not shrink: Kafka never takes partitions away",
)];

/// Rules of `state.storage`.
pub const STORAGE: [Rule; 1] = [Rule::new(
    "has(self.volume) != has(self.s3)",
    "must have exactly one of volume and s3",
)];

/// Rules of `state.restoreFrom`.
pub const RESTORE_FROM: [Rule; 1] = [Rule::new(
    "has(self.snapshotRef) != has(self.path)",
    "must have exactly one of snapshotRef and path",
)];

/// Rules of `upgrade`.
pub const UPGRADE: [Rule; 1] = [Rule::on(
    ".fallback",
    "self.fallback == 'None' || self.mode == 'Savepoint'",
    "must be None here: it says what happens when the savepoint of mode Savepoint fails",
)];

/// Rules of `autoscaling`.
pub const AUTOSCALING: [Rule; 1] = [Rule::on(
    ".minReplicas",
    "self.minReplicas <= self.maxReplicas",
    "must not be more than maxReplicas",
)];

/// Rules of `autoscaling.utilization`.
pub const UTILIZATION: [Rule; 1] = [Rule::on(
    ".target",
    "self.min < self.target && self.target < self.max",
    "must lie between min and max, and equal neither",
)];

/// Rules of a schedule of the autoscaler.
pub const SCHEDULE: [Rule; 2] = [
    Rule::new(
        "has(self.minReplicas) || has(self.maxReplicas)",
        "must have minReplicas or maxReplicas, or both",
    ),
    Rule::on(
        ".minReplicas",
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "must not be more than maxReplicas",
    ),
];

/// Rules of `infrastructure`.
pub const INFRASTRUCTURE: [Rule; 4] = [
    Rule::on(
        ".nodePools",
        "(self.provider != 'None') == (has(self.nodePools) && self.nodePools.size() > 0)",
        "must be given exactly when provider is Heat or Nova",
    ),
    Rule::on(
        ".identityRef",
        "(self.provider != 'None') == has(self.identityRef)",
        "must be given exactly when provider is Heat or Nova",
    ),
    Rule::on(
        ".heat",
        "!has(self.heat) || self.provider == 'Heat'",
        "must not be given here: it is for provider Heat",
    ),
    Rule::on(
        ".nodePools",
        "self.provider == 'Heat' || !has(self.nodePools) \
         || self.nodePools.all(p, !has(p.readySignal.type) || p.readySignal.type != 'HeatWaitCondition')",
        "must not have readySignal HeatWaitCondition: that is for provider Heat",
    ),
];

/// Rules of a change of `infrastructure.provider`.
pub const PROVIDER: [Rule; 1] = [Rule::new(
    "oldSelf == 'None' || self == oldSelf",
    "must not change: the machines belong to it; make another pipeline and restore a savepoint into it",
)];

/// Rules of a change of the region.
pub const REGION: [Rule; 1] = [Rule::new(
    "self == oldSelf",
    "must not change: the machines are there; make another pipeline in the new region",
)];

/// Rules of a node pool.
pub const NODE_POOL: [Rule; 2] = [
    Rule::on(
        ".minReplicas",
        "!has(self.minReplicas) || self.minReplicas <= self.replicas",
        "must not be more than replicas",
    ),
    Rule::on(
        ".maxReplicas",
        "!has(self.maxReplicas) || self.maxReplicas >= self.replicas",
        "must not be less than replicas",
    ),
];

/// Rules of a server group.
pub const SERVER_GROUP: [Rule; 1] = [Rule::on(
    ".maxServerPerHost",
    "!has(self.maxServerPerHost) || self.policy == 'AntiAffinity'",
    "must not be given here: Nova knows it with policy AntiAffinity alone",
)];

/// Rules of a reference to a thing of the cloud.
pub const CLOUD_REF: [Rule; 2] = [
    Rule::new(
        "has(self.id) != has(self.filter)",
        "must have exactly one of id and filter",
    ),
    Rule::on(
        ".filter",
        "!has(self.filter) || has(self.filter.name) || (has(self.filter.tags) && self.filter.tags.size() > 0)",
        "must have a name or tags, or both",
    ),
];

/// Rules of a security rule.
pub const SECURITY_RULE: [Rule; 1] = [Rule::on(
    ".portRangeMin",
    "has(self.portRangeMin) == has(self.portRangeMax) \
     && (!has(self.portRangeMin) || self.portRangeMin <= self.portRangeMax)",
    "must be given together with portRangeMax, and not be more than it",
)];

pub(super) fn check(spec: &IncidentPipelineSpec, problems: &mut Vec<Problem>) {
    kafka(&spec.kafka, problems);
    infrastructure(&spec.infrastructure, problems);
    state(&spec.state, problems);
    upgrade(&spec.upgrade, problems);
    autoscaling(&spec.autoscaling, problems);
}

fn kafka(kafka: &Kafka, problems: &mut Vec<Problem>) {
    let path = "spec.kafka";
    let external = kafka.bootstrap_servers.is_some();
    let holds = kafka.mode.is_none_or(|mode| (mode == KafkaMode::External) == external);
    KAFKA[0].unless(holds, path, problems);
    let own =
        kafka.version.is_some() || !kafka.pools.is_empty() || !kafka.listeners.is_empty() || !kafka.config.is_empty();
    KAFKA[1].unless(!external || !own, path, problems);
    KAFKA[2].unless(
        external || (kafka.tls.is_none() && kafka.sasl.is_none()),
        path,
        problems,
    );
    let plain = kafka
        .sasl
        .as_ref()
        .is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain);
    KAFKA[3].unless(!plain || kafka.tls.is_some(), path, problems);
    let has = |role| kafka.pools.iter().any(|pool| pool.roles.contains(&role));
    KAFKA[4].unless(
        kafka.pools.is_empty() || (has(KafkaRole::Controller) && has(KafkaRole::Broker)),
        path,
        problems,
    );
    if let Some(sasl) = &kafka.sasl {
        let token = sasl.mechanism == SaslMechanism::OAuthBearer;
        KAFKA[5].unless(!token || kafka.tls.is_some(), path, problems);
        let none = sasl.token_endpoint.is_none() && sasl.scope.is_none();
        let fits = if token { sasl.token_endpoint.is_some() } else { none };
        KAFKA[6].unless(fits, path, problems);
        let is_ticket = sasl.mechanism == SaslMechanism::Kerberos;
        KAFKA[7].unless(is_ticket || sasl.service_name.is_none(), path, problems);
        KAFKA[8].unless(!is_ticket || is_principal(&sasl.username), path, problems);
    }
    KAFKA[9].unless(!external || kafka.user.is_none(), path, problems);
    let are_internal = kafka
        .listeners
        .iter()
        .all(|listener| listener.kind == ListenerKind::Internal);
    let is_name = |name: &String| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !name.is_empty() && name.chars().all(fits)
    };
    KAFKA[11].unless(kafka.config.keys().all(is_name), path, problems);
    let is_free = |pool: &KafkaPool| {
        let name = pool.name.as_str();
        let begins = ["config-", "rules-", "kafka-"]
            .iter()
            .any(|taken| name.starts_with(taken));
        !begins && !["workers", "live", "published"].contains(&name)
    };
    KAFKA[12].unless(kafka.pools.iter().all(is_free), path, problems);
    KAFKA[10].unless(kafka.mode == Some(KafkaMode::Strimzi) || are_internal, path, problems);
}

fn infrastructure(infrastructure: &Infrastructure, problems: &mut Vec<Problem>) {
    let path = "spec.infrastructure";
    let cloud = infrastructure.provider != Provider::None;
    let heat = infrastructure.provider == Provider::Heat;
    INFRASTRUCTURE[0].unless(cloud != infrastructure.node_pools.is_empty(), path, problems);
    INFRASTRUCTURE[1].unless(cloud == infrastructure.identity_ref.is_some(), path, problems);
    INFRASTRUCTURE[2].unless(heat || infrastructure.heat.is_none(), path, problems);
    let waits = |pool: &NodePool| pool.ready_signal.kind == ReadySignalKind::HeatWaitCondition;
    INFRASTRUCTURE[3].unless(heat || !infrastructure.node_pools.iter().any(waits), path, problems);
    for pool in &infrastructure.node_pools {
        node_pool(pool, &format!("{path}.nodePools[{}]", pool.name), problems);
    }
}

fn node_pool(pool: &NodePool, path: &str, problems: &mut Vec<Problem>) {
    NODE_POOL[0].unless(pool.min_replicas.is_none_or(|min| min <= pool.replicas), path, problems);
    NODE_POOL[1].unless(pool.max_replicas.is_none_or(|max| max >= pool.replicas), path, problems);
    let group = &pool.server_group;
    let anti = group.policy == ServerGroupPolicy::AntiAffinity;
    SERVER_GROUP[0].unless(
        anti || group.max_server_per_host.is_none(),
        &format!("{path}.serverGroup"),
        problems,
    );
    cloud_ref(&pool.image, &format!("{path}.image"), problems);
    for (at, port) in pool.ports.iter().enumerate() {
        let path = format!("{path}.ports[{at}]");
        cloud_ref(&port.network, &format!("{path}.network"), problems);
        for (at, address) in port.fixed_ips.iter().enumerate() {
            cloud_ref(&address.subnet, &format!("{path}.fixedIPs[{at}].subnet"), problems);
        }
        for (at, group) in port.security_groups.iter().enumerate() {
            cloud_ref(group, &format!("{path}.securityGroups[{at}]"), problems);
        }
    }
    for group in &pool.security_groups {
        for (at, rule) in group.rules.iter().enumerate() {
            security_rule(
                rule,
                &format!("{path}.securityGroups[{}].rules[{at}]", group.name),
                problems,
            );
        }
    }
}

fn cloud_ref(it: &CloudRef, path: &str, problems: &mut Vec<Problem>) {
    exactly_one(
        &CLOUD_REF[0],
        &[("id", it.id.is_some()), ("filter", it.filter.is_some())],
        path,
        problems,
    );
    let named = it
        .filter
        .as_ref()
        .is_none_or(|filter| filter.name.is_some() || !filter.tags.is_empty());
    CLOUD_REF[1].unless(named, path, problems);
}

fn security_rule(rule: &SecurityRule, path: &str, problems: &mut Vec<Problem>) {
    let holds = match (rule.port_range_min, rule.port_range_max) {
        (Some(min), Some(max)) => min <= max,
        (None, None) => true,
        _ => false,
    };
    SECURITY_RULE[0].unless(holds, path, problems);
}

fn state(state: &State, problems: &mut Vec<Problem>) {
    // Cron's grammar is more than a pattern of the schema can say.
    if let Some(Err(why)) = state.savepoint.schedule.as_deref().map(TimeTable::parse) {
        let problem = Problem::new("spec.state.savepoint.schedule", format!("is no time table: {why}"));
        problems.push(
            problem.hint("five fields of cron in UTC, as in `0 */6 * * *`, or @hourly, @daily, @weekly, @monthly"),
        );
    }
    let storage = &state.storage;
    let given = [("volume", storage.volume.is_some()), ("s3", storage.s3.is_some())];
    exactly_one(&STORAGE[0], &given, "spec.state.storage", problems);
    positive(state.checkpoint.interval, "spec.state.checkpoint.interval", problems);
    if let Some(restore) = &state.restore_from {
        let given = [
            ("snapshotRef", restore.snapshot_ref.is_some()),
            ("path", restore.path.is_some()),
        ];
        exactly_one(&RESTORE_FROM[0], &given, "spec.state.restoreFrom", problems);
    }
}

fn upgrade(upgrade: &Upgrade, problems: &mut Vec<Problem>) {
    let holds = upgrade.fallback == UpgradeFallback::None || upgrade.mode == UpgradeMode::Savepoint;
    UPGRADE[0].unless(holds, "spec.upgrade", problems);
}

fn autoscaling(autoscaling: &Autoscaling, problems: &mut Vec<Problem>) {
    let path = "spec.autoscaling";
    AUTOSCALING[0].unless(autoscaling.min_replicas <= autoscaling.max_replicas, path, problems);
    positive(autoscaling.metrics_window, &format!("{path}.metricsWindow"), problems);
    let busy = &autoscaling.utilization;
    let between = busy.min < busy.target && busy.target < busy.max;
    UTILIZATION[0].unless(between, &format!("{path}.utilization"), problems);
    for schedule in &autoscaling.schedules {
        let path = format!("{path}.schedules[{}]", schedule.name);
        let (min, max) = (schedule.min_replicas, schedule.max_replicas);
        SCHEDULE[0].unless(min.is_some() || max.is_some(), &path, problems);
        SCHEDULE[1].unless(min.zip(max).is_none_or(|(min, max)| min <= max), &path, problems);
    }
}

/// What `new` changes about `old` that cannot change.
pub fn change_problems(old: &IncidentPipelineSpec, new: &IncidentPipelineSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (before, after) = (&old.kafka, &new.kafka);
    let is_same = before.effective_mode() == after.effective_mode();
    KAFKA_CHANGE[0].unless(is_same, "spec.kafka", &mut problems);
    let disk = |pool: &KafkaPool| {
        (
            pool.storage.size.clone(),
            pool.storage.class.clone().unwrap_or_default(),
        )
    };
    let keeps_disks = |pool: &KafkaPool| {
        let before = before.pools.iter().find(|before| before.name == pool.name);
        before.is_none_or(|before| disk(before) == disk(pool))
    };
    let are_kept = after.mode == Some(KafkaMode::Strimzi) || after.pools.iter().all(keeps_disks);
    KAFKA_CHANGE[1].unless(are_kept, "spec.kafka", &mut problems);
    for topic in &new.kafka.topics {
        let before = old.kafka.topics.iter().find(|before| before.name == topic.name);
        if let (Some(before), Some(after)) = (before.and_then(|before| before.partitions), topic.partitions) {
            let path = format!("spec.kafka.topics[{}].partitions", topic.name);
            TOPIC_PARTITIONS[0].unless(after >= before, &path, &mut problems);
        }
    }
    let (before, after) = (&old.infrastructure, &new.infrastructure);
    let kept = before.provider == Provider::None || before.provider == after.provider;
    PROVIDER[0].unless(kept, "spec.infrastructure.provider", &mut problems);
    if let (Some(before), Some(after)) = (&before.identity_ref, &after.identity_ref)
        && let (Some(before), Some(after)) = (&before.region, &after.region)
    {
        REGION[0].unless(before == after, "spec.infrastructure.identityRef.region", &mut problems);
    }
    problems
}
