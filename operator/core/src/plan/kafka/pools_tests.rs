//! Pools that are to be larger, smaller, other, or gone.
#![allow(clippy::unwrap_used)]

use tocsin_contract::pipeline::kafka::{KafkaPool, KafkaStorage};

use super::*;

const QUORUM: (&str, u32, KafkaRole) = ("quorum", 3, KafkaRole::Controller);
const BROKERS: (&str, u32, KafkaRole) = ("brokers", 3, KafkaRole::Broker);

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

/// Pools that were made before: the first has the ids from 0, the next those from 100.
fn seen(pools: &[(&str, u32, KafkaRole)]) -> BTreeMap<String, SeenPool> {
    let pool = |(at, (name, replicas, role)): (usize, &(&str, u32, KafkaRole))| {
        let known = KnownPool {
            first_id: 100 * at as u32,
            replicas: *replicas,
            roles: vec![*role],
        };
        let revision = Some("new".to_owned());
        let is_there = true;
        (
            (*name).to_owned(),
            SeenPool {
                known,
                is_there,
                revision,
            },
        )
    };
    pools.iter().enumerate().map(pool).collect()
}

fn pods(pools: &BTreeMap<String, SeenPool>) -> BTreeMap<String, SeenPod> {
    let names = pools
        .iter()
        .flat_map(|(pool, seen)| (0..seen.known.replicas).map(move |n| format!("noc-kafka-{pool}-{n}")));
    let pod = SeenPod {
        revision: "new".to_owned(),
        is_ready: true,
        ends: false,
    };
    names.map(|name| (name, pod.clone())).collect()
}

fn health(copies: &[(u32, u32)]) -> Health {
    Health {
        leader: Some(1),
        copies: copies.iter().copied().collect(),
        ..Health::default()
    }
}

fn planned(kafka: &Kafka, pools: &BTreeMap<String, SeenPool>, health: Option<&Health>) -> Plan {
    decide(&Facts {
        kafka,
        names: Names::of("noc"),
        pools,
        pods: &pods(pools),
        health,
    })
}

