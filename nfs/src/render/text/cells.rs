//! Columns of a batch as writers of their cells.

use arrow::array::types::{
    Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow::array::{Array, ArrayAccessor, ArrayRef, ArrowPrimitiveType, AsArray, OffsetSizeTrait, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{quote, value};

/// For which syntax a cell is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// A field of a CSV record: NULL is nothing at all.
    Csv,
    /// A JSON value.
    Json,
}

/// Writes values that are not NULL.
trait Cells {
    fn write(&self, row: usize, out: &mut Vec<u8>);
}

/// One column, ready to be written cell by cell.
pub(super) struct Column<'a> {
    nulls: Option<NullBuffer>,
    null: &'static [u8],
    cells: Box<dyn Cells + 'a>,
}

impl<'a> Column<'a> {
    /// The writer of the column's cells.
    ///
    /// # Errors
    /// A type that neither has a text here nor can be displayed by Arrow.
    pub(super) fn new(array: &'a ArrayRef, syntax: Syntax) -> Result<Self, ArrowError> {
        Ok(Self {
            nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            null: match syntax {
                Syntax::Csv => b"",
                Syntax::Json => b"null",
            },
            cells: cells(array, syntax)?,
        })
    }

    /// Appends the cell of a row.
    #[inline]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(self.null);
        } else {
            self.cells.write(row, out);
        }
    }
}

fn cells<'a>(array: &'a ArrayRef, syntax: Syntax) -> Result<Box<dyn Cells + 'a>, ArrowError> {
    let text = Quoted(syntax);
    Ok(match array.data_type() {
        DataType::Null => Box::new(Nothing),
        DataType::Boolean => Box::new(Booleans(array.as_boolean().values())),
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Float32 => Box::new(Floats(array.as_primitive::<Float32Type>().values(), text)),
        DataType::Float64 => Box::new(Floats(array.as_primitive::<Float64Type>().values(), text)),
        DataType::Decimal128(_, scale) => Box::new(Decimals(array.as_primitive::<Decimal128Type>().values(), *scale)),
        DataType::Date32 => Box::new(Dates(array.as_primitive::<Date32Type>().values(), text)),
        DataType::Timestamp(unit, zone) => {
            let values = match unit {
                TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
                TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
                TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
            };
            Box::new(Timestamps {
                values,
                unit: *unit,
                instant: zone.is_some(),
                text,
            })
        }
        DataType::Utf8 => Box::new(Strings(array.as_string::<i32>(), text)),
        DataType::LargeUtf8 => Box::new(Strings(array.as_string::<i64>(), text)),
        DataType::Utf8View => Box::new(Strings(array.as_string_view(), text)),
        DataType::Binary => Box::new(Binaries(array.as_binary::<i32>(), text)),
        DataType::LargeBinary => Box::new(Binaries(array.as_binary::<i64>(), text)),
        DataType::BinaryView => Box::new(Binaries(array.as_binary_view(), text)),
        DataType::FixedSizeBinary(_) => Box::new(Binaries(array.as_fixed_size_binary(), text)),
        DataType::Dictionary(_, _) => dictionary(array, syntax)?,
        DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) | DataType::Map(_, _) => {
            let nested = nested(array)?;
            match syntax {
                Syntax::Csv => Box::new(Embedded(nested)),
                Syntax::Json => nested,
            }
        }
        _ => Box::new(Displayed(displayed(array)?, text)),
    })
}

/// How text stands in the syntax.
#[derive(Debug, Clone, Copy)]
struct Quoted(Syntax);

impl Quoted {
    /// Text that may hold anything.
    #[inline]
    fn any(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.0 {
            Syntax::Csv => quote::csv(bytes, out),
            Syntax::Json => quote::json(bytes, out),
        }
    }

    /// Text that holds nothing special, and is not empty.
    #[inline]
    fn plain(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let mark = |out: &mut Vec<u8>| {
            if self.0 == Syntax::Json {
                out.push(b'"');
            }
        };
        mark(out);
        write(out);
        mark(out);
    }
}

struct Nothing;

