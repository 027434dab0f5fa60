//! Rolls, held against a cluster that is simulated.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn node(pool: &str, first_id: u32, ordinal: u32, roles: (bool, bool)) -> Node {
    Node {
        id: first_id + ordinal,
        pod: format!("noc-kafka-{pool}-{ordinal}"),
        pool: pool.to_owned(),
        ordinal,
        is_controller: roles.0,
        is_broker: roles.1,
        state: State::Ready,
        is_outdated: false,
    }
}

fn cluster() -> Vec<Node> {
    let controllers = (0..3).map(|ordinal| node("quorum", 0, ordinal, (true, false)));
    let brokers = (0..3).map(|ordinal| node("brokers", 100, ordinal, (false, true)));
    controllers.chain(brokers).collect()
}

fn outdated(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.iter_mut().for_each(|node| node.is_outdated = true);
    nodes
}

fn healthy() -> Health {
    Health {
        leader: Some(1),
        ..Health::default()
    }
}

#[test]
fn brokers_come_first_and_the_controller_that_leads_last() {
    let mut nodes = outdated(cluster());
    let mut order = Vec::new();
    while let Step::Restart { pod } = next(&nodes, Some(&healthy())) {
        nodes.iter_mut().find(|node| node.pod == pod).unwrap().is_outdated = false;
        order.push(pod);
    }
    assert_eq!(
        order,
        [
            "noc-kafka-brokers-2",
            "noc-kafka-brokers-1",
            "noc-kafka-brokers-0",
            "noc-kafka-quorum-2",
            "noc-kafka-quorum-0",
            "noc-kafka-quorum-1",
        ]
    );
}

#[test]
fn nothing_is_taken_away_while_something_is() {
    let waits = |nodes: &[Node], health: Option<&Health>| assert!(matches!(next(nodes, health), Step::Wait(_)));
    let nodes = outdated(cluster());
    waits(&nodes, None);
    let out_of_step = Health {
        out_of_step: 3,
        ..healthy()
    };
    waits(&nodes, Some(&out_of_step));
    let lagging = Health {
        lagging_controllers: 1,
        ..healthy()
    };
    waits(&nodes, Some(&lagging));
    let mut away = nodes.clone();
    away[4].state = State::Away;
    waits(&away, Some(&healthy()));
    let mut coming = nodes;
    (coming[4].state, coming[4].is_outdated) = (State::NotReady, false);
    waits(&coming, Some(&healthy()));
}

#[test]
fn a_node_that_does_not_come_up_is_started_anew_with_what_is_new() {
    let mut nodes = outdated(cluster());
    nodes[4].state = State::NotReady;
    let pod = nodes[4].pod.clone();
    assert_eq!(next(&nodes, None), Step::Restart { pod });
}

#[test]
fn a_node_that_is_slow_while_another_is_away_is_left_alone() {
    let mut nodes = outdated(cluster());
    (nodes[2].state, nodes[2].is_outdated) = (State::Away, false);
    nodes[1].state = State::NotReady;
    assert!(matches!(next(&nodes, Some(&healthy())), Step::Wait(_)));
}

/// What happens to a pod that was restarted.
fn turn(nodes: &mut [Node], breaks: bool) {
    for node in nodes {
        node.state = match node.state {
            State::Away => State::NotReady,
            State::NotReady if breaks && node.is_outdated => State::NotReady,
            _ => State::Ready,
        };
    }
}

proptest! {
    #[test]
    fn at_most_one_node_is_away_and_all_are_new_in_the_end(
        are_outdated in prop::collection::vec(any::<bool>(), 6), broken in prop::option::of(0..6_usize), lag in prop::collection::vec(0..3_u32, 60),
        slow in prop::collection::vec(prop::option::weighted(0.3, 0..6_usize), 60),
    ) {
        let mut nodes = cluster();
        for (node, is_outdated) in nodes.iter_mut().zip(are_outdated) {
            node.is_outdated = is_outdated;
        }
        if let Some(broken) = broken {
            (nodes[broken].state, nodes[broken].is_outdated) = (State::NotReady, true);
        }
        let lag = lag.into_iter().chain(std::iter::repeat_n(0, 60));
        for (out_of_step, slow) in lag.zip(slow.into_iter().chain(std::iter::repeat(None))) {
            if let Some(slow) = slow.filter(|slow| nodes[*slow].state == State::Ready) {
                nodes[slow].state = State::NotReady;
            }
            let health = Health { out_of_step, ..healthy() };
            let served = nodes.iter().filter(|node| node.state == State::Ready).count();
            let away = nodes.iter().filter(|node| node.state == State::Away).count();
            if let Step::Restart { pod } = next(&nodes, Some(&health)) {
                let node = nodes.iter_mut().find(|node| node.pod == pod).unwrap();
                prop_assert_eq!(away, 0, "{} is taken away", pod);
                if node.state == State::Ready {
                    prop_assert_eq!((served, out_of_step), (6, 0), "{} is taken away", pod);
                }
                (node.state, node.is_outdated) = (State::Away, false);
            }
            turn(&mut nodes, true);
        }
        prop_assert_eq!(next(&nodes, Some(&healthy())), Step::Done);
    }
}
