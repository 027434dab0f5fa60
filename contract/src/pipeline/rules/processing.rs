//! Rules of sources, tables and stages.

use super::{exactly_one, positive, positive_if_given};
use crate::pipeline::IncidentPipelineSpec;
use crate::pipeline::source::{Format, FormatKind, Source, Table};
use crate::pipeline::stage::{Aggregate, Alarm, AlarmRule, Emit, Skew, Stage, Window};
use crate::problem::Problem;
use crate::rule::Rule;

/// Rules of the spec as a whole.
pub const SPEC: [Rule; 2] = [
    Rule::new(
        "!has(self.stages) || !self.stages.exists(s, self.sources.exists(o, o.name == s.name))",
        "a stage must not have the name of a source: each stream needs a name of its own",
    ),
    Rule::new(
        "!has(self.tables) || !self.tables.exists(t, self.sources.exists(o, o.name == t.name) \
         || (has(self.stages) && self.stages.exists(s, s.name == t.name)))",
        "a table must not have the name of a source or a stage: each needs a name of its own",
    ),
];

/// Rules of a source.
pub const SOURCE: [Rule; 5] = [
    Rule::new(
        "[has(self.kafka), has(self.file), has(self.stdin), has(self.generator), has(self.http)]\
         .filter(x, x).size() == 1",
        "must have exactly one of kafka, file, stdin, generator and http",
    ),
    Rule::on(
        ".format",
        "self.format.type != 'Csv' || has(self.file) || has(self.stdin)",
        "type Csv must come from a file or from standard input",
    ),
    Rule::on(
        ".partitionedBy",
        "!has(self.partitionedBy) || has(self.kafka)",
        "must stand beside `kafka`: it is a claim about a topic",
    ),
    Rule::on(
        ".format",
        "self.format.type != 'Avro' || has(self.kafka)",
        "type Avro must come from Kafka: a record names its schema by a number that a registry gave out",
    ),
    Rule::on(
        ".format",
        "!(self.format.type in ['InfluxLine', 'Syslog']) || has(self.kafka) || has(self.file) || has(self.stdin)",
        "types InfluxLine and Syslog must come from Kafka, a file or standard input",
    ),
];

/// Rules of a table.
pub const TABLE: [Rule; 1] = [Rule::new(
    "has(self.kafka) != has(self.file)",
    "must have exactly one of kafka and file",
)];

/// Rules of a format.
pub const FORMAT: [Rule; 2] = [
    Rule::on(
        ".registry",
        "(self.type == 'Avro') == has(self.registry)",
        "must be given exactly when the type is Avro",
    ),
    Rule::on(
        ".year",
        "!has(self.year) || self.type == 'Syslog'",
        "must stand beside type Syslog: times of RFC 3164 alone have no year",
    ),
];

/// Rules of a stage. That it has a `from`, and when it may have `emit`, no schema can see: see `stage`.
pub const STAGE: [Rule; 3] = [
    Rule::new(
        "[has(self.filter), has(self.enrich), has(self.aggregate), has(self.escalate), has(self.alarm), \
         has(self.detect), has(self.match), has(self.incident), has(self.sql)].filter(x, x).size() == 1",
        "must have exactly one of filter, enrich, aggregate, escalate, alarm, detect, match, incident and sql",
    ),
    Rule::on(
        ".ttl",
        "!has(self.ttl) || has(self.sql) || (has(self.aggregate) && !has(self.aggregate.window))",
        "must not be given here: it is for aggregates without a window, other state ends by itself",
    ),
    Rule::on(
        ".skew",
        "!has(self.skew) || self.skew == 'OnePhase' || has(self.aggregate)",
        "must not be TwoPhase here: that is for aggregates",
    ),
];

/// Rules of an aggregate.
pub const AGGREGATE: [Rule; 1] = [Rule::new(
    "has(self.select) != has(self.kpisRef)",
    "must have exactly one of select and kpisRef",
)];

/// Rules of a window. That `size` is a multiple of `every`, CEL cannot reckon: see `window`.
pub const WINDOW: [Rule; 1] = [Rule::new(
    "[has(self.tumbling), has(self.sliding), has(self.session)].filter(x, x).size() == 1",
    "must have exactly one of tumbling, sliding and session",
)];

/// Rules of an `alarm` stage.
pub const ALARM: [Rule; 2] = [
    Rule::new(
        "[has(self.when), has(self.baseline), has(self.rulesRef)].filter(x, x).size() == 1",
        "must have exactly one of when, baseline and rulesRef",
    ),
    Rule::new(
        "!has(self.rulesRef) || !(has(self.__for__) || has(self.clear) || has(self.keepFiringFor) || has(self.maxGap) \
         || has(self.onNoData) || has(self.severity) || has(self.summary))",
        "must have rulesRef alone: for, clear, keepFiringFor, maxGap, onNoData, severity and summary stand in the rule set",
    ),
];

