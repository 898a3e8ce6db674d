//! The files that a scan chooses from, with what the log says of them, a column each.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt64Array};
use arrow::compute::sum;
use arrow::datatypes::{DataType, UInt64Type};

use super::Selected;
use super::bounds::{self, Bounds};
use super::layout::Layout;
use crate::error::{Error, Result};
use crate::log::{DataFile, Files, MakeColumns};
use crate::table::{Definition, partition_column};

/// Files of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'a> {
    definition: &'a Definition,
    layout: &'a Layout,
    list: List<'a>,
}

#[derive(Debug, Clone, Copy)]
enum List<'a> {
    /// All of a version, whose columns are kept for the next scan.
    All(&'a Files),
    Some(&'a [Selected]),
}

impl<'a> Candidates<'a> {
    /// All files of a version.
    pub(super) fn all(definition: &'a Definition, layout: &'a Layout, files: &'a Files) -> Self {
        let list = List::All(files);
        Self {
            definition,
            layout,
            list,
        }
    }

    /// These files.
    pub(super) fn of(definition: &'a Definition, layout: &'a Layout, files: &'a [Selected]) -> Self {
        let list = List::Some(files);
        Self {
            definition,
            layout,
            list,
        }
    }

    pub(super) fn layout(&self) -> &'a Layout {
        self.layout
    }

    pub(super) fn len(&self) -> usize {
        match self.list {
            List::All(files) => files.len(),
            List::Some(files) => files.len(),
        }
    }

    /// The bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        match self.list {
            List::All(files) => files.bytes(),
            List::Some(files) => files.iter().map(|selected| selected.file.size()).sum(),
        }
    }

    /// The files, those of a mask where there is one.
    pub(super) fn select(&self, mask: Option<&[bool]>) -> Vec<Selected> {
        let wanted = |place: usize| mask.is_none_or(|mask| mask.get(place).copied().unwrap_or(true));
        match self.list {
            List::All(files) => {
                let wanted = files.iter().enumerate().filter(|(place, _)| wanted(*place));
                wanted
                    .map(|(_, file)| Selected {
                        file: file.clone(),
                        hidden: None,
                    })
                    .collect()
            }
            List::Some(files) => {
                let wanted = files.iter().enumerate().filter(|(place, _)| wanted(*place));
                wanted.map(|(_, selected)| selected.clone()).collect()
            }
        }
    }

    fn columns(&self, names: &[String], make: &MakeColumns<'_>) -> Result<Vec<ArrayRef>> {
        match self.list {
            List::All(files) => files.columns(names, make),
            List::Some(files) => {
                let files: Vec<Arc<DataFile>> = files.iter().map(|selected| selected.file.clone()).collect();
                make(&(0..names.len()).collect::<Vec<_>>(), &files)
            }
        }
    }

    fn column(&self, name: String, make: impl Fn(&[Arc<DataFile>]) -> Result<ArrayRef>) -> Result<ArrayRef> {
        let mut columns = self.columns(&[name], &|_, files| Ok(vec![make(files)?]))?;
        columns
            .pop()
            .ok_or_else(|| Error::internal("a column of the log is missing"))
    }

    /// The paths that the log has.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn paths(&self) -> Result<ArrayRef> {
        self.column("path".to_string(), |files| {
            let paths = files.iter().map(|file| &file.add.path);
            Ok(Arc::new(StringArray::from_iter_values(paths)))
        })
    }

    /// The values of a partition column.
    ///
    /// # Errors
    /// Where a value is not of the column's type.
    pub(super) fn partition(&self, name: &str, data_type: &DataType) -> Result<ArrayRef> {
        self.column(format!("partition {data_type} {name}"), |files| {
            partition_column(self.definition, name, data_type, files.iter().map(|file| &file.add))
        })
    }

    /// The partition columns, in their order.
    ///
    /// # Errors
    /// As [`Candidates::partition`].
    pub(super) fn partitions(&self) -> Result<Vec<ArrayRef>> {
        let names = self.layout.partition_columns().iter();
        names
            .map(|name| {
                let field = self.layout.schema().field_with_name(name)?;
                self.partition(name, field.data_type())
            })
            .collect()
    }

    /// The rows of each file, deleted ones included.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn records(&self) -> Result<UInt64Array> {
        let records = self.column("records".to_string(), |files| {
            let records = files.iter().map(|file| file.records());
            Ok(Arc::new(records.collect::<UInt64Array>()))
        })?;
        Ok(records.as_primitive::<UInt64Type>().clone())
    }

    /// The rows that are there to be read; none where the log does not say for each file.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn live_rows(&self) -> Result<Option<u64>> {
        if let List::Some(files) = self.list {
            let live = |selected: &Selected| match &selected.hidden {
                Some(hidden) => Some(selected.file.records()?.saturating_sub(hidden.len())),
                None => selected.file.live_records(),
            };
            return Ok(files.iter().map(live).sum());
        }
        let live = self.column("live".to_string(), |files| {
            let live = files.iter().map(|file| file.live_records());
            Ok(Arc::new(live.collect::<UInt64Array>()))
        })?;
        let live = live.as_primitive::<UInt64Type>();
        Ok((live.null_count() == 0).then(|| sum(live).unwrap_or(0)))
    }

    /// The bounds of columns that data files have, by name.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn bounds<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<HashMap<String, Bounds>> {
        let mut known = Vec::new();
        let mut columns: Vec<(String, DataType)> = Vec::new();
        for name in names {
            if let Ok(field) = self.layout.file_schema().field_with_name(name) {
                let physical = self.definition.physical_name(name);
                columns.push((physical.to_string(), field.data_type().clone()));
                known.push(name.to_string());
            }
        }
        let names: Vec<String> = columns
            .iter()
            .map(|(name, data_type)| format!("bounds {data_type} {name}"))
            .collect();
        let packed = self.columns(&names, &|places, files| {
            let wanted: Vec<_> = places.iter().filter_map(|place| columns.get(*place).cloned()).collect();
            bounds::read(&wanted, files)
        })?;
        let bounds = packed.iter().filter_map(Bounds::of);
        Ok(known.into_iter().zip(bounds).collect())
    }
}
