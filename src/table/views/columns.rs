//! Columns of maps and lists.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, MapBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Fields};

use crate::error::Result;

/// The type of [`map_column`].
pub(super) fn map_type() -> DataType {
    let entries = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Utf8, true),
    ]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
}

/// A column of `MAP<STRING, STRING>`; a row without a map is NULL.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn map_column<K: AsRef<str>, V: AsRef<str>>(
    rows: impl IntoIterator<Item = Option<Vec<(K, Option<V>)>>>,
) -> Result<ArrayRef> {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for (key, value) in row.iter().flatten() {
            builder.keys().append_value(key);
            builder.values().append_option(value.as_ref());
        }
        builder.append(row.is_some())?;
    }
    Ok(Arc::new(builder.finish()))
}

/// The type of [`list_column`].
pub(super) fn list_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

/// A column of `ARRAY<STRING>`.
pub(super) fn list_column<T: AsRef<str>>(rows: impl IntoIterator<Item = Vec<T>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in rows {
        for value in &row {
            builder.values().append_value(value);
        }
        builder.append(true);
    }
    Arc::new(builder.finish())
}