/// Rules of a rule of an IncidentRuleSet.
pub const RULE_CONDITION: [Rule; 1] = [Rule::new(
    "has(self.when) != has(self.baseline)",
    "must have exactly one of when and baseline",
)];

/// Rules of an IncidentRuleSet.
pub const RULE_SET: [Rule; 1] = [Rule::new(
    "(has(self.rules) && self.rules.size() > 0) || (has(self.kpis) && self.kpis.size() > 0)",
    "must have rules or kpis, or both",
)];

pub(super) fn check(spec: &IncidentPipelineSpec, problems: &mut Vec<Problem>) {
    let is_source = |name: &str| spec.sources.iter().any(|source| source.name == name);
    let is_stage = |name: &str| spec.stages.iter().any(|stage| stage.name == name);
    for stage in spec.stages.iter().filter(|stage| is_source(&stage.name)) {
        problems.push(SPEC[0].problem(&format!("spec.stages[{}].name", stage.name)));
    }
    for table in spec
        .tables
        .iter()
        .filter(|table| is_source(&table.name) || is_stage(&table.name))
    {
        problems.push(SPEC[1].problem(&format!("spec.tables[{}].name", table.name)));
    }
    for source in &spec.sources {
        self::source(source, &format!("spec.sources[{}]", source.name), problems);
    }
    for table in &spec.tables {
        self::table(table, &format!("spec.tables[{}]", table.name), problems);
    }
    for stage in &spec.stages {
        self::stage(stage, &format!("spec.stages[{}]", stage.name), problems);
    }
}

fn source(source: &Source, path: &str, problems: &mut Vec<Problem>) {
    let given = [
        ("kafka", source.kafka.is_some()),
        ("file", source.file.is_some()),
        ("stdin", source.stdin.is_some()),
        ("generator", source.generator.is_some()),
        ("http", source.http.is_some()),
    ];
    exactly_one(&SOURCE[0], &given, path, problems);
    let plain = source.file.is_some() || source.stdin.is_some();
    SOURCE[1].unless(source.format.kind != FormatKind::Csv || plain, path, problems);
    SOURCE[2].unless(
        source.partitioned_by.is_none() || source.kafka.is_some(),
        path,
        problems,
    );
    let kind = source.format.kind;
    SOURCE[3].unless(kind != FormatKind::Avro || source.kafka.is_some(), path, problems);
    let by_lines = matches!(kind, FormatKind::InfluxLine | FormatKind::Syslog);
    SOURCE[4].unless(!by_lines || plain || source.kafka.is_some(), path, problems);
    format(&source.format, path, problems);
}

fn table(table: &Table, path: &str, problems: &mut Vec<Problem>) {
    exactly_one(
        &TABLE[0],
        &[("kafka", table.kafka.is_some()), ("file", table.file.is_some())],
        path,
        problems,
    );
    format(&table.format, path, problems);
}

fn format(format: &Format, path: &str, problems: &mut Vec<Problem>) {
    let avro = format.kind == FormatKind::Avro;
    let path = format!("{path}.format");
    FORMAT[0].unless(avro == format.registry.is_some(), &path, problems);
    FORMAT[1].unless(
        format.year.is_none() || format.kind == FormatKind::Syslog,
        &path,
        problems,
    );
}

fn stage(stage: &Stage, path: &str, problems: &mut Vec<Problem>) {
    let given = [
        ("filter", stage.filter.is_some()),
        ("enrich", stage.enrich.is_some()),
        ("aggregate", stage.aggregate.is_some()),
        ("escalate", stage.escalate.is_some()),
        ("alarm", stage.alarm.is_some()),
        ("detect", stage.detect.is_some()),
        ("match", stage.pattern.is_some()),
        ("incident", stage.incident.is_some()),
        ("sql", stage.sql.is_some()),
    ];
    exactly_one(&STAGE[0], &given, path, problems);
    let running = stage
        .aggregate
        .as_ref()
        .is_some_and(|aggregate| aggregate.window.is_none());
    STAGE[1].unless(stage.ttl.is_none() || stage.sql.is_some() || running, path, problems);
    STAGE[2].unless(
        stage.skew != Some(Skew::TwoPhase) || stage.aggregate.is_some(),
        path,
        problems,
    );
    inputs(stage, path, problems);
    emission(stage, path, problems);
    positive_if_given(stage.ttl, &format!("{path}.ttl"), problems);
    if let Some(aggregate) = &stage.aggregate {
        self::aggregate(aggregate, &format!("{path}.aggregate"), problems);
    }
    if let Some(escalate) = &stage.escalate {
        positive(escalate.within, &format!("{path}.escalate.within"), problems);
    }
    if let Some(alarm) = &stage.alarm {
        self::alarm(alarm, &format!("{path}.alarm"), problems);
    }
    if let Some(pattern) = &stage.pattern {
        positive(pattern.within, &format!("{path}.match.within"), problems);
    }
    if let Some(incident) = &stage.incident {
        positive(incident.open_for, &format!("{path}.incident.openFor"), problems);
    }
}

