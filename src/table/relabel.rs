//! The same values under other names.

use arrow::array::{ArrayRef, make_array};
use arrow::datatypes::{DataType, FieldRef};

use crate::error::Result;

/// Gives an array's nested fields the names of `data_type`, which is of the same shape. No value is copied.
///
/// # Errors
/// Where the shapes differ.
pub(crate) fn relabel(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    fn retype(data: arrow::array::ArrayData, data_type: &DataType) -> Result<arrow::array::ArrayData> {
        let children: Vec<&FieldRef> = match data_type {
            DataType::Struct(fields) => fields.iter().collect(),
            DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => vec![item],
            _ => Vec::new(),
        };
        let child_data = data
            .child_data()
            .iter()
            .zip(&children)
            .map(|(child, field)| retype(child.clone(), field.data_type()))
            .collect::<Result<Vec<_>>>()?;
        let builder = data.into_builder().data_type(data_type.clone());
        let builder = if children.is_empty() {
            builder
        } else {
            builder.child_data(child_data)
        };
        Ok(builder.build()?)
    }
    if array.data_type() == data_type {
        return Ok(array.clone());
    }
    Ok(make_array(retype(array.to_data(), data_type)?))
}
