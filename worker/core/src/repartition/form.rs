//! The form of rows that shards send to one another. Rows of one form say nothing to a pipeline that deals out another: it would
//! take a column for another one, or look for a key in the wrong shard.

use crate::id;
use crate::plan::repartition::{KeyPart, RepartitionPlan};
use crate::plan::shape;

/// Rows on their way between shards that the pipeline cannot take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealtOtherwise {
    /// They are of another form than it deals out now.
    #[error(
        "rows of stage {stage} are on their way between shards in another form than it has now ({now}): run the pipeline as it was, take a savepoint that drains (`\"drain\": true`), and begin a later run epoch with that (`--restore-from`, `--rewind-to-epoch`)"
    )]
    Form {
        /// Name of the stage.
        stage: String,
        /// The form that the pipeline deals out.
        now: String,
    },
    /// A newer Tocsin wrote them.
    #[error(
        "rows of stage {stage} are on their way between shards in version {version}, which a newer Tocsin writes: end its workers, or use that version for all"
    )]
    Newer {
        /// Name of the stage.
        stage: String,
        /// The version.
        version: u8,
    },
}

impl RepartitionPlan {
    /// What the rows are: by what they are dealt out, their columns, and how they were added up before. Whether the producers
    /// are said to have dealt out by key changes no row, and is no part of it.
    pub fn form(&self) -> String {
        let columns = shape::columns(&self.columns);
        let combined = self.combined.as_ref().map(|plan| shape::aggregate(plan));
        let combined = combined.map_or(String::new(), |plan| format!(" of {plan}"));
        format!("{} of {columns}{combined}", self.dealt_by())
    }

    /// A number that stands for the form, the same in each build.
    pub(super) fn form_number(&self) -> u64 {
        id::number(&[self.form().as_bytes()])
    }

    /// By what rows are dealt out.
    pub(super) fn dealt_by(&self) -> String {
        let key = self.key.iter().map(|part| match part {
            KeyPart::Column(i) => self.columns.field(*i).name().clone(),
            KeyPart::Value(value) => value.text.clone(),
        });
        format!("[{}] by {:?}", key.collect::<Vec<_>>().join(", "), self.partitioner)
    }
}
