//! `tocsin check`.

use serde_json::json;
use tocsin_contract::problem::Problem;
use tocsin_contract::reach::{cluster_only_fields, fields_without_effect_yet, kafka_fields};
use tocsin_worker_core::plan::describe::describe;

use crate::args::{CheckArgs, Format};
use crate::failure::{Failure, print, say};
use crate::files;

/// Checks a pipeline, and shows what it does.
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    let loaded = files::pipeline(&args.pipeline, &args.rules)?;
    let missing = loaded.missing();
    let mut refused = loaded.refused_by_cluster();
    if args.cluster && !refused.is_empty() {
        return Err(Failure::Pipeline {
            file: loaded.file,
            problems: refused,
        });
    }
    // What cannot run here either needs no second word.
    refused.retain(|refused| !missing.iter().any(|known| known.path == refused.path));
    let (pipeline, plan) = (loaded.pipeline, loaded.plan);
    let with_bootstrap = kafka_fields(&pipeline.spec);
    let cluster_only = cluster_only_fields(&pipeline.spec);
    if args.format == Format::Json {
        let texts = |problems: &[Problem]| {
            problems
                .iter()
                .map(|problem| json!({"path": problem.path, "message": problem.message, "hint": problem.hint}))
                .collect::<Vec<_>>()
        };
        let answer = json!({
            "pipeline": plan.name,
            "runnable": missing.is_empty(),
            "plan": describe(&plan).lines().collect::<Vec<_>>(),
            "warnings": texts(&plan.warnings),
            "missing": texts(&missing),
            "refusedByCluster": texts(&refused),
            "withBootstrap": with_bootstrap,
            "clusterOnly": cluster_only,
        });
        say(&format!("{answer:#}"))?;
        return Ok(());
    }
    print(&describe(&plan))?;
    list("warnings", &plan.warnings)?;
    list("cannot run here yet", &missing)?;
    if !refused.is_empty() {
        let reasons = if refused.len() == 1 { "reason" } else { "reasons" };
        say(&format!(
            "\na cluster refuses it for {} {reasons}; `tocsin check --cluster` names them",
            refused.len()
        ))?;
    }
    for (who, fields) in [
        ("only `tocsin run --bootstrap` and a cluster read", with_bootstrap),
        ("only a cluster reads", cluster_only),
    ] {
        if !fields.is_empty() {
            say(&format!("\n{who}\n  {}", fields.join(", ")))?;
        }
    }
    for told in fields_without_effect_yet(&pipeline.spec) {
        say(&format!("\n{told}"))?;
    }
    say(&format!(
        "\n{}: {}",
        args.pipeline.display(),
        if missing.is_empty() {
            "ok"
        } else {
            "ok, but not to be run yet"
        }
    ))?;
    Ok(())
}

fn list(title: &str, problems: &[Problem]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    say(&format!("\n{title}"))?;
    problems
        .iter()
        .try_for_each(|problem| say(&format!("  {}", problem.to_string().replace('\n', "\n  "))))
}
