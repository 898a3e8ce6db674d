//! Names of column types as `Field` spells them.

use arrow::datatypes::{DataType, TimeUnit};

/// The type's name: `Int64`, `Decimal128(10,2)`, `List<String>`, `Struct<x:Int32,y:Int32>`.
pub(crate) fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "String".to_string(),
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "Binary".to_string(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => "Timestamp".to_string(),
        DataType::Decimal128(precision, scale) => format!("Decimal128({precision},{scale})"),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            format!("List<{}>", name(item.data_type()))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let parts: Vec<String> = fields.iter().map(|field| name(field.data_type())).collect();
                format!("Map<{}>", parts.join(","))
            }
            other => format!("Map<{other}>"),
        },
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| format!("{}:{}", field.name(), name(field.data_type())));
            format!("Struct<{}>", fields.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