impl Cells for Nothing {
    fn write(&self, _: usize, _: &mut Vec<u8>) {}
}

struct Booleans<'a>(&'a BooleanBuffer);

impl Cells for Booleans<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let value = row < self.0.len() && self.0.value(row);
        out.extend_from_slice(if value { b"true" } else { b"false" });
    }
}

struct Integers<'a, N>(&'a [N]);

fn integers<'a, T>(array: &'a ArrayRef) -> Box<dyn Cells + 'a>
where
    T: ArrowPrimitiveType,
    T::Native: itoa::Integer,
{
    Box::new(Integers(array.as_primitive::<T>().values()))
}

impl<N: itoa::Integer + Copy> Cells for Integers<'_, N> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(number) = self.0.get(row) {
            out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
        }
    }
}

struct Floats<'a, F>(&'a [F], Quoted);

impl<F: zmij::Float + Copy + Into<f64>> Cells for Floats<'_, F> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let Some(number) = self.0.get(row) else { return };
        let wide: f64 = (*number).into();
        if wide.is_finite() {
            value::float(*number, out);
        } else {
            let word: &[u8] = match wide {
                _ if wide.is_nan() => b"NaN",
                _ if wide > 0.0 => b"inf",
                _ => b"-inf",
            };
            self.1.plain(out, |out| out.extend_from_slice(word));
        }
    }
}

struct Decimals<'a>(&'a [i128], i8);

impl Cells for Decimals<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(number) = self.0.get(row) {
            value::decimal(*number, self.1, out);
        }
    }
}

struct Dates<'a>(&'a [i32], Quoted);

impl Cells for Dates<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(days) = self.0.get(row) {
            self.1.plain(out, |out| value::date(i64::from(*days), out));
        }
    }
}

struct Timestamps<'a> {
    values: &'a [i64],
    unit: TimeUnit,
    instant: bool,
    text: Quoted,
}

impl Cells for Timestamps<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(moment) = self.values.get(row) {
            let write = |out: &mut Vec<u8>| value::timestamp(*moment, self.unit, self.instant, out);
            self.text.plain(out, write);
        }
    }
}

struct Strings<A>(A, Quoted);

impl<'a, A: ArrayAccessor<Item = &'a str>> Cells for Strings<A> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        self.1.any(self.0.value(row).as_bytes(), out);
    }
}

struct Binaries<A>(A, Quoted);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Cells for Binaries<A> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self.0.value(row) {
            [] => self.1.any(b"", out),
            bytes => self.1.plain(out, |out| value::hex(bytes, out)),
        }
    }
}

/// Values of a type that has no text of its own here, as Arrow displays them.
struct Displayed(StringArray, Quoted);

impl Cells for Displayed {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        self.1.any(self.0.value(row).as_bytes(), out);
    }
}

fn displayed(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    (0..array.len())
        .map(|row| formatter.value(row).try_to_string().map(Some))
        .collect()
}

struct Dictionary<'a> {
    keys: Vec<usize>,
    values: Column<'a>,
}

fn dictionary<'a>(array: &'a ArrayRef, syntax: Syntax) -> Result<Box<dyn Cells + 'a>, ArrowError> {
    let dictionary = array.as_any_dictionary();
    if dictionary.values().is_empty() {
        // All keys are NULL.
        return Ok(Box::new(Nothing));
    }
    Ok(Box::new(Dictionary {
        keys: dictionary.normalized_keys(),
        values: Column::new(dictionary.values(), syntax)?,
    }))
}

impl Cells for Dictionary<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if let Some(key) = self.keys.get(row) {
            self.values.write(*key, out);
        }
    }
}

/// A nested value as JSON text in a CSV field.
struct Embedded<'a>(Box<dyn Cells + 'a>);

impl Cells for Embedded<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let start = out.len();
        self.0.write(row, out);
        let json = out.split_off(start);
        quote::csv(&json, out);
    }
}

