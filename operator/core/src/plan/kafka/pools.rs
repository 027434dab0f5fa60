//! How many nodes the pools of a managed Kafka have: which node may go, and why one may not.
//!
//! - A broker goes only when it holds no partition any more.
//! - The controllers' number stays: each of them, and each broker, was started with all of their names.

use std::collections::BTreeMap;

use tocsin_contract::pipeline::kafka::{Kafka, KafkaRole};

use super::roll::{Health, Node, State, Step, next};
use crate::build::kafka::nodes::{KnownPool, Nodes, RecordedPool, asked_for};
use crate::names::Names;

/// Why a pool is not as the spec asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The Kafka must say first what its brokers hold.
    Unknown,
    /// A broker holds copies of partitions.
    Holds {
        /// The broker's pod.
        pod: String,
        /// Its id.
        id: u32,
        /// How many.
        copies: u32,
    },
    /// They are controllers.
    Controllers {
        /// The pool.
        pool: String,
        /// How many there are.
        has: u32,
    },
    /// A pool would add controllers.
    MoreControllers {
        /// The pool.
        pool: String,
    },
    /// Nodes do what they did when they were made.
    Roles {
        /// The pool.
        pool: String,
    },
}

impl Kept {
    /// What is the matter, and what to do.
    pub fn message(&self, bootstrap: &str) -> String {
        match self {
            Self::Unknown => "Kafka must say first which partitions its brokers hold".to_owned(),
            Self::Holds { pod, id, copies } => format!(
                "the broker {id} ({pod}) holds {copies} copies of partitions, so it stays: move them to others \
                 (kafka-reassign-partitions.sh --bootstrap-server {bootstrap}), and it goes by itself; or give the pool its \
                 nodes back"
            ),
            Self::Controllers { pool, has } => format!(
                "spec.kafka.pools[{pool}]: the number of controllers cannot change while Kafka runs; it stays {has}"
            ),
            Self::MoreControllers { pool } => format!(
                "spec.kafka.pools[{pool}].roles: no controller is added while Kafka runs; give the pool the role Broker alone"
            ),
            Self::Roles { pool } => format!(
                "spec.kafka.pools[{pool}].roles: nodes keep the roles with which they were made; make another pool beside it"
            ),
        }
    }
}

/// The set of a pool's nodes, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSet {
    /// How many nodes it has.
    pub replicas: u32,
    /// The revision of its newest pod template, once its controller has seen that.
    pub revision: Option<String>,
}

/// The pools that were made before, as they are.
pub fn seen_pools(
    recorded: &BTreeMap<String, RecordedPool>,
    sets: &BTreeMap<String, SeenSet>,
) -> BTreeMap<String, SeenPool> {
    let seen = |(name, recorded): (&String, &RecordedPool)| {
        let set = sets.get(name);
        let pool = SeenPool {
            known: recorded.known(set.map_or(0, |set| set.replicas)),
            is_there: set.is_some(),
            revision: set.and_then(|set| set.revision.clone()),
        };
        (name.clone(), pool)
    };
    recorded.iter().map(seen).collect()
}

/// A pool that was made before, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPool {
    /// Its ids, size and roles.
    pub known: KnownPool,
    /// Whether it has a set of nodes.
    pub is_there: bool,
    /// The revision of its newest pod template, once its controller has seen that.
    pub revision: Option<String>,
}

/// A pod of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// The revision of the pod template that it is of.
    pub revision: String,
    /// Whether it serves.
    pub is_ready: bool,
    /// Whether it is on its way out.
    pub ends: bool,
}

/// What is known of a managed Kafka.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What the spec asks for.
    pub kafka: &'a Kafka,
    /// The names of its objects.
    pub names: Names<'a>,
    /// The pools that were made before, by name.
    pub pools: &'a BTreeMap<String, SeenPool>,
    /// The pods, by name.
    pub pods: &'a BTreeMap<String, SeenPod>,
    /// What it says of itself, if it answers.
    pub health: Option<&'a Health>,
}

/// What becomes of the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many nodes pools have that are not as large as the spec asks for.
    pub sizes: BTreeMap<String, u32>,
    /// The pools that the spec no longer has, and how many nodes each has next: one without any is removed.
    pub leaving: BTreeMap<String, u32>,
    /// Why pools are not as the spec asks for them.
    pub kept: Vec<Kept>,
    /// Which node is started anew next.
    pub step: Step,
}

impl Plan {
    /// What is waited for while nodes come, go or are started anew.
    pub fn under_way(&self) -> Option<String> {
        match &self.step {
            Step::Wait(what) => Some(what.clone()),
            Step::Restart { pod } => Some(format!("{pod} is started anew")),
            Step::Done if self.kept.contains(&Kept::Unknown) => Some(Kept::Unknown.message("")),
            Step::Done => None,
        }
    }

    /// Why nodes are not as the spec asks for them, where nothing but another spec, or somebody's hand, helps.
    pub fn stands_still(&self, bootstrap: &str) -> Vec<String> {
        let kept = self.kept.iter().filter(|kept| **kept != Kept::Unknown);
        kept.map(|kept| kept.message(bootstrap)).collect()
    }

