//! Files of change data (Delta protocol, "Add CDC File").

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;
use deltalake_core::kernel::{Action, Add, AddCDCFile};
use deltalake_core::logstore::ObjectStoreRef;
use object_store::prefix::PrefixStore;

use super::write::{FileWriter, conform};
use crate::error::Result;
use crate::table::Definition;

/// The folder of change data, below the table's.
const FOLDER: &str = "_change_data";
/// The column that says what happened to a row.
const TYPE: &str = "_change_type";

/// What happened to a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Insert,
    UpdatePreimage,
    UpdatePostimage,
    Delete,
}

/// Writes changes beside the table's data.
pub(super) struct ChangeData {
    writer: FileWriter,
}

/// Whether changes of a table are kept.
pub(super) fn keeps_changes(definition: &Definition) -> bool {
    definition.is_on("delta.enableChangeDataFeed")
}

impl ChangeData {
    /// None where the table keeps no change data.
    ///
    /// # Errors
    /// Where the schema cannot be written.
    pub(super) fn of(definition: &Definition, store: ObjectStoreRef) -> Result<Option<Self>> {
        if !keeps_changes(definition) {
            return Ok(None);
        }
        let definition = definition.with_columns(&[(TYPE, "string", false)])?;
        let folder = Arc::new(PrefixStore::new(store, FOLDER));
        Ok(Some(Self {
            writer: FileWriter::new(&definition, folder)?,
        }))
    }

    pub(super) fn writer(&self) -> &FileWriter {
        &self.writer
    }

    /// Rows of the table as rows of change data, ready to be written.
    ///
    /// # Errors
    /// Where they do not fit the table.
    pub(super) fn rows(&self, rows: &RecordBatch, kind: Kind) -> Result<RecordBatch> {
        let name = match kind {
            Kind::Insert => "insert",
            Kind::UpdatePreimage => "update_preimage",
            Kind::UpdatePostimage => "update_postimage",
            Kind::Delete => "delete",
        };
        let kinds: ArrayRef = Arc::new(StringArray::from(vec![name; rows.num_rows()]));
        let mut columns: Vec<(String, ArrayRef)> = rows
            .schema()
            .fields()
            .iter()
            .zip(rows.columns())
            .map(|(field, column)| (field.name().clone(), column.clone()))
            .collect();
        columns.push((TYPE.to_string(), kinds));
        let rows = conform(&RecordBatch::try_from_iter(columns)?, self.writer.schema())?;
        let rows = RecordBatch::try_new(self.writer.schema().clone(), rows.columns().to_vec())?;
        self.writer.to_physical(&rows)
    }

    /// The files as they lie below the table's folder.
    pub(super) fn placed(&self, files: Vec<Add>) -> Vec<Add> {
        let place = |add: Add| Add {
            path: format!("{FOLDER}/{}", add.path),
            ..add
        };
        files.into_iter().map(place).collect()
    }
}

/// The action that a file of change data stands by.
pub(super) fn action(file: &Add) -> Action {
    Action::Cdc(AddCDCFile {
        path: file.path.clone(),
        size: file.size,
        partition_values: file.partition_values.clone(),
        data_change: false,
        tags: None,
    })
}
