//! The nodes of a Kafka: pools, roles, ids, names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tocsin_contract::pipeline::kafka::{Kafka, KafkaPool, KafkaRole, KafkaStorage};

/// The nodes of a Kafka.
#[derive(Clone, Debug, PartialEq)]
pub struct Nodes {
    /// The pools that the spec asks for, in its order, as they are made.
    pub pools: Vec<Pool>,
    /// Controllers of pools that the spec no longer has: they are voters as long as they are there.
    leaving: Vec<(String, KnownPool)>,
}

/// A pool of nodes that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// As the spec has it, but for what cannot change.
    pub spec: KafkaPool,
    /// The id of its first node. The others count on.
    pub first_id: u32,
}

/// A pool that was made before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPool {
    /// The id of its first node.
    pub first_id: u32,
    /// How many nodes it has.
    pub replicas: u32,
    /// What they do.
    pub roles: Vec<KafkaRole>,
}

/// What is written down of a pool when it is made, beside the id of the cluster, and stays as long as disks may: the ids on them,
/// and who votes. So whoever edits or removes a pool's set changes neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedPool {
    /// The id of its first node.
    pub first_id: u32,
    /// What its nodes do.
    pub roles: Vec<KafkaRole>,
    /// How many nodes it has, if they are controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllers: Option<u32>,
}

impl RecordedPool {
    /// The pool as it is known, if its set has so many nodes.
    pub fn known(&self, of_set: u32) -> KnownPool {
        KnownPool {
            first_id: self.first_id,
            replicas: self.controllers.unwrap_or(of_set),
            roles: self.roles.clone(),
        }
    }
}

/// As many ids belong to a pool: the most nodes that it can have.
const IDS_OF_POOL: u32 = 100;

impl Nodes {
    /// The nodes that the spec asks for: without pools three nodes that are controllers and brokers.
    ///
    /// - A pool that was there before keeps its ids, wherever it stands now; ids stand on disks, and are never another pool's.
    /// - It keeps its roles. With controllers it keeps its size, too: each node was started with the names of all of them. So no
    ///   later pool has controllers: it does without, and one that would be nothing else is not made.
    /// - `sizes` has those that differ from what is asked for otherwise.
    pub fn of(kafka: &Kafka, known: &BTreeMap<String, KnownPool>, sizes: &BTreeMap<String, u32>) -> Self {
        let mut next = known
            .values()
            .map(|pool| pool.first_id + IDS_OF_POOL)
            .max()
            .unwrap_or(0);
        let has_voters = known.values().any(|pool| pool.roles.contains(&KafkaRole::Controller));
        let of_pool = |mut spec: KafkaPool| {
            let known = known.get(&spec.name);
            if known.is_none() && has_voters {
                spec.roles.retain(|role| *role != KafkaRole::Controller);
                if spec.roles.is_empty() {
                    return None;
                }
            }
            if let Some(known) = known {
                spec.roles.clone_from(&known.roles);
                if known.roles.contains(&KafkaRole::Controller) {
                    spec.replicas = known.replicas;
                }
            }
            spec.replicas = sizes.get(&spec.name).copied().unwrap_or(spec.replicas);
            let first_id = known.map_or(next, |known| known.first_id);
            next = next.max(first_id + IDS_OF_POOL);
            Some(Pool { spec, first_id })
        };
        let pools: Vec<Pool> = asked_for(kafka).into_iter().filter_map(of_pool).collect();
        let leaves = |(name, known): &(&String, &KnownPool)| {
            known.roles.contains(&KafkaRole::Controller) && !pools.iter().any(|pool| pool.spec.name == **name)
        };
        let leaving = known.iter().filter(leaves);
        let leaving = leaving.map(|(name, known)| (name.clone(), known.clone())).collect();
        Self { pools, leaving }
    }

    /// What is written down of all pools: of those that are made now, and those that were.
    pub fn record(&self, before: &BTreeMap<String, RecordedPool>) -> BTreeMap<String, RecordedPool> {
        let made = self.pools.iter().map(|pool| {
            let recorded = RecordedPool {
                first_id: pool.first_id,
                roles: pool.spec.roles.clone(),
                controllers: pool.has(KafkaRole::Controller).then_some(pool.spec.replicas),
            };
            (pool.spec.name.clone(), recorded)
        });
        let mut all = before.clone();
        all.extend(made);
        all
    }

    /// The controllers: the name of each pool, and the ids of its nodes.
    pub fn controllers(&self) -> impl Iterator<Item = (&str, std::ops::Range<u32>)> {
        let of_spec = self.pools.iter().filter(|pool| pool.has(KafkaRole::Controller));
        let of_spec = of_spec.map(|pool| (pool.spec.name.as_str(), pool.ids()));
        let leaving = self.leaving.iter();
        of_spec.chain(leaving.map(|(name, pool)| (name.as_str(), pool.first_id..pool.first_id + pool.replicas)))
    }
}

/// The pools that the spec asks for.
pub fn asked_for(kafka: &Kafka) -> Vec<KafkaPool> {
    if !kafka.pools.is_empty() {
        return kafka.pools.clone();
    }
    vec![KafkaPool {
        name: "nodes".to_owned(),
        roles: vec![KafkaRole::Controller, KafkaRole::Broker],
        replicas: 3,
        storage: KafkaStorage::default(),
        resources: None,
    }]
}

impl Pool {
    /// Whether its nodes do that.
    pub fn has(&self, role: KafkaRole) -> bool {
        self.spec.roles.contains(&role)
    }

