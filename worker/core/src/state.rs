//! State as bytes: what stages save and load.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::SchemaRef;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aggregate::CorruptState;

/// A value as bytes (postcard's format).
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Fails only for types that postcard does not know, such as maps of unknown length; state has none.
    postcard::to_allocvec(value).unwrap_or_default()
}

/// Appends a value as bytes (postcard's format).
pub fn encode_behind<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    // As above.
    let _ = postcard::serialize_with_flavor(value, Behind(out));
}

/// Bytes go behind those that are there.
struct Behind<'a>(&'a mut Vec<u8>);

impl Flavor for Behind<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A value from bytes, all of them.
///
/// # Errors
/// If the bytes are no such value, named by `what`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, CorruptState> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(CorruptState { what }),
    }
}

/// Rows as bytes (Arrow's IPC stream).
pub fn rows_to_bytes(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    if let Ok(mut writer) = StreamWriter::try_new(&mut bytes, &rows.schema()) {
        let _ = writer.write(rows);
        let _ = writer.finish();
    }
    bytes
}

/// Rows from bytes.
///
/// # Errors
/// If the bytes are no rows with this schema.
pub fn rows_from_bytes(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch, CorruptState> {
    let corrupt = CorruptState { what: "rows" };
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|_| corrupt.clone())?;
    let rows = reader.next().and_then(Result::ok).ok_or_else(|| corrupt.clone())?;
    // A batch without columns still has rows.
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), rows.columns().to_vec(), &options).map_err(|_| corrupt)
}
