//! What is wrong and does not stop the pipeline, as its workers say it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tocsin_contract::conditions as kinds;
use tocsin_contract::worker::WorkerStatus;

use super::condition::{Finding, find};

/// Messages of one reason that are said; of more, how many there are.
const SAID: usize = 3;

/// Sums up what workers say, of what was said before. The reason that most of them give comes first, and is the condition's.
pub(super) fn degraded(answers: &[WorkerStatus], before: &[Condition]) -> Finding {
    let mut by_reason: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for worker in answers {
        for said in &worker.degraded {
            // A newer worker may know of reasons that this operator does not.
            if let Some(reason) = kinds::known(kinds::DEGRADED, &said.reason) {
                let message = format!("{}: {}", worker.worker, said.message);
                by_reason.entry(reason).or_default().push(message);
            }
        }
    }
    let Some((reason, _)) = by_reason.iter().rev().max_by_key(|(_, messages)| messages.len()) else {
        return Finding::new(
            kinds::DEGRADED,
            false,
            "AsExpected",
            "no worker says that anything is wrong",
        );
    };
    let (first, mut lines) = (*reason, Vec::new());
    for (reason, messages) in &by_reason {
        let said = messages.iter().take(SAID).map(|message| format!("{reason}: {message}"));
        lines.extend(said);
        if let Some(more) = messages.len().checked_sub(SAID).filter(|more| *more > 0) {
            lines.push(format!("{reason}: and {more} more; see /status of the workers"));
        }
    }
    let message = lines.join("\n");
    // Counts and ages grow at each look: they alone are no news.
    let said = find(before, kinds::DEGRADED).map(|condition| &condition.message);
    let same = said.filter(|said| without_digits(said) == without_digits(&message));
    Finding::new(kinds::DEGRADED, true, first, same.unwrap_or(&message).clone())
}

fn without_digits(text: &str) -> String {
    text.split(|character: char| character.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use tocsin_contract::worker::DegradedStatus;

    use super::super::condition::Verdict;
    use super::*;

    fn worker(name: &str, reasons: &[&str]) -> WorkerStatus {
        let said = reasons.iter().map(|reason| DegradedStatus {
            reason: (*reason).to_owned(),
            message: "look, for 5 s".to_owned(),
        });
        WorkerStatus {
            worker: name.to_owned(),
            degraded: said.collect(),
            ..WorkerStatus::default()
        }
    }

    #[test]
    fn what_most_workers_say_is_the_reason_and_all_is_said() {
        let all = degraded(
            &[
                worker("w-0", &["KeySkew"]),
                worker("w-1", &["SchemaDrift", "KeySkew", "OfTomorrow"]),
            ],
            &[],
        );
        assert_eq!((all.verdict, all.reason), (Verdict::True, "KeySkew"));
        assert_eq!(
            all.message,
            "KeySkew: w-0: look, for 5 s\nKeySkew: w-1: look, for 5 s\nSchemaDrift: w-1: look, for 5 s"
        );
        assert_eq!(degraded(&[worker("w-0", &[])], &[]).reason, "AsExpected");
    }
    #[test]
    fn a_number_that_grows_is_no_news() {
        let said = |message: &str| Condition {
            type_: kinds::DEGRADED.to_owned(),
            message: message.to_owned(),
            status: "True".to_owned(),
            reason: "KeySkew".to_owned(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        let now = [worker("w-0", &["KeySkew"])];
        assert_eq!(
            degraded(&now, &[said("KeySkew: w-0: look, for 3 s")]).message,
            "KeySkew: w-0: look, for 3 s"
        );
        assert_eq!(
            degraded(&now, &[said("KeySkew: w-0: see")]).message,
            "KeySkew: w-0: look, for 5 s"
        );
    }
}
