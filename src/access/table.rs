//! The table of users: read whole, written whole, by one commit a change.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use deltalake_core::kernel::{Action, Add, DataType, StructField, StructType, new_metadata};
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use super::place::{Home, MARKER};
use super::users::{Row, Users, damaged};
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, Snapshot, commit};
use crate::store::path_of;
use crate::table::{data_path, protocol_for};

const COLUMNS: [&str; 5] = ["kind", "name", "value", "privileges", "note"];

impl Users {
    /// The users as a version of their table has them.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] where they cannot be understood; as the store's.
    pub(super) async fn read(snapshot: &Snapshot) -> Result<Self> {
        let store = snapshot.store();
        let mut rows = Vec::new();
        for file in snapshot.files().iter() {
            let bytes = match store.get(&data_path(&file.add.path)).await {
                Ok(found) => found.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => return Err(damaged("a file is missing")),
                Err(error) => return Err(error.into()),
            };
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
                .and_then(|builder| builder.build())
                .map_err(|error| damaged(&error.to_string()))?;
            for batch in reader {
                rows_of(&batch.map_err(|error| damaged(&error.to_string()))?, &mut rows)?;
            }
        }
        Self::of_rows(&rows)
    }

    /// Commits the users behind the version that they were read at; creates the table where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where others were changed first; as the store's.
    pub(super) async fn write(
        &self,
        home: &Home,
        before: Option<&Snapshot>,
        operation: &'static str,
        statement: String,
    ) -> Result<()> {
        let bytes = encode(&self.rows())?;
        let path = format!("part-00000-{}-c000.snappy.parquet", Uuid::new_v4());
        let size = i64::try_from(bytes.len()).unwrap_or_default();
        let store = home.stores.folder(&home.users)?;
        store.put(&data_path(&path), PutPayload::from(bytes)).await?;
        let mut actions = Vec::new();
        match before {
            Some(before) => actions.extend(before.files().iter().map(|file| Action::Remove(file.remove(true)))),
            None => {
                let fields = COLUMNS.map(|name| StructField::nullable(name, DataType::STRING));
                let schema = StructType::try_new(fields).map_err(|error| Error::internal(error.to_string()))?;
                let protocol = protocol_for(&schema, &HashMap::new(), None)?;
                let metadata = new_metadata(&schema, Vec::<String>::new(), HashMap::<String, String>::new())?;
                actions.extend([Action::Protocol(protocol), Action::Metadata(metadata)]);
            }
        }
        actions.push(Action::Add(added(path, size, self.rows().len(), HashMap::new(), None)));
        let next = Commit {
            operation,
            parameters: BTreeMap::new(),
            metrics: BTreeMap::new(),
            actions,
            read_version: before.map(Snapshot::version),
            mode: Mode::Exclusive,
            statement: Some(statement),
        };
        commit(home.stores.log_store(&home.users)?.as_ref(), next).await?;
        Ok(())
    }
}

/// Puts the file that says that the lake has users.
///
/// # Errors
/// As the store's.
pub(super) async fn put_marker(home: &Home, id: &str) -> Result<()> {
    let text = format!("{{\"access\":\"{id}\"}}\n");
    let path = path_of(&home.root)?.join(MARKER);
    let options = PutOptions {
        mode: PutMode::Overwrite,
        ..PutOptions::default()
    };
    home.stores
        .root(&home.root)?
        .put_opts(&path, text.into_bytes().into(), options)
        .await?;
    Ok(())
}

/// Whether that file is there.
///
/// # Errors
/// As the store's.
pub(super) async fn has_marker(home: &Home) -> Result<bool> {
    let path = path_of(&home.root)?.join(MARKER);
    match home.stores.root(&home.root)?.head(&path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The action of a file that was written.
pub(super) fn added(
    path: String,
    size: i64,
    rows: usize,
    partition_values: HashMap<String, Option<String>>,
    stats: Option<String>,
) -> Add {
    Add {
        path,
        partition_values,
        size,
        modification_time: chrono::Utc::now().timestamp_millis(),
        data_change: true,
        stats: stats.or_else(|| Some(format!("{{\"numRecords\":{rows}}}"))),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

/// A file of these rows.
///
/// # Errors
/// None that a caller could cause.
pub(super) fn parquet_file(batch: &RecordBatch) -> Result<Vec<u8>> {
    let fault = |error: parquet::errors::ParquetError| Error::internal(error.to_string());
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).map_err(fault)?;
    writer.write(batch).map_err(fault)?;
    writer.into_inner().map_err(fault)
}

fn encode(rows: &[Row]) -> Result<Vec<u8>> {
    let columns = (0..COLUMNS.len()).map(|column| -> Arc<dyn Array> {
        let values = rows.iter().map(|row| row.get(column).and_then(Option::as_deref));
        Arc::new(values.collect::<StringArray>())
    });
    parquet_file(&RecordBatch::try_new(schema(), columns.collect())?)
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(
        COLUMNS.map(|name| Field::new(name, ArrowType::Utf8, true)).to_vec(),
    ))
}

fn rows_of(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<()> {
    let mut columns = Vec::new();
    for name in COLUMNS {
        let column = batch
            .column_by_name(name)
            .ok_or_else(|| damaged("a column is missing"))?;
        let text = column
            .as_string_opt::<i32>()
            .ok_or_else(|| damaged("a column has another type"))?;
        columns.push(text.clone());
    }
    for place in 0..batch.num_rows() {
        let mut row: Row = Default::default();
        for (cell, column) in row.iter_mut().zip(&columns) {
            *cell = (!column.is_null(place)).then(|| column.value(place).to_string());
        }
        rows.push(row);
    }
    Ok(())
}

/// Whether an error says that another writer was first.
pub(super) fn lost(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
}
