//! Who reads whom: names of streams, cycles, and an order in which each stage stands behind those that it reads.

use std::collections::BTreeMap;

use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::problem::Problem;

use super::StreamId;
use super::names::{sink_path, source_path, stage_path, suggestion};
use super::parsed::{ParsedKind, ParsedStage};

/// The streams of a pipeline. Stages are numbered as in the file.
#[derive(Debug)]
pub struct Graph {
    /// For each stage what it reads.
    pub inputs: Vec<Vec<StreamId>>,
    /// The stages, each behind those that it reads.
    pub order: Vec<usize>,
    /// For each sink what it takes out.
    pub sinks: Vec<StreamId>,
}

/// Resolves all names. One that leads nowhere is left out, and so are stages in a circle from `order`.
pub fn resolve(spec: &IncidentPipelineSpec, parsed: &[ParsedStage], problems: &mut Vec<Problem>) -> Graph {
    check_names(spec, problems);
    let streams = streams(spec);
    let find = |name: &str, path: String, problems: &mut Vec<Problem>| {
        let found = streams.get(name).copied();
        if found.is_none() {
            // Late streams are found by their stage; naming them all would only lengthen the list.
            let names = streams
                .keys()
                .map(String::as_str)
                .filter(|name| !name.ends_with(".late"));
            problems.push(
                Problem::new(path, format!("there is no stream `{name}`"))
                    .hint(suggestion(name, names.collect::<Vec<_>>())),
            );
        }
        found
    };
    let mut inputs = Vec::new();
    for (stage, parsed) in spec.stages.iter().zip(parsed) {
        let path = format!("{}.from", parsed.path);
        let names: Vec<String> = match &parsed.kind {
            ParsedKind::Sql(sql) => vec![sql.from.clone()],
            _ => stage.from.0.clone(),
        };
        if names.is_empty() && !matches!(parsed.kind, ParsedKind::Wrong) {
            problems.push(Problem::new(&path, "a stage needs an input").hint("give the name of a source or stage"));
        }
        let several = names.len() > 1;
        let path_of = |i: usize| match &parsed.kind {
            ParsedKind::Sql(_) => format!("{}.sql", parsed.path),
            _ if several => format!("{path}[{i}]"),
            _ => path.clone(),
        };
        inputs.push(
            names
                .iter()
                .enumerate()
                .filter_map(|(i, name)| find(name, path_of(i), problems))
                .collect(),
        );
    }
    let sinks = resolve_sinks(spec, parsed, &find, problems);
    let order = order(spec, &inputs, problems);
    Graph { inputs, order, sinks }
}

/// The streams by name.
fn streams(spec: &IncidentPipelineSpec) -> BTreeMap<String, StreamId> {
    let sources = spec
        .sources
        .iter()
        .enumerate()
        .map(|(i, source)| (source.name.clone(), StreamId::Source(i)));
    let stages = spec
        .stages
        .iter()
        .enumerate()
        .map(|(i, stage)| (stage.name.clone(), StreamId::Stage(i)));
    let late = spec
        .stages
        .iter()
        .enumerate()
        .map(|(i, stage)| (format!("{}.late", stage.name), StreamId::Late(i)));
    late.chain(stages).chain(sources).collect()
}

fn check_names(spec: &IncidentPipelineSpec, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    let sources = spec
        .sources
        .iter()
        .map(|source| (source.name.as_str(), source_path(&source.name)));
    let stages = spec
        .stages
        .iter()
        .map(|stage| (stage.name.as_str(), stage_path(&stage.name)));
    let tables = spec
        .tables
        .iter()
        .map(|table| (table.name.as_str(), format!("spec.tables[{}]", table.name)));
    for (name, path) in sources.chain(tables).chain(stages) {
        match seen.get(name) {
            Some(first) => {
                problems.push(Problem::new(&path, format!("the name `{name}` is taken by {first}")).hint("rename one"));
            }
            None => drop(seen.insert(name, path)),
        }
    }
}

/// Finds a stream by name; a name that is not there is a problem at the path.
type Find<'a> = dyn Fn(&str, String, &mut Vec<Problem>) -> Option<StreamId> + 'a;

/// What each sink takes out: its `from`, or the `sql` stage that inserts into it.
fn resolve_sinks(
    spec: &IncidentPipelineSpec,
    parsed: &[ParsedStage],
    find: &Find<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<StreamId> {
    let inserts: Vec<(usize, &str)> = parsed
        .iter()
        .enumerate()
        .filter_map(|(i, stage)| match &stage.kind {
            ParsedKind::Sql(sql) => sql.into.as_deref().map(|into| (i, into)),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = spec.sinks.iter().map(|sink| sink.name.as_str()).collect();
    for (i, into) in &inserts {
        if !names.contains(into) {
            let path = format!("{}.sql", parsed[*i].path);
            problems.push(
                Problem::new(path, format!("INSERT INTO `{into}`: there is no sink with this name"))
                    .hint(suggestion(into, names.clone())),
            );
        }
    }
    let mut streams = Vec::new();
    for sink in &spec.sinks {
        let path = sink_path(&sink.name);
        let mut writers = inserts.iter().filter(|(_, into)| *into == sink.name);
        let found =
            match (&sink.from, writers.next(), writers.next()) {
                (Some(from), None, _) => find(from, format!("{path}.from"), problems),
                (None, Some((i, _)), None) => Some(StreamId::Stage(*i)),
                (None, None, _) => {
                    problems.push(
                        Problem::new(format!("{path}.from"), "a sink needs a stream")
                            .hint("give the name of a stage, or write to it with INSERT INTO in a `sql` stage"),
                    );
                    None
                }
                _ => {
                    problems.push(Problem::new(&path, "more than one stream goes to this sink").hint(
                        "give each stream a sink of its own, or leave out `from` where INSERT INTO names the sink",
                    ));
                    None
                }
            };
        streams.extend(found);
    }
    streams
}

fn order(spec: &IncidentPipelineSpec, inputs: &[Vec<StreamId>], problems: &mut Vec<Problem>) -> Vec<usize> {
    let n_stages = spec.stages.len();
    let reads = |stage: usize| {
        inputs[stage].iter().filter_map(|input| match input {
            StreamId::Stage(i) | StreamId::Late(i) => Some(*i),
            StreamId::Source(_) => None,
        })
    };
    let mut order: Vec<usize> = Vec::with_capacity(n_stages);
    let mut placed = vec![false; n_stages];
    loop {
        let next = (0..n_stages).find(|&stage| !placed[stage] && reads(stage).all(|i| placed[i]));
        let Some(stage) = next else { break };
        placed[stage] = true;
        order.push(stage);
    }
    if let Some(first) = (0..n_stages).find(|&stage| !placed[stage]) {
        // From any stage that cannot be placed, going back leads into a cycle.
        let mut trail: Vec<usize> = Vec::new();
        let mut at = first;
        while !trail.contains(&at) {
            trail.push(at);
            match reads(at).find(|&i| !placed[i]) {
                Some(i) => at = i,
                None => return order,
            }
        }
        let start = trail.iter().position(|&stage| stage == at).unwrap_or(0);
        let mut cycle: Vec<&str> = trail[start..]
            .iter()
            .rev()
            .map(|&i| spec.stages[i].name.as_str())
            .collect();
        cycle.push(cycle[0]);
        let path = format!("{}.from", stage_path(cycle[0]));
        problems.push(
            Problem::new(path, format!("streams go in a circle: {}", cycle.join(" -> ")))
                .hint("an event would never come to an end; take one of these inputs out"),
        );
    }
    order
}
