//! The keys that most rows of stages have, for people.

use super::Engine;
use crate::encode::cell_text;
use crate::key::decode_keys;
use crate::plan::partitioning::keys;
use crate::top_keys::KeyShares;

/// A key with less of the rows is not told.
const LEAST_SHARE: f64 = 0.1;

/// Of a longer key so many characters are told.
const LONGEST_TOLD: usize = 128;

/// A key that many rows of a stage have.
#[derive(Clone, Debug, PartialEq)]
pub struct TopKey {
    /// Number of the stage.
    pub stage: usize,
    /// The key, such as `service=api, host=web-1`.
    pub key: String,
    /// Its share of the stage's rows in this shard, lately.
    pub share: f64,
}

impl Engine {
    /// The keys that at least a tenth of the rows of a stage have, by a sample; of each stage that with most rows first.
    pub fn top_keys(&self) -> Vec<TopKey> {
        let mut top = Vec::new();
        for (number, (stage, run)) in self.plan.stages.iter().zip(&self.stages).enumerate() {
            let tables = keys(stage).unwrap_or_default();
            let mut shares = vec![KeyShares::default(); tables.len()];
            run.add_top_keys(&mut shares);
            for (columns, shares) in tables.iter().zip(shares).filter(|(columns, _)| !columns.is_empty()) {
                let types: Vec<_> = columns.iter().map(|(_, data_type)| data_type.clone()).collect();
                for (key, share) in shares.at_least(LEAST_SHARE) {
                    let values = decode_keys(std::iter::once(key.as_slice()), &types);
                    let text = columns
                        .iter()
                        .zip(&values)
                        .map(|((name, _), value)| match value.is_null(0) {
                            true => format!("{name}=NULL"),
                            false => format!("{name}={}", cell_text(value, 0)),
                        });
                    let mut key = text.collect::<Vec<_>>().join(", ");
                    if let Some((end, _)) = key.char_indices().nth(LONGEST_TOLD) {
                        key.truncate(end);
                        key.push('…');
                    }
                    top.push(TopKey {
                        stage: number,
                        key,
                        share,
                    });
                }
            }
        }
        top
    }
}
