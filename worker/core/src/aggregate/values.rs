//! The few forms in which functions hold values of any type, and the way from a type's arrays to its form and back.
//!
//! `min`, `max`, `first`, `last` and `distinct` are written once for each form, not for each type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, make_array, new_null_array};
use arrow_schema::DataType;
use datafusion_common::ScalarValue;

use super::CorruptState;
use super::bytes::{put_i128, take_i128, take_slice};
use super::rows::clean;
use super::scalar_codec;

/// How values are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Signed integers, dates, times, timestamps and durations, as `Int64`.
    Int64,
    /// Unsigned integers, and booleans as 0 and 1, as `UInt64`.
    UInt64,
    /// Floating-point numbers, as `Float64`; finite.
    Float64,
    /// Decimals, as `Decimal128`.
    Decimal,
    /// Texts and bytes, as `Binary`.
    Bytes,
    /// Values of other types, as `Binary` that [`scalar_codec`] wrote. They have no order.
    Encoded,
}

impl Form {
    /// The form for a type.
    pub(super) fn of(data_type: &DataType) -> Self {
        use DataType::*;
        match data_type {
            Int8 | Int16 | Int32 | Int64 | Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) | Duration(_) => {
                Self::Int64
            }
            Boolean | UInt8 | UInt16 | UInt32 | UInt64 => Self::UInt64,
            Float16 | Float32 | Float64 => Self::Float64,
            Decimal128(..) => Self::Decimal,
            Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => Self::Bytes,
            Dictionary(_, value) => Self::of(value),
            _ => Self::Encoded,
        }
    }

    /// Type of the arrays that hold values in this form.
    fn data_type(self) -> DataType {
        match self {
            Self::Int64 => DataType::Int64,
            Self::UInt64 => DataType::UInt64,
            Self::Float64 => DataType::Float64,
            Self::Decimal => DataType::Decimal128(38, 0),
            Self::Bytes | Self::Encoded => DataType::Binary,
        }
    }
}

/// The values of an array in their form. Doubles come out as [`clean`] leaves them. A value that does not fit its form
/// is NULL; for the types of [`Form::of`] there is none.
pub(super) fn lower(array: &ArrayRef, form: Form) -> ArrayRef {
    let target = form.data_type();
    match (form, array.data_type()) {
        (Form::Int64 | Form::UInt64, held) if *held == target => Arc::clone(array),
        (Form::Float64, DataType::Float64) => clean(array),
        (Form::Float64, _) => clean(&cast(array, &target)),
        (Form::Decimal, DataType::Decimal128(..)) => Arc::clone(array),
        (Form::Bytes, DataType::Utf8) => Arc::new(BinaryArray::from(array.as_string::<i32>().clone())),
        (Form::Encoded, _) => encode(array),
        (_, DataType::Date32 | DataType::Time32(_)) => cast(&retype(array, DataType::Int32), &target),
        (_, other) if other.primitive_width() == Some(8) && form == Form::Int64 => retype(array, target),
        _ => cast(array, &target),
    }
}

/// Values in their form as an array of `data_type`.
pub(super) fn raise(array: ArrayRef, data_type: &DataType) -> ArrayRef {
    match (array.data_type(), data_type) {
        (held, wanted) if held == wanted => array,
        (DataType::Int64, DataType::Date32 | DataType::Time32(_)) => {
            retype(&cast(&array, &DataType::Int32), data_type.clone())
        }
        (DataType::Int64, wanted) if wanted.primitive_width() == Some(8) && !wanted.is_numeric() => {
            retype(&array, wanted.clone())
        }
        // Decimals differ in precision and scale, which the values in hand are already of.
        (DataType::Decimal128(..), DataType::Decimal128(..)) => retype(&array, data_type.clone()),
        (DataType::Binary, wanted) if Form::of(wanted) == Form::Encoded => decode(array.as_binary(), wanted),
        _ => cast(&array, data_type),
    }
}

/// Whether bytes from a saved state can be a value of `data_type`.
pub(super) fn check_bytes(bytes: &[u8], data_type: &DataType) -> Result<(), CorruptState> {
    let what = "value";
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => std::str::from_utf8(bytes)
            .map(|_| ())
            .map_err(|_| CorruptState { what }),
        DataType::Dictionary(_, value) => check_bytes(bytes, value),
        _ if Form::of(data_type) == Form::Encoded => {
            let rest = &mut { bytes };
            scalar_codec::take(data_type, rest)?;
            if rest.is_empty() {
                Ok(())
            } else {
                Err(CorruptState { what })
            }
        }
        _ => Ok(()),
    }
}

/// Numbers that columns hold.
pub(super) trait Number: Copy + PartialOrd + Send + 'static {
    /// Not above any value.
    const LOWEST: Self;
    /// Not below any value.
    const HIGHEST: Self;

    /// Appends the number.
    fn put(self, out: &mut Vec<u8>);

    /// Takes what [`Number::put`] wrote.
    fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState>;
}

macro_rules! integer {
    ($($ty:ty),*) => {$(
        impl Number for $ty {
            const LOWEST: Self = <$ty>::MIN;
            const HIGHEST: Self = <$ty>::MAX;

            fn put(self, out: &mut Vec<u8>) {
                put_i128(out, self as i128);
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
                let what = "number";
                <$ty>::try_from(take_i128(bytes, what)?).map_err(|_| CorruptState { what })
            }
        }
    )*};
}

integer!(i64, u64, i128);

impl Number for f64 {
    const LOWEST: Self = f64::NEG_INFINITY;
    const HIGHEST: Self = f64::INFINITY;

    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bits().to_le_bytes());
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, CorruptState> {
        let what = "number";
        let mut word = [0; 8];
        word.copy_from_slice(take_slice(bytes, 8, what)?);
        let value = f64::from_le_bytes(word);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(CorruptState { what })
        }
    }
}

fn cast(array: &ArrayRef, data_type: &DataType) -> ArrayRef {
    arrow_cast::cast(array, data_type).unwrap_or_else(|_| new_null_array(data_type, array.len()))
}

/// The same bits under another type of the same width.
fn retype(array: &ArrayRef, data_type: DataType) -> ArrayRef {
    let retyped = array.to_data().into_builder().data_type(data_type.clone()).build();
    retyped.map_or_else(|_| new_null_array(&data_type, array.len()), make_array)
}

fn encode(array: &ArrayRef) -> ArrayRef {
    let encoded = (0..array.len()).map(|row| {
        let value = ScalarValue::try_from_array(array, row)
            .ok()
            .filter(|value| !value.is_null())?;
        let mut out = Vec::new();
        scalar_codec::put(&value, &mut out).ok()?;
        Some(out)
    });
    Arc::new(encoded.collect::<BinaryArray>())
}

fn decode(array: &BinaryArray, data_type: &DataType) -> ArrayRef {
    let null = || ScalarValue::try_new_null(data_type).unwrap_or(ScalarValue::Null);
    let value = |bytes: &[u8]| scalar_codec::take(data_type, &mut { bytes }).unwrap_or_else(|_| null());
    let values = array.iter().map(|bytes| bytes.map_or_else(null, value)).collect();
    scalar_codec::to_array(values, data_type).unwrap_or_else(|| new_null_array(data_type, array.len()))
}
