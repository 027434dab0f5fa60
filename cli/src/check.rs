//! `tocsin check`.

use serde_json::json;
use tocsin_worker_core::plan::describe::describe;

use crate::args::{CheckArgs, Format};
use crate::failure::Failure;
use crate::files;

/// Checks a pipeline, and shows what it does.
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    let (pipeline, plan) = files::pipeline(&args.pipeline, &args.rules)?;
    let missing = match files::runnable(&args.pipeline, &pipeline, &plan) {
        Err(Failure::Pipeline { problems, .. }) => problems,
        _ => Vec::new(),
    };
    let ignored = tocsin_contract::reach::cluster_only_fields(&pipeline.spec);
    if args.format == Format::Json {
        let texts = |problems: &[tocsin_contract::problem::Problem]| {
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
            "clusterOnly": ignored,
        });
        println!("{answer:#}");
        return Ok(());
    }
    print!("{}", describe(&plan));
    let list = |title: &str, problems: &[tocsin_contract::problem::Problem]| {
        if !problems.is_empty() {
            println!("\n{title}");
            for problem in problems {
                println!("  {}", problem.to_string().replace('\n', "\n  "));
            }
        }
    };
    list("warnings", &plan.warnings);
    list("cannot run here yet", &missing);
    if !ignored.is_empty() {
        println!("\nonly a cluster reads\n  {}", ignored.join(", "));
    }
    println!("\n{}: {}", args.pipeline.display(), if missing.is_empty() { "ok" } else { "ok, but not to be run yet" });
    Ok(())
}