fn messages(plan: &Plan) -> String {
    let kept = plan.kept.iter().map(|kept| kept.message("noc-kafka.ops.svc:9092"));
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_as_it_must_be_is_left_so() {
    let all = [QUORUM, BROKERS];
    let plan = planned(&kafka(&all), &seen(&all), None);
    assert_eq!((plan.sizes.len(), plan.leaving.len(), plan.kept.len()), (0, 0, 0));
    assert_eq!(plan.step, Step::Done);
}

#[test]
fn a_broker_goes_once_it_holds_nothing_and_one_at_a_time() {
    let wanted = kafka(&[QUORUM, ("brokers", 1, KafkaRole::Broker)]);
    let pools = seen(&[QUORUM, BROKERS]);
    let holds = planned(&wanted, &pools, Some(&health(&[(100, 9), (101, 9), (102, 9)])));
    assert_eq!(holds.sizes["brokers"], 3);
    let message = messages(&holds);
    assert!(
        message.contains("broker 102") && message.contains("9 copies"),
        "{message}"
    );
    let is_free = planned(&wanted, &pools, Some(&health(&[(100, 9), (101, 9), (102, 0)])));
    assert_eq!((is_free.sizes["brokers"], is_free.kept.len()), (2, 0));
    let unknown = planned(&wanted, &pools, None);
    assert_eq!(unknown.sizes["brokers"], 3);
    assert!(unknown.under_way().is_some() && unknown.stands_still("").is_empty());
}

#[test]
fn brokers_come_without_being_asked_about() {
    let plan = planned(
        &kafka(&[QUORUM, ("brokers", 5, KafkaRole::Broker)]),
        &seen(&[QUORUM, BROKERS]),
        None,
    );
    assert_eq!((plan.sizes.len(), plan.kept.len()), (0, 0));
}

#[test]
fn a_pool_that_is_asked_for_no_more_goes_node_by_node() {
    let wanted = kafka(&[QUORUM]);
    let sizes = |n: u32, copies: &[(u32, u32)]| {
        let pools = seen(&[QUORUM, ("brokers", n, KafkaRole::Broker)]);
        planned(&wanted, &pools, Some(&health(copies))).leaving["brokers"]
    };
    assert_eq!(
        [sizes(3, &[]), sizes(2, &[]), sizes(1, &[]), sizes(0, &[])],
        [2, 1, 0, 0]
    );
    assert_eq!(sizes(3, &[(102, 1)]), 3);
}

#[test]
fn controllers_stay_who_they_are() {
    let pools = seen(&[QUORUM, BROKERS]);
    for (wanted, says) in [
        (kafka(&[("quorum", 5, KafkaRole::Controller), BROKERS]), "it stays 3"),
        (kafka(&[("quorum", 1, KafkaRole::Controller), BROKERS]), "it stays 3"),
        (kafka(&[("quorum", 3, KafkaRole::Broker), BROKERS]), "keep the roles"),
        (kafka(&[BROKERS]), "it stays 3"),
        (
            kafka(&[QUORUM, BROKERS, ("more", 1, KafkaRole::Controller)]),
            "no controller is added",
        ),
    ] {
        let plan = planned(&wanted, &pools, Some(&health(&[])));
        assert!(messages(&plan).contains(says), "{}", messages(&plan));
        assert_ne!(plan.leaving.get("quorum"), Some(&2));
    }
}

#[test]
fn a_pool_that_went_is_not_asked_about_any_more() {
    let mut pools = seen(&[QUORUM, BROKERS]);
    let brokers = pools.get_mut("brokers").unwrap();
    (brokers.is_there, brokers.known.replicas) = (false, 0);
    let plan = planned(&kafka(&[QUORUM]), &pools, None);
    assert!(plan.is_settled(), "{plan:?}");
}

#[test]
fn a_set_that_somebody_removed_or_made_smaller_comes_back_as_it_was() {
    let wanted = kafka(&[QUORUM, BROKERS]);
    let made = Nodes::of(&wanted, &BTreeMap::new(), &BTreeMap::new());
    let recorded = made.record(&BTreeMap::new());
    let set = |replicas| SeenSet {
        replicas,
        revision: Some("new".to_owned()),
    };
    for sets in [
        BTreeMap::new(),
        BTreeMap::from([("quorum".to_owned(), set(1)), ("brokers".to_owned(), set(1))]),
        BTreeMap::from([("brokers".to_owned(), set(3))]),
    ] {
        let pools = seen_pools(&recorded, &sets);
        let plan = planned(&wanted, &pools, None);
        let known = pools.iter().map(|(name, pool)| (name.clone(), pool.known.clone()));
        let again = Nodes::of(&wanted, &known.collect(), &plan.sizes);
        assert_eq!(again, made, "{sets:?}");
    }
}

#[test]
fn a_pod_of_another_template_is_started_anew() {
    let all = [QUORUM, BROKERS];
    let (wanted, pools) = (kafka(&all), seen(&all));
    let mut pods = pods(&pools);
    pods.get_mut("noc-kafka-brokers-1").unwrap().revision = "old".to_owned();
    let health = health(&[]);
    let step = |pools: &BTreeMap<String, SeenPool>| {
        let facts = Facts {
            kafka: &wanted,
            names: Names::of("noc"),
            pools,
            pods: &pods,
            health: Some(&health),
        };
        decide(&facts).step
    };
    let pod = "noc-kafka-brokers-1".to_owned();
    assert_eq!(step(&pools), Step::Restart { pod });
    let mut unseen = pools.clone();
    unseen.get_mut("brokers").unwrap().revision = None;
    assert_eq!(
        step(&unseen),
        Step::Done,
        "its controller has not seen the newest template"
    );
}
