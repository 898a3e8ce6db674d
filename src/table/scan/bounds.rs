//! What the log says about the values in files (Delta protocol, "Per-file Statistics"), a column at a time.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, UInt64Array, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit, TimestampMicrosecondType};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::Result;
use crate::log::DataFile;

/// The digits that a number in JSON is sure to keep.
pub(super) const SURE_DIGITS: u8 = 15;
/// From how many files on statistics are parsed by several threads.
const MANY: usize = 8192;

/// A side of the range that a column's values are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Lower,
    Upper,
}

/// The range of a column's values, and its NULLs, in each of some files.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// The least values, or what lies below them.
    pub(super) lower: ArrayRef,
    /// The greatest values, or what lies above them.
    pub(super) upper: ArrayRef,
    pub(super) nulls: UInt64Array,
}

impl Bounds {
    /// As one column, which can be kept, filtered and joined like any.
    fn packed(self) -> ArrayRef {
        let field = |name: &str, column: &dyn Array| Field::new(name, column.data_type().clone(), true);
        let fields = Fields::from(vec![
            field("lower", &self.lower),
            field("upper", &self.upper),
            field("nulls", &self.nulls),
        ]);
        let columns = vec![self.lower, self.upper, Arc::new(self.nulls) as ArrayRef];
        Arc::new(StructArray::new(fields, columns, None))
    }

    /// The bounds that stand in a column of [`read`].
    pub(super) fn of(packed: &ArrayRef) -> Option<Self> {
        match packed.as_struct_opt()?.columns() {
            [lower, upper, nulls] => Some(Self {
                lower: lower.clone(),
                upper: upper.clone(),
                nulls: nulls.as_primitive_opt()?.clone(),
            }),
            _ => None,
        }
    }
}

/// The bounds of columns, by their names in data files and the types that scans give them, in each of the files. They come
/// as columns; see [`Bounds::of`].
///
/// # Errors
/// None that a caller could cause: what cannot be read is unknown.
pub(super) fn read(columns: &[(String, DataType)], files: &[Arc<DataFile>]) -> Result<Vec<ArrayRef>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if files.len() < MANY || threads == 1 {
        return Ok(Parsed::of(columns, files).arrays(columns));
    }
    let parts: Vec<Parsed> = std::thread::scope(|scope| {
        let parts: Vec<_> = files
            .chunks(files.len().div_ceil(threads))
            .map(|files| scope.spawn(move || Parsed::of(columns, files)))
            .collect();
        parts.into_iter().filter_map(|part| part.join().ok()).collect()
    });
    let mut all = Parsed::new(columns.len(), files.len());
    parts.into_iter().for_each(|part| all.extend(part));
    // A thread that stopped leaves the others' values at wrong places.
    if all.files != files.len() {
        all = Parsed::of(columns, files);
    }
    Ok(all.arrays(columns))
}

/// Statistics of a column as they stand in the log.
#[derive(Debug, Default)]
struct Texts {
    lower: Vec<Option<Value>>,
    upper: Vec<Option<Value>>,
    nulls: Vec<Option<u64>>,
}

/// Statistics of some columns of some files.
#[derive(Debug)]
struct Parsed {
    files: usize,
    columns: Vec<Texts>,
}

impl Parsed {
    fn new(columns: usize, files: usize) -> Self {
        let texts = || Texts {
            lower: Vec::with_capacity(files),
            upper: Vec::with_capacity(files),
            nulls: Vec::with_capacity(files),
        };
        Self {
            files: 0,
            columns: (0..columns).map(|_| texts()).collect(),
        }
    }

    fn of(columns: &[(String, DataType)], files: &[Arc<DataFile>]) -> Self {
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let mut parsed = Self::new(columns.len(), files.len());
        let mut found = Found::new(names.len());
        for file in files {
            found.clear();
            if let Some(text) = &file.add.stats {
                let mut text = serde_json::Deserializer::from_str(text);
                let read = Statistics {
                    names: &names,
                    found: &mut found,
                }
                .deserialize(&mut text);
                if read.and_then(|()| text.end()).is_err() {
                    found.clear();
                }
            }
            parsed.files += 1;
            let values = found.lower.iter_mut().zip(&mut found.upper).zip(&mut found.nulls);
            for (column, ((lower, upper), nulls)) in parsed.columns.iter_mut().zip(values) {
                column.lower.push(lower.take());
                column.upper.push(upper.take());
                column.nulls.push(nulls.take().and_then(|nulls| nulls.as_u64()));
            }
        }
        parsed
    }

    fn extend(&mut self, other: Self) {
        self.files += other.files;
        for (column, other) in self.columns.iter_mut().zip(other.columns) {
            column.lower.extend(other.lower);
            column.upper.extend(other.upper);
            column.nulls.extend(other.nulls);
        }
    }

    fn arrays(self, columns: &[(String, DataType)]) -> Vec<ArrayRef> {
        let columns = self.columns.into_iter().zip(columns);
        columns
            .map(|(texts, (_, data_type))| {
                let bounds = Bounds {
                    lower: values(texts.lower, data_type, Bound::Lower),
                    upper: values(texts.upper, data_type, Bound::Upper),
                    nulls: texts.nulls.into_iter().collect(),
                };
                bounds.packed()
            })
            .collect()
    }
}

