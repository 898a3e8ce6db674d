//! NaN in new rows. Parquet leaves it out of the bounds of a column, and readers that order it (behind all numbers) would pass
//! over its rows: the log says no bounds of such a column. Nor of one with whole decimals beyond 64 bits, which the statistics
//! would have as the outermost numbers of 64 bits.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Float32Type, Float64Type};
use arrow::record_batch::RecordBatch;
use deltalake_core::kernel::Add;
use parking_lot::Mutex;
use serde_json::{Map, Value};

/// The columns in which such a value was seen, by their path from the top.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<BTreeSet<Vec<String>>>);

impl Seen {
    /// Takes note of the columns of a batch that have one.
    pub(super) fn note(&self, batch: &RecordBatch) {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            self.look(column.as_ref(), &mut vec![field.name().clone()]);
        }
    }

    fn look(&self, column: &dyn Array, path: &mut Vec<String>) {
        let found = match column.data_type() {
            DataType::Float32 => has::<Float32Type>(column, |value| value.is_nan()),
            DataType::Float64 => has::<Float64Type>(column, |value| value.is_nan()),
            DataType::Decimal128(_, 0) => has::<Decimal128Type>(column, |value| i64::try_from(value).is_err()),
            DataType::Struct(fields) => {
                if let Some(parent) = column.as_struct_opt() {
                    for (field, child) in fields.iter().zip(parent.columns()) {
                        path.push(field.name().clone());
                        self.look(child.as_ref(), path);
                        path.pop();
                    }
                }
                false
            }
            _ => false,
        };
        if found {
            self.0.lock().insert(path.clone());
        }
    }

    /// The files without the bounds of these columns.
    pub(super) fn without_bounds(&self, mut adds: Vec<Add>) -> Vec<Add> {
        let seen = self.0.lock();
        if seen.is_empty() {
            return adds;
        }
        for add in &mut adds {
            let parsed = add
                .stats
                .as_deref()
                .and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
            let Some(mut statistics) = parsed else { continue };
            for side in ["minValues", "maxValues"] {
                for path in seen.iter() {
                    remove(statistics.get_mut(side), path);
                }
            }
            add.stats = Some(Value::Object(statistics).to_string());
        }
        adds
    }
}

fn has<T: ArrowPrimitiveType>(column: &dyn Array, hides: impl Fn(T::Native) -> bool) -> bool {
    let column = column.as_primitive_opt::<T>();
    column.is_some_and(|column| column.values().iter().any(|value| hides(*value)))
}

fn remove(values: Option<&mut Value>, path: &[String]) {
    let (Some(Value::Object(values)), Some((first, rest))) = (values, path.split_first()) else {
        return;
    };
    if rest.is_empty() {
        values.remove(first);
    } else {
        remove(values.get_mut(first), rest);
    }
}