fn nested<'a>(array: &'a ArrayRef) -> Result<Box<dyn Cells + 'a>, ArrowError> {
    Ok(match array.data_type() {
        DataType::List(_) => list(array.as_list::<i32>().offsets(), array.as_list::<i32>().values())?,
        DataType::LargeList(_) => list(array.as_list::<i64>().offsets(), array.as_list::<i64>().values())?,
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            Box::new(Object::new(fields.iter().map(AsRef::as_ref), columns)?)
        }
        _ => {
            let map = array.as_map();
            let keyed = matches!(
                map.key_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            );
            Box::new(Map {
                offsets: map.offsets(),
                keyed,
                keys: Column::new(map.keys(), Syntax::Json)?,
                values: Column::new(map.values(), Syntax::Json)?,
            })
        }
    })
}

struct List<'a, O: OffsetSizeTrait> {
    offsets: &'a OffsetBuffer<O>,
    items: Column<'a>,
}

fn list<'a, O: OffsetSizeTrait>(
    offsets: &'a OffsetBuffer<O>,
    items: &'a ArrayRef,
) -> Result<Box<dyn Cells + 'a>, ArrowError> {
    Ok(Box::new(List {
        offsets,
        items: Column::new(items, Syntax::Json)?,
    }))
}

/// Where the items of a row are.
fn items<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, row: usize) -> std::ops::Range<usize> {
    match (offsets.get(row), offsets.get(row + 1)) {
        (Some(start), Some(end)) => start.as_usize()..end.as_usize(),
        _ => 0..0,
    }
}

impl<O: OffsetSizeTrait> Cells for List<'_, O> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'[');
        for (at, item) in items(self.offsets, row).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.items.write(item, out);
        }
        out.push(b']');
    }
}

/// A map as an object where its keys are text, else as an array of keys and values.
struct Map<'a> {
    offsets: &'a OffsetBuffer<i32>,
    keyed: bool,
    keys: Column<'a>,
    values: Column<'a>,
}

impl Cells for Map<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        out.push(if self.keyed { b'{' } else { b'[' });
        for (at, item) in items(self.offsets, row).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if self.keyed {
                self.keys.write(item, out);
                out.push(b':');
                self.values.write(item, out);
            } else {
                out.extend_from_slice(b"{\"key\":");
                self.keys.write(item, out);
                out.extend_from_slice(b",\"value\":");
                self.values.write(item, out);
                out.push(b'}');
            }
        }
        out.push(if self.keyed { b'}' } else { b']' });
    }
}

/// A JSON object with a member for each column.
pub(super) struct Object<'a> {
    /// What stands before each value, and the value.
    members: Vec<(Vec<u8>, Column<'a>)>,
}

impl<'a> Object<'a> {
    /// # Errors
    /// As [`Column::new`].
    pub(super) fn new<'f>(
        fields: impl Iterator<Item = &'f Field>,
        columns: &'a [ArrayRef],
    ) -> Result<Self, ArrowError> {
        let mut members = Vec::with_capacity(columns.len());
        for (field, column) in fields.zip(columns) {
            let mut before = vec![if members.is_empty() { b'{' } else { b',' }];
            quote::json(field.name().as_bytes(), &mut before);
            before.push(b':');
            members.push((before, Column::new(column, Syntax::Json)?));
        }
        Ok(Self { members })
    }

    /// Appends the object of a row.
    #[inline]
    pub(super) fn write_row(&self, row: usize, out: &mut Vec<u8>) {
        if self.members.is_empty() {
            out.push(b'{');
        }
        for (before, column) in &self.members {
            out.extend_from_slice(before);
            column.write(row, out);
        }
        out.push(b'}');
    }
}

impl Cells for Object<'_> {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        self.write_row(row, out);
    }
}

/// An array in a type that [`Column`] takes: other encodings of lists and of runs are turned into the plain ones.
///
/// # Errors
/// As Arrow's cast.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match array.data_type() {
        DataType::RunEndEncoded(_, values) => cast(array, values.data_type()),
        DataType::FixedSizeList(item, _) | DataType::ListView(item) => cast(array, &DataType::List(item.clone())),
        DataType::LargeListView(item) => cast(array, &DataType::LargeList(item.clone())),
        _ => Ok(array.clone()),
    }
}