    /// The ids of its nodes.
    pub fn ids(&self) -> std::ops::Range<u32> {
        self.first_id..self.first_id + self.spec.replicas
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kafka(pools: &[(&str, u32, KafkaRole)]) -> Kafka {
        let pool = |(name, replicas, role): &(&str, u32, KafkaRole)| KafkaPool {
            name: (*name).to_owned(),
            roles: vec![*role],
            replicas: *replicas,
            storage: KafkaStorage::default(),
            resources: None,
        };
        Kafka {
            pools: pools.iter().map(pool).collect(),
            ..Kafka::default()
        }
    }

    fn nodes(kafka: &Kafka, known: &BTreeMap<String, KnownPool>) -> Nodes {
        Nodes::of(kafka, known, &BTreeMap::new())
    }

    fn known(nodes: &Nodes) -> BTreeMap<String, KnownPool> {
        let pool = |pool: &Pool| KnownPool {
            first_id: pool.first_id,
            replicas: pool.spec.replicas,
            roles: pool.spec.roles.clone(),
        };
        let pools = nodes.pools.iter();
        pools.map(|made| (made.spec.name.clone(), pool(made))).collect()
    }

    fn voters(nodes: &Nodes) -> Vec<u32> {
        nodes.controllers().flat_map(|(_, ids)| ids).collect()
    }

    const QUORUM: (&str, u32, KafkaRole) = ("quorum", 3, KafkaRole::Controller);
    const BROKERS: (&str, u32, KafkaRole) = ("brokers", 2, KafkaRole::Broker);

    #[test]
    fn without_pools_there_are_three_nodes_that_do_both() {
        let nodes = nodes(&Kafka::default(), &BTreeMap::new());
        assert_eq!((voters(&nodes), nodes.pools[0].ids()), (vec![0, 1, 2], 0..3));
        assert!(nodes.pools[0].has(KafkaRole::Broker));
    }

    #[test]
    fn a_pool_keeps_its_ids_wherever_it_stands() {
        let first = known(&nodes(&kafka(&[QUORUM, BROKERS]), &BTreeMap::new()));
        let more = kafka(&[("more", 1, KafkaRole::Broker), BROKERS, QUORUM]);
        let second = known(&nodes(&more, &first));
        assert_eq!(
            (&first["quorum"], &first["brokers"]),
            (&second["quorum"], &second["brokers"])
        );
        assert_eq!(second["more"].first_id, 200);
    }

    #[test]
    fn what_is_asked_of_controllers_later_changes_neither_their_number_nor_who_they_are() {
        let first = known(&nodes(&kafka(&[QUORUM, BROKERS]), &BTreeMap::new()));
        for later in [
            kafka(&[("quorum", 5, KafkaRole::Controller), BROKERS]),
            kafka(&[("quorum", 1, KafkaRole::Controller), BROKERS]),
            kafka(&[("quorum", 3, KafkaRole::Broker), BROKERS]),
            kafka(&[BROKERS]),
            kafka(&[QUORUM, ("brokers", 2, KafkaRole::Controller)]),
            kafka(&[QUORUM, BROKERS, ("more", 2, KafkaRole::Controller)]),
        ] {
            assert_eq!(voters(&nodes(&later, &first)), [0, 1, 2], "{:?}", later.pools);
        }
    }

    #[test]
    fn what_is_written_down_outlives_the_sets() {
        let made = nodes(&kafka(&[QUORUM, BROKERS]), &BTreeMap::new());
        let recorded = made.record(&BTreeMap::new());
        // Without its set, and whatever somebody made of it.
        for of_set in [0, 1, 7] {
            let known = recorded
                .iter()
                .map(|(name, pool)| (name.clone(), pool.known(of_set)))
                .collect();
            let again = nodes(&kafka(&[BROKERS, QUORUM]), &known);
            assert_eq!(voters(&again), [0, 1, 2]);
            assert_eq!(again.record(&recorded), recorded);
        }
        // A pool that went keeps its ids.
        let known = |recorded: &BTreeMap<String, RecordedPool>| -> BTreeMap<String, KnownPool> {
            recorded
                .iter()
                .map(|(name, pool)| (name.clone(), pool.known(0)))
                .collect()
        };
        let other = nodes(&kafka(&[QUORUM, ("other", 2, KafkaRole::Broker)]), &known(&recorded)).record(&recorded);
        assert_eq!(other["other"].first_id, 200);
        let back = nodes(&kafka(&[QUORUM, BROKERS]), &known(&other)).record(&other);
        assert_eq!(back["brokers"], recorded["brokers"]);
    }

    proptest! {
        #[test]
        fn no_two_nodes_share_an_id(before in prop::collection::btree_set("[a-f]", 0..5), now in prop::collection::btree_set("[a-f]", 1..6)) {
            let pools = |names: &std::collections::BTreeSet<String>| {
                kafka(&names.iter().map(|name| (name.as_str(), 100, KafkaRole::Broker)).collect::<Vec<_>>())
            };
            let made = if before.is_empty() { BTreeMap::new() } else { known(&nodes(&pools(&before), &BTreeMap::new())) };
            let nodes = nodes(&pools(&now), &made);
            let mut all: Vec<u32> = nodes.pools.iter().flat_map(Pool::ids).collect();
            // Those of pools that went may still stand on disks.
            let gone = made.iter().filter(|(name, _)| !now.contains(*name));
            all.extend(gone.flat_map(|(_, pool)| pool.first_id..pool.first_id + 100));
            let n = all.len();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), n);
        }
    }
}
