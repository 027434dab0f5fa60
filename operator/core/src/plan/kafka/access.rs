//! What a pipeline's user may do with a Kafka that the operator runs: what its workers do, and nothing besides.

use crate::pipeline::Pipeline;
use crate::plan::topics::own_prefix;

/// An access rule: the user may do that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// With what.
    pub resource: Resource,
    /// Its name, or what names begin with.
    pub name: String,
    /// Whether it is for all names that begin so.
    pub is_prefix: bool,
    /// What.
    pub operation: Operation,
}

/// What access is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
}

/// What may be done. Whoever may read or write may also look at what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Anything.
    All,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Looking at what it is set to.
    DescribeConfigs,
}

/// What the pipeline's user may do, in order.
pub fn rules(pipeline: &Pipeline) -> Vec<Rule> {
    let of = |resource, name: &str, is_prefix, operation| Rule {
        resource,
        name: name.to_owned(),
        is_prefix,
        operation,
    };
    let own = own_prefix(&pipeline.id, pipeline.kafka.is_shared);
    let own = own.as_str();
    let group = own.trim_end_matches('.');
    let mut rules = vec![
        of(Resource::Topic, own, true, Operation::All),
        of(Resource::Group, group, false, Operation::All),
        of(Resource::Group, own, true, Operation::All),
        of(Resource::TransactionalId, own, true, Operation::All),
    ];
    for topic in &pipeline.compiled.read {
        rules.push(of(Resource::Topic, topic, false, Operation::Read));
        rules.push(of(Resource::Topic, topic, false, Operation::DescribeConfigs));
    }
    for topic in &pipeline.compiled.written {
        rules.push(of(Resource::Topic, topic, false, Operation::Write));
        rules.push(of(Resource::Topic, topic, false, Operation::DescribeConfigs));
    }
    rules.sort();
    rules.dedup();
    rules
}

/// What those may do who write what the pipeline reads, and read what it writes: they look at no topic of the pipeline's own.
pub fn rules_of_clients(pipeline: &Pipeline) -> Vec<Rule> {
    let of = |resource, name: &str, is_prefix, operation| Rule {
        resource,
        name: name.to_owned(),
        is_prefix,
        operation,
    };
    let mut rules = Vec::new();
    for topic in pipeline.compiled.read.iter().chain(&pipeline.compiled.written) {
        rules.push(of(Resource::Topic, topic, false, Operation::Read));
    }
    for topic in &pipeline.compiled.read {
        rules.push(of(Resource::Topic, topic, false, Operation::Write));
    }
    // Whoever reads in a group calls it after the pipeline and a word of their own.
    let groups = format!("{}-", pipeline.id.name);
    rules.push(of(Resource::Group, &groups, true, Operation::All));
    rules.sort();
    rules.dedup();
    rules
}

/// The user of a listener that asks nobody who they are.
pub const ANONYMOUS: &str = "ANONYMOUS";

/// Whether somebody comes in without saying who they are.
pub fn lets_in_anybody(pipeline: &Pipeline) -> bool {
    let listeners = &pipeline.spec.kafka.listeners;
    listeners.iter().any(|listener| listener.authentication.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HEAD, pipeline};

    fn text(rules: &[Rule]) -> String {
        let line = |rule: &Rule| {
            let behind = if rule.is_prefix { "*" } else { "" };
            format!("{:?} {}{behind} {:?}\n", rule.resource, rule.name, rule.operation)
        };
        rules.iter().map(line).collect()
    }

    const SINK: &str = "  sinks: [{name: out, from: alerts, kafka: {topic: results}}]\n";

    #[test]
    fn a_pipeline_may_do_what_its_workers_do_and_nothing_besides() {
        let rules = rules(&pipeline(&format!("{HEAD}{SINK}  kafka: {{}}\n")));
        expect_test::expect![[r#"
            Topic incident_alerts Read
            Topic incident_alerts DescribeConfigs
            Topic noc.* All
            Topic results Write
            Topic results DescribeConfigs
            Group noc All
            Group noc.* All
            TransactionalId noc.* All
        "#]]
        .assert_eq(&text(&rules));
    }

    #[test]
    fn clients_write_what_the_pipeline_reads_and_read_what_it_writes() {
        let rules = rules_of_clients(&pipeline(&format!("{HEAD}{SINK}  kafka: {{}}\n")));
        expect_test::expect![[r#"
            Topic incident_alerts Read
            Topic incident_alerts Write
            Topic results Read
            Group noc-* All
        "#]]
        .assert_eq(&text(&rules));
    }

    #[test]
    fn a_listener_without_authentication_lets_anybody_in() {
        let with = |further: &str| lets_in_anybody(&pipeline(&format!("{HEAD}  kafka: {{{further}}}\n")));
        assert!(!with(""));
        assert!(!with("listeners: [{name: a, port: 9094, authentication: ScramSha512}]"));
        assert!(with("listeners: [{name: a, port: 9094}]"));
    }
}
