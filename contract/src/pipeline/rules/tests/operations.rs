//! Rules of how a pipeline is operated.

use super::*;
use crate::rule;

pub(super) fn cases() -> Vec<Case> {
    let kafka = |body: &str| pipeline(&format!("kafka: {{{body}}}"));
    let external = |body: &str| kafka(&format!("bootstrapServers: \"k:9092\"{body}"));
    let sasl = "sasl: {mechanism: Plain, username: u, passwordSecretRef: {name: s, key: k}}";
    let token = "mechanism: OAuthBearer, username: u, passwordSecretRef: {name: s, key: k}";
    let ticket = "sasl: {mechanism: Kerberos, username: u, passwordSecretRef: {name: s, key: k}, serviceName: brokers}";
    let state = |body: &str| pipeline(&format!("state: {{{body}}}"));
    let scaling = |body: &str| pipeline(&format!("autoscaling: {{{body}}}"));
    let schedule = |body: &str| {
        scaling(&format!(
            "schedules: [{{name: day, start: \"@daily\", end: \"@daily\"{body}}}]"
        ))
    };
    let rule = |body: &str| machines("Nova", &format!(", securityGroups: [{{name: g, rules: [{{{body}}}]}}]"));
    vec![
        case(
            KAFKA[0],
            external(", mode: External"),
            external(", mode: Strimzi"),
            "spec.kafka.bootstrapServers",
        ),
        case(
            KAFKA[0],
            kafka("mode: Managed"),
            kafka("mode: External"),
            "spec.kafka.bootstrapServers",
        ),
        case(
            KAFKA[1],
            external(", pools: []"),
            external(", version: \"4.1.0\""),
            "spec.kafka",
        ),
        case(KAFKA[2], external(", tls: {}"), kafka("tls: {}"), "spec.kafka"),
        case(
            KAFKA[3],
            external(&format!(", tls: {{}}, {sasl}")),
            external(&format!(", {sasl}")),
            "spec.kafka.sasl",
        ),
        case(
            KAFKA[4],
            kafka("pools: [{name: all}]"),
            kafka("pools: [{name: all, roles: [Broker]}]"),
            "spec.kafka.pools",
        ),
        case(
            KAFKA[5],
            external(&format!(
                ", tls: {{}}, sasl: {{{token}, tokenEndpoint: \"https://t.example/token\"}}"
            )),
            external(&format!(
                ", sasl: {{{token}, tokenEndpoint: \"https://t.example/token\"}}"
            )),
            "spec.kafka.sasl",
        ),
        case(
            KAFKA[6],
            external(&format!(
                ", tls: {{}}, sasl: {{{token}, tokenEndpoint: \"https://t.example/token\"}}"
            )),
            external(&format!(", tls: {{}}, sasl: {{{token}}}")),
            "spec.kafka.sasl",
        ),
        case(
            KAFKA[12],
            kafka("pools: [{name: worker}]"),
            kafka("pools: [{name: workers}]"),
            "spec.kafka.pools",
        ),
        case(
            KAFKA[12],
            kafka("pools: [{name: kafka}]"),
            kafka("pools: [{name: kafka-more}]"),
            "spec.kafka.pools",
        ),
        case(
            KAFKA[11],
            kafka("config: {log.segment.bytes: \"1\"}"),
            kafka("config: {\"authorizer.class.name \": none}"),
            "spec.kafka.config",
        ),
        case(
            KAFKA[9],
            kafka("user: {producerByteRate: 1000000}"),
            external(", user: {producerByteRate: 1000000}"),
            "spec.kafka.user",
        ),
        case(
            KAFKA[10],
            kafka("mode: Strimzi, listeners: [{name: out, port: 9094, type: NodePort}]"),
            kafka("listeners: [{name: out, port: 9094, type: NodePort}]"),
            "spec.kafka.listeners",
        ),
        case(
            KAFKA[7],
            external(&format!(", {ticket}")),
            external(&format!(", {}", ticket.replace("Kerberos", "ScramSha512"))),
            "spec.kafka.sasl",
        ),
        case(
            KAFKA[8],
            external(&format!(
                ", {}",
                ticket.replace("username: u", "username: noc/w-1@EXAMPLE.ORG")
            )),
            external(&format!(", {}", ticket.replace("username: u", "username: 'u; id'"))),
            "spec.kafka.sasl",
        ),
        case(
            STORAGE[0],
            state("storage: {s3: {bucket: b}}"),
            state("storage: {s3: {bucket: b}, volume: {}}"),
            "spec.state.storage",
        ),
        case(
            RESTORE_FROM[0],
            state("restoreFrom: {path: p}"),
            state("restoreFrom: {mode: Rewind}"),
            "spec.state.restoreFrom",
        ),
        case(
            rule::POSITIVE[0],
            state("checkpoint: {interval: 1s}"),
            state("checkpoint: {interval: 0s}"),
            "spec.state.checkpoint.interval",
        ),
        case(
            UPGRADE[0],
            pipeline("upgrade: {fallback: LastCheckpoint}"),
            pipeline("upgrade: {mode: Stateless, fallback: LastCheckpoint}"),
            "spec.upgrade.fallback",
        ),
        case(
            AUTOSCALING[0],
            scaling("minReplicas: 3, maxReplicas: 3"),
            scaling("minReplicas: 4, maxReplicas: 3"),
            "spec.autoscaling.minReplicas",
        ),
        case(
            UTILIZATION[0],
            scaling("utilization: {target: 50}"),
            scaling("utilization: {target: 40}"),
            "spec.autoscaling.utilization.target",
        ),
        case(
            SCHEDULE[0],
            schedule(", minReplicas: 1"),
            schedule(""),
            "spec.autoscaling.schedules[day]",
        ),
        case(
            SCHEDULE[1],
            schedule(", minReplicas: 1, maxReplicas: 2"),
            schedule(", minReplicas: 3, maxReplicas: 2"),
            "spec.autoscaling.schedules[day].minReplicas",
        ),
        case(
            INFRASTRUCTURE[0],
            machines("Heat", ""),
            pipeline("infrastructure: {provider: Heat, identityRef: {name: os}}"),
            "spec.infrastructure.nodePools",
        ),
        case(
            INFRASTRUCTURE[1],
            machines("Nova", ""),
            machines("Nova", "").replace("identityRef: {name: os}, ", ""),
            "spec.infrastructure.identityRef",
        ),
        case(
            INFRASTRUCTURE[2],
            machines("Heat", "").replace("nodePools", "heat: {}, nodePools"),
            machines("Nova", "").replace("nodePools", "heat: {}, nodePools"),
            "spec.infrastructure.heat",
        ),
        case(
            INFRASTRUCTURE[3],
            machines("Heat", ", readySignal: {type: HeatWaitCondition}"),
            machines("Nova", ", readySignal: {type: HeatWaitCondition}"),
            "spec.infrastructure.nodePools",
        ),
        case(
            NODE_POOL[0],
            machines("Nova", ", replicas: 2, minReplicas: 2"),
            machines("Nova", ", replicas: 2, minReplicas: 3"),
            "spec.infrastructure.nodePools[w].minReplicas",
        ),
        case(
            NODE_POOL[1],
            machines("Nova", ", replicas: 2, maxReplicas: 2"),
            machines("Nova", ", replicas: 2, maxReplicas: 1"),
            "spec.infrastructure.nodePools[w].maxReplicas",
        ),
        case(
            SERVER_GROUP[0],
            machines("Nova", ", serverGroup: {policy: AntiAffinity, maxServerPerHost: 2}"),
            machines("Nova", ", serverGroup: {maxServerPerHost: 2}"),
            "spec.infrastructure.nodePools[w].serverGroup.maxServerPerHost",
        ),
        case(
            CLOUD_REF[0],
            machines("Nova", ", image: {id: 5c0e1b1e-0000-4000-8000-000000000001}"),
            machines("Nova", ", image: {}"),
            "spec.infrastructure.nodePools[w].image",
        ),
        case(
            CLOUD_REF[1],
            machines("Nova", ", ports: [{network: {filter: {tags: [data]}}}]"),
            machines("Nova", ", ports: [{network: {filter: {}}}]"),
            "spec.infrastructure.nodePools[w].ports[0].network.filter",
        ),
        case(
            SECURITY_RULE[0],
            rule("portRangeMin: 22, portRangeMax: 22"),
            rule("portRangeMin: 22"),
            "spec.infrastructure.nodePools[w].securityGroups[g].rules[0].portRangeMin",
        ),
    ]
}

#[test]
fn rules_of_operations_are_the_same_in_cel_and_in_rust() {
    check(cases());
}