/// A `sql` stage names its input in FROM; every other stage has a `from`.
fn inputs(stage: &Stage, path: &str, problems: &mut Vec<Problem>) {
    let place = format!("{path}.from");
    match (&stage.sql, stage.from.is_empty()) {
        (Some(_), false) => {
            problems.push(
                Problem::new(place, "must not be given here: a sql stage names its input in FROM")
                    .hint("remove `from`"),
            );
        }
        (None, true) => {
            problems.push(
                Problem::new(place, "is missing: a stage reads at least one stream").hint("add `from: <stream>`"),
            );
        }
        _ => {}
    }
    for (at, name) in stage.from.0.iter().enumerate() {
        if stage.from.0[..at].contains(name) {
            problems.push(Problem::new(
                format!("{path}.from[{at}]"),
                format!("`{name}` stands here twice"),
            ));
        }
    }
}

/// Only aggregates choose when they give out results, and ticks are for those without a window.
fn emission(stage: &Stage, path: &str, problems: &mut Vec<Problem>) {
    let Some(emit) = &stage.emit else { return };
    let place = format!("{path}.emit");
    let windowed = stage.aggregate.as_ref().map(|aggregate| aggregate.window.is_some());
    match (emit, windowed) {
        (_, None) if stage.sql.is_none() => {
            problems.push(Problem::new(
                place,
                "must not be given here: it is for aggregate and sql stages, others give out results at once",
            ));
        }
        (Emit::Every(_), Some(true)) => problems.push(
            Problem::new(
                place,
                "must not be `every` here: that is for aggregates without a window",
            )
            .hint("use OnClose, OnChange or Final"),
        ),
        (Emit::OnClose | Emit::OnChange | Emit::Final, Some(false)) => problems.push(
            Problem::new(place, "must be `{every: ...}` here: the aggregate has no window")
                .hint("write `emit: {every: 1s}`"),
        ),
        (Emit::Every(period), _) => positive(*period, &format!("{place}.every"), problems),
        _ => {}
    }
}

fn aggregate(aggregate: &Aggregate, path: &str, problems: &mut Vec<Problem>) {
    let given = [
        ("select", !aggregate.select.is_empty()),
        ("kpisRef", aggregate.kpis_ref.is_some()),
    ];
    exactly_one(&AGGREGATE[0], &given, path, problems);
    if let Some(window) = &aggregate.window {
        self::window(window, &format!("{path}.window"), problems);
    }
}

fn window(window: &Window, path: &str, problems: &mut Vec<Problem>) {
    let given = [
        ("tumbling", window.tumbling.is_some()),
        ("sliding", window.sliding.is_some()),
        ("session", window.session.is_some()),
    ];
    exactly_one(&WINDOW[0], &given, path, problems);
    positive_if_given(window.tumbling, &format!("{path}.tumbling"), problems);
    if let Some(session) = &window.session {
        positive(session.gap, &format!("{path}.session.gap"), problems);
    }
    let Some(sliding) = &window.sliding else { return };
    positive(sliding.size, &format!("{path}.sliding.size"), problems);
    positive(sliding.every, &format!("{path}.sliding.every"), problems);
    let (size, every) = (sliding.size.as_micros(), sliding.every.as_micros());
    if every > 0 && size % every != 0 {
        let rest = format!(
            "must be a multiple of `every`: {} is none of {}",
            sliding.size, sliding.every
        );
        problems.push(Problem::new(format!("{path}.sliding.size"), rest));
    }
}

fn alarm(alarm: &Alarm, path: &str, problems: &mut Vec<Problem>) {
    let rule = &alarm.rule;
    let given = [
        ("when", rule.when.is_some()),
        ("baseline", rule.baseline.is_some()),
        ("rulesRef", alarm.rules_ref.is_some()),
    ];
    exactly_one(&ALARM[0], &given, path, problems);
    let inline = rule.hold.is_some()
        || rule.clear.is_some()
        || rule.keep_firing_for.is_some()
        || rule.max_gap.is_some()
        || rule.on_no_data.is_some()
        || rule.severity.is_some()
        || rule.summary.is_some();
    ALARM[1].unless(alarm.rules_ref.is_none() || !inline, path, problems);
    baseline(rule, path, problems);
}

/// The rules of an alarm rule that stands in a rule set.
pub(crate) fn rule_condition(rule: &AlarmRule, path: &str, problems: &mut Vec<Problem>) {
    let given = [("when", rule.when.is_some()), ("baseline", rule.baseline.is_some())];
    exactly_one(&RULE_CONDITION[0], &given, path, problems);
    baseline(rule, path, problems);
}

fn baseline(rule: &AlarmRule, path: &str, problems: &mut Vec<Problem>) {
    if let Some(baseline) = &rule.baseline {
        positive(baseline.over, &format!("{path}.baseline.over"), problems);
    }
}