    /// Whether there is nothing to be done about nodes that are there, and nothing to be waited for.
    pub fn is_settled(&self) -> bool {
        self.step == Step::Done && self.sizes.is_empty() && self.leaving.is_empty() && self.kept.is_empty()
    }
}

/// How many nodes there should be, as it is planned.
pub fn wanted_nodes(kafka: &Kafka, pools: &BTreeMap<String, SeenPool>, plan: &Plan) -> u32 {
    let known = pools
        .iter()
        .map(|(name, pool)| (name.clone(), pool.known.clone()))
        .collect();
    let of_spec = Nodes::of(kafka, &known, &plan.sizes).pools.into_iter();
    let leaving: u32 = plan.leaving.values().sum();
    of_spec.map(|pool| pool.spec.replicas).sum::<u32>() + leaving
}

/// Decides what becomes of the nodes.
pub fn decide(facts: &Facts<'_>) -> Plan {
    let nodes = nodes(facts);
    let mut plan = Plan {
        sizes: BTreeMap::new(),
        leaving: BTreeMap::new(),
        kept: Vec::new(),
        step: next(&nodes, facts.health),
    };
    let asked_for = asked_for(facts.kafka);
    let is_voter = |pool: &SeenPool| pool.known.roles.contains(&KafkaRole::Controller);
    let has_voters = facts.pools.values().any(is_voter);
    for pool in &asked_for {
        let Some(seen) = facts.pools.get(&pool.name) else {
            if has_voters && pool.roles.contains(&KafkaRole::Controller) {
                let pool = pool.name.clone();
                plan.kept.push(Kept::MoreControllers { pool });
            }
            continue;
        };
        let (known, name) = (&seen.known, pool.name.clone());
        let differs = |role| known.roles.contains(&role) != pool.roles.contains(&role);
        if differs(KafkaRole::Controller) || differs(KafkaRole::Broker) {
            plan.kept.push(Kept::Roles { pool: name.clone() });
        }
        if known.roles.contains(&KafkaRole::Controller) {
            let has = known.replicas;
            if has != pool.replicas {
                plan.kept.push(Kept::Controllers { pool: name, has });
            }
            continue;
        }
        let (size, kept) = shrink(&name, pool.replicas, &nodes, facts.health);
        plan.kept.extend(kept);
        if size != pool.replicas {
            plan.sizes.insert(name, size);
        }
    }
    let leaves =
        |(name, pool): &(&String, &SeenPool)| pool.is_there && !asked_for.iter().any(|pool| pool.name == **name);
    for (name, _) in facts.pools.iter().filter(leaves) {
        let (size, kept) = shrink(name, 0, &nodes, facts.health);
        plan.kept.extend(kept);
        plan.leaving.insert(name.clone(), size);
    }
    plan
}

/// The nodes of the pools that were made before.
fn nodes(facts: &Facts<'_>) -> Vec<Node> {
    let of_pool = |(pool, seen): (&String, &SeenPool)| {
        let (set, pool, seen) = (facts.names.kafka_pool(pool), pool.clone(), seen.clone());
        (0..seen.known.replicas).map(move |ordinal| {
            let name = format!("{set}-{ordinal}");
            let pod = facts.pods.get(&name);
            let state = match pod {
                Some(pod) if !pod.ends && pod.is_ready => State::Ready,
                Some(pod) if !pod.ends => State::NotReady,
                _ => State::Away,
            };
            // Before the set's controller has seen the newest template nobody knows.
            let newest = seen.revision.as_ref();
            Node {
                id: seen.known.first_id + ordinal,
                pool: pool.clone(),
                ordinal,
                is_controller: seen.known.roles.contains(&KafkaRole::Controller),
                is_broker: seen.known.roles.contains(&KafkaRole::Broker),
                state,
                is_outdated: pod.is_some_and(|pod| newest.is_some_and(|newest| pod.revision != *newest)),
                pod: name,
            }
        })
    };
    facts.pools.iter().flat_map(of_pool).collect()
}

/// How many nodes a pool has next that is to have `wanted`, and why it is more, if it is. One goes at a time, the last first.
pub fn shrink(pool: &str, wanted: u32, nodes: &[Node], health: Option<&Health>) -> (u32, Option<Kept>) {
    let mut of_pool: Vec<&Node> = nodes.iter().filter(|node| node.pool == pool).collect();
    of_pool.sort_by_key(|node| node.ordinal);
    let has = u32::try_from(of_pool.len()).unwrap_or(u32::MAX);
    let Some(last) = of_pool.last().filter(|_| has > wanted) else {
        return (wanted, None);
    };
    if last.is_controller {
        return (
            has,
            Some(Kept::Controllers {
                pool: pool.to_owned(),
                has,
            }),
        );
    }
    let Some(health) = health else {
        return (has, Some(Kept::Unknown));
    };
    match health.copies.get(&last.id).copied().unwrap_or(0) {
        0 => (has - 1, None),
        copies => {
            let kept = Kept::Holds {
                pod: last.pod.clone(),
                id: last.id,
                copies,
            };
            (has, Some(kept))
        }
    }
}

#[cfg(test)]
#[path = "pools_tests.rs"]
mod tests;
