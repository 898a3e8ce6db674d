//! `system.mount` and `system.edits`: what a mount is at, as its own sessions see it (`.query`).

use std::sync::{Arc, LazyLock, Weak};

use arrow::array::{ArrayRef, BooleanArray, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use posixlake_nfs::mount::{Mount, State};

static COUNTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("value", DataType::UInt64, false),
    ]))
});

static EDITS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("table", DataType::Utf8, false),
        Field::new("client", DataType::Utf8, false),
        Field::new("version", DataType::UInt64, false),
        Field::new("removed", DataType::Boolean, false),
    ]))
});

/// The mount's tables in the schema `system`, by name.
pub(super) fn tables(mount: &Arc<Mount>) -> [(&'static str, Arc<dyn TableProvider>); 2] {
    let table = |schema: &LazyLock<SchemaRef>, columns| {
        Arc::new(MountTable {
            mount: Arc::downgrade(mount),
            schema: SchemaRef::clone(schema),
            columns,
        }) as Arc<dyn TableProvider>
    };
    [("mount", table(&COUNTS, counts)), ("edits", table(&EDITS, edits))]
}

fn counts(state: &State) -> Vec<ArrayRef> {
    let counts = state.counts();
    vec![
        Arc::new(StringArray::from_iter_values(counts.iter().map(|(name, _)| name))),
        Arc::new(UInt64Array::from_iter_values(counts.iter().map(|(_, count)| *count))),
    ]
}

fn edits(state: &State) -> Vec<ArrayRef> {
    let edits = &state.edits;
    vec![
        Arc::new(StringArray::from_iter_values(edits.iter().map(|edit| &edit.table))),
        Arc::new(StringArray::from_iter_values(edits.iter().map(|edit| &edit.client))),
        Arc::new(UInt64Array::from_iter_values(edits.iter().map(|edit| edit.version))),
        Arc::new(edits.iter().map(|edit| Some(edit.removed)).collect::<BooleanArray>()),
    ]
}

#[derive(Clone)]
struct MountTable {
    /// The session that has the table is the mount's own.
    mount: Weak<Mount>,
    schema: SchemaRef,
    columns: fn(&State) -> Vec<ArrayRef>,
}

impl std::fmt::Debug for MountTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MountTable")
    }
}

#[async_trait]
impl TableProvider for MountTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = match self.mount.upgrade() {
            Some(mount) => RecordBatch::try_new(self.schema(), (self.columns)(&mount.state()))?,
            None => RecordBatch::new_empty(self.schema()),
        };
        Ok(MemorySourceConfig::try_new_exec(
            &[vec![rows]],
            self.schema(),
            projection.cloned(),
        )?)
    }
}
