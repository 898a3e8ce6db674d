//! The rows of a table that a statement takes away, by file.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use roaring::RoaringTreemap;

use crate::error::{Error, Result};

/// Row numbers by file, as the log names files.
#[derive(Debug, Default, Clone)]
pub(super) struct Touched(pub(super) BTreeMap<String, RoaringTreemap>);

/// A row that was named twice: its file and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Twice {
    pub(super) file: String,
    pub(super) row: u64,
}

impl Touched {
    /// Takes note of the rows whose places are in the first two columns; rows without a place are new ones. `wanted` says
    /// which rows of the batch count. Returns the rows that had been named before, by their place in the batch.
    ///
    /// # Errors
    /// Where the columns are not places.
    pub(super) fn note(&mut self, batch: &RecordBatch, wanted: impl Fn(usize) -> bool) -> Result<Vec<(usize, Twice)>> {
        let (files, rows) = places(batch)?;
        let (keys, values) = (files.keys(), files.values().as_string_opt::<i32>());
        let values = values.ok_or_else(|| Error::internal("file names are no text"))?;
        let mut twice = Vec::new();
        // Rows of one file come together: the file is looked up once a run.
        let mut start = 0;
        while start < batch.num_rows() {
            if keys.is_null(start) {
                start += 1;
                continue;
            }
            let key = keys.value(start);
            let mut end = start + 1;
            while end < batch.num_rows() && keys.is_valid(end) && keys.value(end) == key {
                end += 1;
            }
            let place = usize::try_from(key).map_err(|_| Error::internal("a negative key"))?;
            let name = name_at(values, place)?;
            if !self.0.contains_key(name) {
                self.0.insert(name.to_string(), RoaringTreemap::new());
            }
            if let Some(bitmap) = self.0.get_mut(name) {
                for place in (start..end).filter(|place| wanted(*place)) {
                    let row = u64::try_from(rows.value(place)).map_err(|_| Error::internal("a negative row number"))?;
                    if !bitmap.insert(row) {
                        let file = name.to_string();
                        twice.push((place, Twice { file, row }));
                    }
                }
            }
            start = end;
        }
        Ok(twice)
    }

    /// Adds another's rows; a row that both have is returned.
    pub(super) fn merge(&mut self, other: Self) -> Option<Twice> {
        let mut twice = None;
        for (file, rows) in other.0 {
            let own = self.0.entry(file.clone()).or_default();
            if twice.is_none()
                && let Some(row) = (&*own & &rows).min()
            {
                twice = Some(Twice { file, row });
            }
            *own |= rows;
        }
        twice
    }
}

fn places(batch: &RecordBatch) -> Result<(&DictionaryArray<Int32Type>, &Int64Array)> {
    let files = batch
        .columns()
        .first()
        .and_then(|column| column.as_dictionary_opt::<Int32Type>());
    let rows = batch
        .columns()
        .get(1)
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    files
        .zip(rows)
        .ok_or_else(|| Error::internal("the rows to change do not say where they lie"))
}

fn name_at(values: &StringArray, place: usize) -> Result<&str> {
    if place < values.len() && values.is_valid(place) {
        Ok(values.value(place))
    } else {
        Err(Error::internal("a row without a file name"))
    }
}
