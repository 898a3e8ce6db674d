//! Whether rows of an earlier schema can be shown in a later one.

use delta_kernel::table_features::ColumnMappingMode;
use deltalake_core::kernel::{DataType, PrimitiveType, StructField, StructType};

use crate::error::{Error, Result};
use crate::table::Definition;

/// Passes a definition whose rows the columns of a later one can hold: columns may have come and types may have become
/// wider in between, and nothing else (as in Spark).
///
/// # Errors
/// [`crate::ErrorKind::Schema`] with the version and the first column that does not fit.
pub(super) fn check(table: &str, version: u64, earlier: &Definition, later: &Definition) -> Result<()> {
    let reason = if earlier.partition_columns() != later.partition_columns() {
        Some("the partition columns were others".to_string())
    } else if earlier.mapping() != later.mapping() && later.mapping() == ColumnMappingMode::None {
        Some("columns were mapped in another way".to_string())
    } else {
        unreadable(earlier.schema(), later.schema(), later.mapping(), "")
    };
    match reason {
        None => Ok(()),
        Some(reason) => Err(Error::schema(format!(
            "the changes of table {table} at version {version} cannot be shown in the schema of the last version: {reason}; \
             read the versions before and after the change of the schema one by one: table_changes('…', from, to)"
        ))),
    }
}

/// What does not fit, if anything.
fn unreadable(earlier: &StructType, later: &StructType, mode: ColumnMappingMode, path: &str) -> Option<String> {
    earlier.fields().find_map(|field| {
        let name = format!("{path}{}", field.name());
        match later.field(field.name()) {
            None => Some(format!("column {name} was dropped or renamed since")),
            Some(same) => {
                // A table whose columns are mapped later on keeps their names in its files.
                let moved = same.physical_name(mode) != field.physical_name(mode);
                if moved {
                    Some(format!("column {name} is another one since"))
                } else {
                    mismatch(field, same, mode, &name)
                }
            }
        }
    })
}

fn mismatch(earlier: &StructField, later: &StructField, mode: ColumnMappingMode, name: &str) -> Option<String> {
    if earlier.is_nullable() && !later.is_nullable() {
        return Some(format!("column {name} became NOT NULL since"));
    }
    types_differ(earlier.data_type(), later.data_type(), mode, name)
}

fn types_differ(earlier: &DataType, later: &DataType, mode: ColumnMappingMode, name: &str) -> Option<String> {
    match (earlier, later) {
        (DataType::Struct(earlier), DataType::Struct(later)) => unreadable(earlier, later, mode, &format!("{name}.")),
        (DataType::Array(earlier), DataType::Array(later)) => types_differ(
            earlier.element_type(),
            later.element_type(),
            mode,
            &format!("{name}.element"),
        ),
        (DataType::Map(earlier), DataType::Map(later)) => {
            types_differ(earlier.key_type(), later.key_type(), mode, &format!("{name}.key"))
                .or_else(|| types_differ(earlier.value_type(), later.value_type(), mode, &format!("{name}.value")))
        }
        (DataType::Primitive(earlier), DataType::Primitive(later)) if widens(earlier, later) => None,
        (earlier, later) if earlier == later => None,
        _ => Some(format!(
            "column {name} was of type {earlier}, and is of type {later} since"
        )),
    }
}

/// Whether a type holds all values of another (Delta protocol, "Type Widening").
fn widens(from: &PrimitiveType, to: &PrimitiveType) -> bool {
    use PrimitiveType::{Byte, Date, Decimal, Double, Float, Integer, Long, Short, TimestampNtz};
    let rank = |data_type: &PrimitiveType| match data_type {
        Byte => Some(0),
        Short => Some(1),
        Integer => Some(2),
        Long => Some(3),
        _ => None,
    };
    match (from, to) {
        (from, to) if from == to => true,
        (Float | Byte | Short | Integer, Double) | (Date, TimestampNtz) => true,
        (Decimal(from), Decimal(to)) => {
            to.scale() >= from.scale() && to.precision() - to.scale() >= from.precision() - from.scale()
        }
        (Byte | Short | Integer, Decimal(to)) => to.precision() - to.scale() >= 10,
        (Long, Decimal(to)) => to.precision() - to.scale() >= 20,
        (from, to) => rank(from).zip(rank(to)).is_some_and(|(from, to)| from <= to),
    }
}
