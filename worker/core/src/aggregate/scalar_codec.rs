//! Single values of a known type as saved bytes, for the types that no column form of ours covers and for the
//! intermediate states of DataFusion's aggregates.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, LargeListArray, ListArray, StructArray, make_array, new_empty_array};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef};
use datafusion_common::ScalarValue;

use super::CorruptState;
use super::bytes::{put_bytes, put_u64, take_bytes, take_count, take_slice, take_u8};

/// A value of a type that [`supported`] does not name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsupported;

/// Whether values of this type can be saved.
pub(super) fn supported(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Null | Boolean | Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => true,
        List(item) | LargeList(item) => supported(item.data_type()),
        Struct(fields) => fields.iter().all(|field| supported(field.data_type())),
        other => other.primitive_width().is_some(),
    }
}

/// Appends a value.
///
/// # Errors
/// When its type is not [`supported`].
pub(super) fn put(value: &ScalarValue, out: &mut Vec<u8>) -> Result<(), Unsupported> {
    out.push(u8::from(!value.is_null()));
    if value.is_null() {
        return Ok(());
    }
    match value {
        ScalarValue::Boolean(Some(value)) => out.push(u8::from(*value)),
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            put_bytes(out, text.as_bytes());
        }
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes)) => put_bytes(out, bytes),
        ScalarValue::List(list) => put_items(&list.value(0), out)?,
        ScalarValue::LargeList(list) => put_items(&list.value(0), out)?,
        ScalarValue::Struct(fields) => {
            for column in fields.columns() {
                put(&ScalarValue::try_from_array(column, 0).map_err(|_| Unsupported)?, out)?;
            }
        }
        other => {
            let width = other.data_type().primitive_width().ok_or(Unsupported)?;
            let data = other.to_array().map_err(|_| Unsupported)?.to_data();
            let start = data.offset() * width;
            let buffer = data.buffers().first().ok_or(Unsupported)?;
            out.extend_from_slice(buffer.get(start..start + width).ok_or(Unsupported)?);
        }
    }
    Ok(())
}

/// Takes what [`put`] wrote for a value of `data_type`.
///
/// # Errors
/// When the bytes are not such a value.
pub(super) fn take(data_type: &DataType, bytes: &mut &[u8]) -> Result<ScalarValue, CorruptState> {
    let what = "value";
    let corrupt = CorruptState { what };
    match take_u8(bytes, what)? {
        0 => return ScalarValue::try_new_null(data_type).map_err(|_| corrupt),
        1 => {}
        _ => return Err(corrupt),
    }
    let text = |bytes: &mut &[u8]| -> Result<String, CorruptState> {
        let text = std::str::from_utf8(take_bytes(bytes, what)?).map_err(|_| CorruptState { what })?;
        Ok(text.to_owned())
    };
    match data_type {
        DataType::Boolean => match take_u8(bytes, what)? {
            flag @ (0 | 1) => Ok(ScalarValue::Boolean(Some(flag == 1))),
            _ => Err(corrupt),
        },
        DataType::Utf8 => Ok(ScalarValue::Utf8(Some(text(bytes)?))),
        DataType::LargeUtf8 => Ok(ScalarValue::LargeUtf8(Some(text(bytes)?))),
        DataType::Utf8View => Ok(ScalarValue::Utf8View(Some(text(bytes)?))),
        DataType::Binary => Ok(ScalarValue::Binary(Some(take_bytes(bytes, what)?.to_vec()))),
        DataType::LargeBinary => Ok(ScalarValue::LargeBinary(Some(take_bytes(bytes, what)?.to_vec()))),
        DataType::BinaryView => Ok(ScalarValue::BinaryView(Some(take_bytes(bytes, what)?.to_vec()))),
        DataType::List(item) => {
            let items = take_items(item, bytes)?;
            let offsets = OffsetBuffer::from_lengths([items.len()]);
            let list = ListArray::try_new(Arc::clone(item), offsets, items, None).map_err(|_| corrupt)?;
            Ok(ScalarValue::List(Arc::new(list)))
        }
        DataType::LargeList(item) => {
            let items = take_items(item, bytes)?;
            let offsets = OffsetBuffer::from_lengths([items.len()]);
            let list = LargeListArray::try_new(Arc::clone(item), offsets, items, None).map_err(|_| corrupt)?;
            Ok(ScalarValue::LargeList(Arc::new(list)))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| {
                let value = take(field.data_type(), bytes)?;
                value.to_array().map_err(|_| CorruptState { what })
            });
            let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
            let value = StructArray::try_new_with_length(fields.clone(), columns, None, 1).map_err(|_| corrupt)?;
            Ok(ScalarValue::Struct(Arc::new(value)))
        }
        other => {
            let width = other.primitive_width().ok_or_else(|| corrupt.clone())?;
            let buffer = Buffer::from(take_slice(bytes, width, what)?);
            let data = arrow_array::ArrayRef::from(make_array(
                new_empty_array(other)
                    .to_data()
                    .into_builder()
                    .len(1)
                    .buffers(vec![buffer])
                    .build()
                    .map_err(|_| corrupt.clone())?,
            ));
            ScalarValue::try_from_array(&data, 0).map_err(|_| corrupt)
        }
    }
}

/// Values of a type as an array; `None` if one is of another type. (DataFusion's function is large and is compiled for each
/// kind of iterator: this is the only one.)
pub(super) fn to_array(values: Vec<ScalarValue>, data_type: &DataType) -> Option<ArrayRef> {
    if values.is_empty() {
        return Some(new_empty_array(data_type));
    }
    ScalarValue::iter_to_array(values)
        .ok()
        .filter(|array| array.data_type() == data_type)
}

fn put_items(items: &ArrayRef, out: &mut Vec<u8>) -> Result<(), Unsupported> {
    put_u64(out, items.len() as u64);
    for i in 0..items.len() {
        put(&ScalarValue::try_from_array(items, i).map_err(|_| Unsupported)?, out)?;
    }
    Ok(())
}

fn take_items(item: &FieldRef, bytes: &mut &[u8]) -> Result<ArrayRef, CorruptState> {
    let what = "list";
    let count = take_count(bytes, what)?;
    if count == 0 {
        return Ok(new_empty_array(item.data_type()));
    }
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(take(item.data_type(), bytes)?);
    }
    to_array(items, item.data_type()).ok_or(CorruptState { what })
}
