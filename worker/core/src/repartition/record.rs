//! What one shard sends to another: rows of the other's keys, and how far its own event time has come.

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::aggregate::CorruptState;
use crate::state::{decode, encode, rows_from_bytes, rows_to_bytes};
use crate::stream::{Batch, Micros, NO_WATERMARK};

/// First byte of a record.
const VERSION: u8 = 3;

/// First bytes of records of versions to come; others are no record's.
const NEWER: std::ops::Range<u8> = VERSION + 1..32;

/// The last version without a form, and the last without an end.
const WITHOUT_FORM: u8 = 2;
const WITHOUT_END: u8 = 1;

/// A record of a repartition topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealtRecord {
    /// The shard that wrote it.
    pub from: u32,
    /// The run epoch in which it did.
    pub epoch: u32,
    /// Whether the pipeline claimed then that rows are placed by their key.
    pub claimed: bool,
    /// One for each input of the stage.
    pub inputs: Vec<DealtInput>,
    /// Set if nothing follows as long as the pipeline is held: the cut with which the record was written.
    #[serde(skip)]
    pub end: Option<u64>,
    /// The number of the rows' form; none in records of earlier versions.
    #[serde(skip)]
    pub form: Option<u64>,
}

/// What a record says of an input of the stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealtInput {
    /// Watermark of the input where the record was written, behind its rows.
    pub watermark: Micros,
    /// Whether nobody needs to wait for what else comes from there.
    pub quiet: bool,
    /// Event times of the rows.
    pub times: Vec<Micros>,
    /// Where the order of the rows counts, their own watermarks, and how many rows behind one another have each.
    pub own: Vec<(u32, Micros)>,
    /// The rows, if there are any.
    pub rows: Vec<u8>,
}

impl DealtInput {
    /// Adds rows.
    pub fn put(&mut self, part: &Batch, is_ordered: bool) {
        self.rows = rows_to_bytes(&part.rows);
        self.times.clone_from(&part.times);
        if is_ordered {
            let runs = part.watermarks.chunk_by(|one, next| one == next);
            self.own = runs.map(|run| (run.len() as u32, run[0])).collect();
        }
    }

    /// The own watermarks of the rows; without any they have none.
    pub fn watermarks(&self) -> Vec<Micros> {
        let runs = self.own.iter();
        let all = runs.flat_map(|(n, watermark)| std::iter::repeat_n(*watermark, *n as usize));
        let mut all: Vec<Micros> = all.take(self.times.len()).collect();
        all.resize(self.times.len(), NO_WATERMARK);
        all
    }

    /// The rows.
    ///
    /// # Errors
    /// If they do not have these columns.
    pub fn rows(&self, columns: &SchemaRef) -> Result<Option<arrow_array::RecordBatch>, CorruptState> {
        if self.times.is_empty() {
            return Ok(None);
        }
        let rows = rows_from_bytes(&self.rows, columns)?;
        if rows.num_rows() != self.times.len() {
            return Err(CorruptState { what: "rows" });
        }
        Ok(Some(rows))
    }
}

impl DealtRecord {
    /// The version of a record that a newer Tocsin wrote.
    pub fn newer(bytes: &[u8]) -> Option<u8> {
        bytes.first().copied().filter(|version| NEWER.contains(version))
    }

    /// The record as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(encode(&(self, self.end, self.form)));
        bytes
    }

    /// The record that [`DealtRecord::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptState> {
        let what = "a record of a repartition topic";
        match bytes.split_first() {
            Some((&VERSION, record)) => {
                let (record, end, form): (Self, _, _) = decode(record, what)?;
                Ok(Self { end, form, ..record })
            }
            Some((&WITHOUT_FORM, record)) => {
                let (record, end): (Self, _) = decode(record, what)?;
                Ok(Self { end, ..record })
            }
            Some((&WITHOUT_END, record)) => decode(record, what),
            _ => Err(CorruptState { what }),
        }
    }
}
