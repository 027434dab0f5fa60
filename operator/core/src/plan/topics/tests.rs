//! Topics are made as the spec says, and one that is there is not taken from its owner.

#![allow(clippy::unwrap_used, clippy::panic)]

use expect_test::{Expect, expect};

use super::*;
use crate::testing::{self, HEAD};

fn pipeline(kafka: &str) -> Pipeline {
    testing::pipeline(&format!(
        "{HEAD}
  stages:
  - {{name: escalated, from: alerts, escalate: {{by: [service], count: 3, within: 1h}}}}
  sinks:
  - {{name: escalations, from: escalated, kafka: {{topic: incident_escalations}}}}
  - {{name: pager, from: escalated, webhook: {{urlSecretRef: {{name: pager, key: url}}}}}}
  kafka: {{bootstrapServers: \"kafka.ops:9092\", replicationFactor: 1{kafka}}}
"
    ))
}

fn told(topics: &[Topic]) -> String {
    let config = |topic: &Topic| {
        topic
            .config
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect::<String>()
    };
    let line = |topic: &Topic| {
        format!(
            "{} {}x{}{}\n",
            topic.name,
            topic.partitions,
            topic.replication,
            config(topic)
        )
    };
    topics.iter().map(line).collect()
}

fn check(topics: &[Topic], expected: &Expect) {
    expected.assert_eq(&told(topics));
}

#[test]
fn a_pipeline_has_these_topics() {
    let pipeline = pipeline("");
    check(
        &of_sources(&pipeline),
        &expect![[r#"
        incident_alerts 12x1 retention.ms=604800000
    "#]],
    );
    let partitions = [("incident_alerts".to_owned(), 6)].into();
    check(
        &behind_sources(&pipeline, &partitions),
        &expect![[r#"
        ops.noc.journal 6x1 cleanup.policy=delete retention.ms=604800000
        ops.noc.dead-letter 1x1 cleanup.policy=delete retention.ms=604800000
        ops.noc.control 1x1 cleanup.policy=compact retention.ms=-1
        ops.noc.audit 1x1 cleanup.policy=delete retention.ms=604800000
        ops.noc.escalated.by 6x1 cleanup.policy=delete max.message.bytes=33554432 retention.ms=604800000
        ops.noc.pager.buffer 6x1 cleanup.policy=delete retention.ms=604800000
        incident_escalations 6x1 retention.ms=604800000
    "#]],
    );
}

#[test]
fn a_pipeline_of_one_shard_sends_itself_nothing() {
    let partitions = [("incident_alerts".to_owned(), 1)].into();
    let topics = behind_sources(&pipeline(""), &partitions);
    assert!(
        !topics.iter().any(|topic| topic.name.ends_with(".by")),
        "{}",
        told(&topics)
    );
}

fn seen(partitions: u32, config: &[(&str, &str)]) -> Seen {
    Seen {
        partitions,
        replication: 1,
        config: config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

#[test]
fn a_topic_that_is_there_is_left_as_it_is() {
    let wanted = of_sources(&pipeline(""));
    let there = [("incident_alerts".to_owned(), seen(3, &[]))].into();
    assert_eq!(steps(&wanted, &there), (Vec::new(), Vec::new()));
    assert_eq!(steps(&wanted, &BTreeMap::new()).0, [Step::Create(wanted[0].clone())]);
}

#[test]
fn a_topic_that_the_spec_names_grows_and_has_its_settings() {
    let pipeline =
        pipeline(", topics: [{name: incident_alerts, partitions: 8, retention: 1h, config: {compression.type: lz4}}]");
    let wanted = of_sources(&pipeline);
    let there = [(
        "incident_alerts".to_owned(),
        seen(6, &[("retention.ms", "3600000"), ("other", "1")]),
    )]
    .into();
    let (to_do, troubles) = steps(&wanted, &there);
    let config = [("compression.type".to_owned(), "lz4".to_owned())].into();
    let name = "incident_alerts".to_owned();
    assert_eq!(
        to_do,
        [
            Step::Grow {
                name: name.clone(),
                partitions: 8
            },
            Step::Configure { name, config }
        ]
    );
    assert_eq!(troubles, []);
    let there = [(
        "incident_alerts".to_owned(),
        seen(12, &[("retention.ms", "3600000"), ("compression.type", "lz4")]),
    )]
    .into();
    let (to_do, troubles) = steps(&wanted, &there);
    assert_eq!(to_do, []);
    expect!["spec.kafka.topics[incident_alerts].partitions: the topic incident_alerts has 12 partitions, and Kafka takes none away: ask for 12 instead of 8"].assert_eq(&troubles[0].message());
}

#[test]
fn topics_of_a_kafka_of_the_pipelines_own_follow_the_spec_also_later() {
    let own = testing::pipeline(&format!(
        "{HEAD}
  stages:
  - {{name: escalated, from: alerts, escalate: {{by: [service], count: 3, within: 1h}}}}
  sinks:
  - {{name: escalations, from: escalated, kafka: {{topic: incident_escalations}}}}
  kafka: {{partitions: 6, replicationFactor: 1, retention: 1d}}
"
    ));
    let seen = |partitions: u32| Seen {
        partitions,
        replication: 1,
        config: [("retention.ms".to_owned(), "604800000".to_owned())].into(),
    };
    let there = |name: &str, partitions| [(name.to_owned(), seen(partitions))].into();
    let told = |topics: &[Topic], name: &str, partitions| {
        let topic: Vec<Topic> = topics.iter().filter(|topic| topic.name == name).cloned().collect();
        let (steps, troubles) = steps(&topic, &there(name, partitions));
        (steps.len(), troubles.len())
    };
    let read = of_sources(&own);
    assert_eq!(
        told(&read, "incident_alerts", 4),
        (2, 0),
        "it grows, and is kept less long"
    );
    assert_eq!(told(&read, "incident_alerts", 9), (1, 1), "nobody shrinks it");
    let written = behind_sources(&own, &[("incident_alerts".to_owned(), 6)].into());
    assert_eq!(
        told(&written, "incident_escalations", 4),
        (1, 0),
        "who reads it relies on its partitions"
    );
    assert_eq!(
        told(&of_sources(&pipeline("")), "incident_alerts", 4),
        (0, 0),
        "it is its owner's"
    );
}