/// The wanted values of one file.
struct Found {
    lower: Vec<Option<Value>>,
    upper: Vec<Option<Value>>,
    nulls: Vec<Option<Value>>,
}

impl Found {
    fn new(columns: usize) -> Self {
        let none = || vec![None; columns];
        Self {
            lower: none(),
            upper: none(),
            nulls: none(),
        }
    }

    fn clear(&mut self) {
        for values in [&mut self.lower, &mut self.upper, &mut self.nulls] {
            values.fill(None);
        }
    }
}

/// Reads statistics, and passes over what is not wanted without making values of it.
struct Statistics<'a> {
    names: &'a [&'a str],
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Statistics<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Statistics<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the statistics of a file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(part) = map.next_key_seed(OneOf(&["minValues", "maxValues", "nullCount"]))? {
            let into = match part {
                Some(0) => &mut self.found.lower,
                Some(1) => &mut self.found.upper,
                Some(_) => &mut self.found.nulls,
                None => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Columns {
                names: self.names,
                into,
            })?;
        }
        Ok(())
    }
}

/// Reads the values of wanted columns.
struct Columns<'a> {
    names: &'a [&'a str],
    into: &'a mut [Option<Value>],
}

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("values by column")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(OneOf(self.names))? {
            match place.and_then(|place| self.into.get_mut(place)) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a name, and says which of these it is.
struct OneOf<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for OneOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for OneOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

/// Values of the log in the type of their column; NULL where there is none, or it says nothing sure.
fn values(values: Vec<Option<Value>>, data_type: &DataType, side: Bound) -> ArrayRef {
    let unknown = values.len();
    let numbers = || {
        values
            .iter()
            .map(|value| value.as_ref().filter(|value| value.is_number()))
    };
    let texts = || values.iter().map(|value| value.as_ref().and_then(Value::as_str));
    let made: Option<ArrayRef> = match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let numbers = numbers().map(|value| value.and_then(Value::as_i64));
            cast_safely(&numbers.collect::<Int64Array>(), data_type)
        }
        DataType::Float32 | DataType::Float64 => {
            // Zero has two signs, and statistics may have lost which.
            let signed = |number: f64| match (number, side) {
                (0.0, Bound::Lower) => -0.0,
                (0.0, Bound::Upper) => 0.0,
                (number, _) => number,
            };
            let numbers = numbers().map(|value| value.and_then(Value::as_f64).map(signed));
            cast_safely(&numbers.collect::<Float64Array>(), data_type)
        }
        DataType::Decimal128(precision, scale) if *precision > SURE_DIGITS => {
            // delta-rs writes what is beyond 64 bits as the outermost numbers of 64 bits.
            let is_cut = |value: &Value| matches!(value.as_i64(), Some(i64::MIN | i64::MAX));
            let beyond =
                |value: &Value| (!is_cut(value)).then(|| decimal_beyond(value.as_f64()?, *precision, *scale, side))?;
            let numbers = numbers().map(|value| value.and_then(beyond));
            let numbers = numbers
                .collect::<Decimal128Array>()
                .with_precision_and_scale(*precision, *scale);
            numbers.ok().map(|numbers| Arc::new(numbers) as ArrayRef)
        }
        DataType::Decimal128(..) => {
            let numbers = numbers().map(|value| value.map(ToString::to_string));
            cast_safely(&numbers.collect::<StringArray>(), data_type)
        }
        DataType::Utf8View => Some(Arc::new(texts().collect::<StringViewArray>())),
        DataType::Date32 => cast_safely(&texts().collect::<StringArray>(), data_type),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let parsed = cast_safely(&texts().collect::<StringArray>(), data_type);
            match (parsed, side) {
                // Writers cut instants to the millisecond.
                (Some(parsed), Bound::Upper) => {
                    let micros = parsed.as_primitive_opt::<TimestampMicrosecondType>();
                    let later = |micros: Option<i64>| micros.and_then(|micros| micros.checked_add(999));
                    micros.map(|micros| {
                        let later: TimestampMicrosecondArray = micros.iter().map(later).collect();
                        Arc::new(later.with_timezone_opt(zone.clone())) as ArrayRef
                    })
                }
                (parsed, _) => parsed,
            }
        }
        _ => None,
    };
    made.unwrap_or_else(|| new_null_array(data_type, unknown))
}

fn cast_safely(values: &dyn Array, data_type: &DataType) -> Option<ArrayRef> {
    let options = CastOptions {
        safe: true,
        ..Default::default()
    };
    cast_with_options(values, data_type, &options).ok()
}

/// A decimal that is surely on the other side of a number that may have lost digits on its way through JSON.
fn decimal_beyond(number: f64, precision: u8, scale: i8, side: Bound) -> Option<i128> {
    let units = number * 10_f64.powi(i32::from(scale));
    // Twice what the number and the product can be off by, and one unit for the fraction that is cut.
    let margin = units.abs() * f64::EPSILON * 2.0 + 1.0;
    let beyond = match side {
        Bound::Lower => units.floor() - margin.ceil(),
        Bound::Upper => units.ceil() + margin.ceil(),
    };
    // A float that is out of range becomes the nearest number that is in it.
    let beyond = beyond as i128;
    let most = 10_i128.checked_pow(u32::from(precision))? - 1;
    Some(beyond.clamp(-most, most))
}
