//! What is done about each object: one look at a time, from what is known to what is asked for.

pub mod context;
pub mod pipeline;
pub mod rule_set;
pub mod snapshot;

pub use context::Context;

use crate::api::ApiError;
use crate::api::error::Kind;
use crate::metrics::Outcome;
use crate::work::{Item, Next};

/// Looks at an object, and says when it is to be looked at again.
pub async fn look_at(context: &Context, item: &Item) -> Next {
    let began = context.clock.moment();
    let looked = match item {
        Item::Pipeline(key) => pipeline::reconcile(context, key).await,
        Item::Snapshot(key) => snapshot::reconcile(context, key).await,
        Item::RuleSet(key) => rule_set::reconcile(context, key).await,
        Item::Model(key) => rule_set::reconcile_model(context, key).await,
        Item::Canary(_) => {
            context.canary.looked_at();
            return Next::Never;
        }
    };
    let took = context.clock.moment().saturating_sub(began);
    let (outcome, next) = match looked {
        Ok(next) => (Outcome::Done, next),
        Err(error) => after(item, &error),
    };
    context.metrics.reconciled(item.kind(), outcome, took);
    next
}

fn after(item: &Item, error: &ApiError) -> (Outcome, Next) {
    match error.kind {
        Kind::Conflict => (Outcome::Conflict, Next::Behind),
        // Whoever leads now looks at it.
        Kind::NotLeading => (Outcome::Failed, Next::Again(None)),
        kind => {
            tracing::warn!(kind = item.kind(), object = %item.key(), %error, "a look failed");
            let asked = match kind {
                Kind::Transient(asked) => asked,
                _ => None,
            };
            (Outcome::Failed, Next::Again(asked))
        }
    }
}
