//! What is said of a pipeline's Kafka and its topics.

use tocsin_contract::conditions as kinds;
use tocsin_contract::pipeline::status::{KafkaStatus, TopicStatus};

use super::condition::{Finding, Verdict};
use crate::plan::topics::Trouble;

/// What is known of a pipeline's Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaWord {
    /// Why its brokers are of no use, if they are of none; nothing while nobody has asked.
    pub brokers: Option<Result<(), NoBrokers>>,
    /// What is wrong with topics; nothing while that is not known.
    pub topics: Option<TopicsWord>,
    /// Its nodes, if the operator runs it.
    pub nodes: Option<NodesWord>,
    /// Strimzi, if that runs it.
    pub strimzi: Option<StrimziWord>,
}

/// Why brokers are of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoBrokers {
    /// They do not answer.
    Unreachable(String),
    /// They do not believe who asks.
    Refused(String),
}

impl NoBrokers {
    const fn why(&self) -> &String {
        match self {
            Self::Unreachable(why) | Self::Refused(why) => why,
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "Unreachable",
            Self::Refused(_) => "AuthenticationFailed",
        }
    }
}

/// What is known of Strimzi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrimziWord {
    /// It makes the Kafka.
    There,
    /// The cluster does not know its kinds.
    Missing,
    /// The operator may not do anything with its kinds.
    Forbidden,
}

/// What is known of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsWord {
    /// Those that there must be, and how many partitions each has.
    pub wanted: Vec<(String, u32)>,
    /// What is wrong and not for the operator to change.
    pub troubles: Vec<Trouble>,
    /// Why some could not be made or changed.
    pub refused: Option<String>,
    /// What is said of some that somebody else makes and that are not there yet.
    pub coming: Option<String>,
}

/// What is known of the nodes of a Kafka that the operator runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodesWord {
    /// How many there should be.
    pub wanted: u32,
    /// How many are ready.
    pub ready: u32,
    /// The id of the cluster.
    pub cluster_id: String,
    /// Why one does not come up.
    pub trouble: Option<String>,
    /// What a roll waits for, if there is one.
    pub rolls: Option<String>,
    /// Why nodes are not as the spec asks for them.
    pub kept: Vec<String>,
}

impl KafkaWord {
    /// Whether workers would find the Kafka ready for them. One that is not the operator's is not waited for: who asks it from
    /// elsewhere may reach it, and the other way round.
    pub fn is_there(&self) -> bool {
        let is_made = self.nodes.is_some() || self.strimzi.is_some();
        let topics_come = self.topics.as_ref().is_some_and(|topics| topics.coming.is_some());
        !is_made || self.brokers == Some(Ok(())) && !topics_come
    }
}

/// The Kafka of a pipeline, in its status.
pub fn status(word: &KafkaWord, bootstrap_servers: &str) -> Option<KafkaStatus> {
    let brokers = word.brokers.as_ref();
    if brokers.is_none() && word.nodes.is_none() && word.strimzi.is_none() {
        return None;
    }
    let topics = word.topics.iter().flat_map(|topics| {
        topics.wanted.iter().map(|(name, partitions)| TopicStatus {
            name: name.clone(),
            partitions: *partitions,
            ready: topics.refused.is_none()
                && topics.coming.is_none()
                && !topics.troubles.iter().any(|trouble| trouble.topic() == name),
        })
    });
    let nodes = word.nodes.as_ref();
    Some(KafkaStatus {
        ready: matches!(brokers, Some(Ok(()))),
        bootstrap_servers: bootstrap_servers.to_owned(),
        cluster_id: nodes.map(|nodes| nodes.cluster_id.clone()).unwrap_or_default(),
        topics: topics.take(MOST_TOPICS).collect(),
    })
}

/// As many as the status has room for.
const MOST_TOPICS: usize = 256;

/// The findings; none of a Kafka that is left to its owner.
pub fn findings(word: &KafkaWord) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &word.brokers {
        _ if word.nodes.is_some() => findings.extend(word.nodes.as_ref().map(|nodes| of_nodes(word, nodes))),
        _ if word.strimzi == Some(StrimziWord::Missing) => findings.push(Finding::new(
            kinds::KAFKA_READY,
            false,
            "OperatorMissing",
            "Strimzi is not installed: the cluster does not know its kinds; install Strimzi 1, or set spec.kafka.mode to Managed",
        )),
        _ if word.strimzi == Some(StrimziWord::Forbidden) => findings.push(Finding::new(
            kinds::KAFKA_READY,
            false,
            "OperatorMissing",
            "the operator has no rights for Strimzi's kinds: install its chart with strimzi.enabled=true, and Strimzi 1 beside it",
        )),
        None if word.strimzi.is_some() => findings.push(Finding::new(
            kinds::KAFKA_READY,
            false,
            "Deploying",
            "Strimzi makes the Kafka; see kubectl get kafka,kafkanodepool,kafkauser",
        )),
        Some(Err(why)) if word.strimzi.is_some() => findings.push(Finding::new(
            kinds::KAFKA_READY,
            false,
            "Deploying",
            format!("Strimzi says {}", why.why()),
        )),
        None => {}
        Some(Ok(())) => findings.push(Finding::new(
            kinds::KAFKA_READY,
            true,
            "BrokersReady",
            "the brokers answer",
        )),
        Some(Err(why)) => findings.push(Finding::new(
            kinds::KAFKA_READY,
            false,
            why.reason(),
            format!("{}; see spec.kafka.bootstrapServers, tls and sasl", why.why()),
        )),
    }
    let Some(topics) = &word.topics else { return findings };
    let finding =
        |verdict: Verdict, reason, message: String| Finding::new(kinds::TOPICS_READY, verdict, reason, message);
    findings.push(if let Some(why) = &topics.refused {
        finding(
            Verdict::False,
            "NotAuthorized",
            format!(
                "{why}; give the pipeline's Kafka user the right, or make the topics yourself and set spec.kafka.manageTopics \
                 to false"
            ),
        )
    } else if let Some(words) = &topics.coming {
        finding(Verdict::False, "Creating", words.clone())
    } else if topics.troubles.is_empty() {
        finding(Verdict::True, "TopicsPresent", format!("all {} topics are there", topics.wanted.len()))
    } else {
        let messages = topics.troubles.iter().map(Trouble::message);
        finding(
            Verdict::False,
            "PartitionsChanged",
            messages.collect::<Vec<_>>().join("\n"),
        )
    });
    findings
}

