//! Which node of a managed Kafka is started anew next.
//!
//! - At most one node is away at a time, and only while all partitions are in step and the controllers agree: so nothing is
//!   lost and nothing stands still when the node goes.
//! - A node that does not come up is started anew when it has something new to be started with and no other is away: it may be
//!   slow only, and one of those that are left.
//! - The controller that leads is the last.

use std::collections::BTreeMap;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: u32,
    /// Its pod.
    pub pod: String,
    /// Its pool.
    pub pool: String,
    /// Its number in the pool.
    pub ordinal: u32,
    /// Whether it takes part in the metadata quorum.
    pub is_controller: bool,
    /// Whether it keeps partitions.
    pub is_broker: bool,
    /// How its pod is.
    pub state: State,
    /// Whether it was started with something else than it would be now.
    pub is_outdated: bool,
}

/// How a node's pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves.
    Ready,
    /// It does not, or not yet.
    NotReady,
    /// It is on its way out, or not there.
    Away,
}

/// What the Kafka says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Partitions of which a copy is behind or away.
    pub out_of_step: u32,
    /// The controller that leads.
    pub leader: Option<u32>,
    /// Controllers that are behind the leader, or away.
    pub lagging_controllers: u32,
    /// How many copies of partitions each broker holds.
    pub copies: BTreeMap<u32, u32>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// All nodes are as they must be.
    Done,
    /// Something must come first.
    Wait(String),
    /// This pod is removed, and comes back with what is new.
    Restart {
        /// The pod.
        pod: String,
    },
}

/// Decides which node is started anew next. `health` is none while the Kafka does not answer.
pub fn next(nodes: &[Node], health: Option<&Health>) -> Step {
    let is_any_away = nodes.iter().any(|node| node.state == State::Away);
    let broken = nodes
        .iter()
        .find(|node| node.is_outdated && node.state == State::NotReady);
    if let Some(node) = broken.filter(|_| !is_any_away) {
        return Step::Restart { pod: node.pod.clone() };
    }
    let outdated: Vec<&Node> = nodes.iter().filter(|node| node.is_outdated).collect();
    let coming = nodes.iter().find(|node| node.state != State::Ready);
    if let Some(node) = coming {
        return Step::Wait(format!("{} comes up", node.pod));
    }
    if outdated.is_empty() {
        return Step::Done;
    }
    let Some(health) = health else {
        return Step::Wait("Kafka must say first how it is".to_owned());
    };
    if health.out_of_step > 0 {
        return Step::Wait(format!("{} partitions are not in step", health.out_of_step));
    }
    if health.lagging_controllers > 0 {
        return Step::Wait(format!("{} controllers are behind", health.lagging_controllers));
    }
    // Brokers alone first, the leader of the controllers last; in a pool from the end.
    let rank = |node: &&&Node| {
        let leads = health.leader == Some(node.id);
        (
            leads,
            node.is_controller,
            node.pool.clone(),
            std::cmp::Reverse(node.ordinal),
        )
    };
    match outdated.iter().min_by_key(rank) {
        Some(node) => Step::Restart { pod: node.pod.clone() },
        None => Step::Done,
    }
}

#[cfg(test)]
#[path = "roll_tests.rs"]
mod tests;