/// Of a Kafka that the operator runs.
fn of_nodes(word: &KafkaWord, nodes: &NodesWord) -> Finding {
    let mut message = format!("{} of {} nodes are ready", nodes.ready, nodes.wanted);
    let further = nodes.trouble.iter().chain(&nodes.rolls).chain(&nodes.kept);
    for words in further {
        message.push_str("; ");
        message.push_str(words);
    }
    match &word.brokers {
        Some(Ok(())) => Finding::new(kinds::KAFKA_READY, true, "BrokersReady", message),
        Some(Err(why)) => {
            let message = format!("{message}; {}", why.why());
            Finding::new(kinds::KAFKA_READY, false, why.reason(), message)
        }
        None => Finding::new(kinds::KAFKA_READY, false, "Deploying", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(word: &KafkaWord) -> Vec<(&'static str, &'static str)> {
        findings(word)
            .iter()
            .map(|finding| (finding.kind, finding.reason))
            .collect()
    }

    #[test]
    fn what_nobody_asked_about_is_not_spoken_of() {
        assert_eq!(said(&KafkaWord::default()), []);
    }

    #[test]
    fn trouble_is_said_with_the_next_step() {
        for (trouble, reason) in [
            (
                NoBrokers::Unreachable("127.0.0.1:9092: connection refused".to_owned()),
                "Unreachable",
            ),
            (NoBrokers::Refused("wrong password".to_owned()), "AuthenticationFailed"),
        ] {
            let word = KafkaWord {
                brokers: Some(Err(trouble)),
                ..KafkaWord::default()
            };
            assert_eq!(said(&word), [("KafkaReady", reason)]);
        }
        let trouble = Trouble::Larger {
            path: "spec.kafka.topics[alerts].partitions".to_owned(),
            name: "alerts".to_owned(),
            has: 12,
            wanted: 6,
        };
        let word = KafkaWord {
            brokers: Some(Ok(())),
            topics: Some(TopicsWord {
                wanted: vec![("alerts".to_owned(), 12), ("noc.journal".to_owned(), 12)],
                troubles: vec![trouble],
                ..TopicsWord::default()
            }),
            ..KafkaWord::default()
        };
        assert_eq!(
            said(&word),
            [("KafkaReady", "BrokersReady"), ("TopicsReady", "PartitionsChanged")]
        );
        assert!(findings(&word)[1].message.contains("ask for 12 instead of 6"));
        let status = status(&word, "kafka:9092").unwrap_or_default();
        let ready: Vec<bool> = status.topics.iter().map(|topic| topic.ready).collect();
        assert_eq!((status.ready, ready), (true, vec![false, true]));
    }

    #[test]
    fn nodes_that_come_up_are_counted_and_waited_for() {
        let nodes = NodesWord {
            wanted: 3,
            ready: 1,
            trouble: Some("no node takes noc-kafka-nodes-1: too little memory".to_owned()),
            ..NodesWord::default()
        };
        let mut word = KafkaWord {
            nodes: Some(nodes),
            ..KafkaWord::default()
        };
        assert_eq!(
            (said(&word), word.is_there()),
            (vec![("KafkaReady", "Deploying")], false)
        );
        assert!(
            findings(&word)[0]
                .message
                .contains("1 of 3 nodes are ready; no node takes")
        );
        word.brokers = Some(Ok(()));
        assert_eq!(
            (said(&word), word.is_there()),
            (vec![("KafkaReady", "BrokersReady")], true)
        );
    }

    #[test]
    fn strimzi_is_waited_for_and_missed() {
        let word = |strimzi, brokers| KafkaWord {
            strimzi: Some(strimzi),
            brokers,
            ..KafkaWord::default()
        };
        let missing = word(StrimziWord::Missing, None);
        assert_eq!(
            (said(&missing), missing.is_there()),
            (vec![("KafkaReady", "OperatorMissing")], false)
        );
        let forbidden = findings(&word(StrimziWord::Forbidden, None)).remove(0);
        assert!(
            forbidden.message.contains("strimzi.enabled=true"),
            "{}",
            forbidden.message
        );
        let coming = word(StrimziWord::There, None);
        assert_eq!(
            (said(&coming), coming.is_there()),
            (vec![("KafkaReady", "Deploying")], false)
        );
        let there = word(StrimziWord::There, Some(Ok(())));
        assert_eq!(
            (said(&there), there.is_there()),
            (vec![("KafkaReady", "BrokersReady")], true)
        );
    }
}
