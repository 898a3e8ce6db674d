//! Columns whose names in data files are not those of the table (Delta protocol, "Column Mapping").

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use delta_kernel::table_features::ColumnMappingMode;

use super::layout::{Layout, plain};
use super::read_type;
use crate::table::{Definition, relabel};

/// The metadata key that the Parquet reader puts a column's field id under.
const FIELD_ID: &str = "PARQUET:field_id";

/// Translates columns of the table to those of its files.
#[derive(Debug)]
pub(super) struct MappedColumns {
    /// The columns of files: names and types as users see them.
    logical: SchemaRef,
    /// The same columns, in the same order, with the names that files have; with field ids where columns go by them.
    physical: SchemaRef,
    by_id: bool,
}

impl MappedColumns {
    /// None where files have the table's names.
    ///
    /// # Errors
    /// Where a column lacks its physical name.
    pub(super) fn of(definition: &Definition, layout: &Layout) -> crate::Result<Option<Self>> {
        if definition.mapping() == ColumnMappingMode::None {
            return Ok(None);
        }
        let named = definition.physical_schema()?;
        let mut fields = Vec::new();
        for field in layout.file_schema().fields() {
            let physical = named.field_with_name(definition.physical_name(field.name()))?;
            let id = physical.metadata().get(FIELD_ID).cloned();
            let stripped = plain(physical).as_ref().clone();
            let stripped = stripped.clone().with_data_type(read_type(stripped.data_type()));
            let metadata = id.map(|id| (FIELD_ID.to_string(), id)).into_iter().collect();
            fields.push(stripped.with_metadata(metadata));
        }
        Ok(Some(Self {
            logical: layout.file_schema().clone(),
            physical: Arc::new(Schema::new(fields)),
            by_id: definition.mapping() == ColumnMappingMode::Id,
        }))
    }
}

impl PhysicalExprAdapterFactory for MappedColumns {
    fn create(&self, logical: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let physical_name = |field: &FieldRef| -> String {
            let id = field.metadata().get(FIELD_ID).filter(|_| self.by_id);
            let same = id.and_then(|id| {
                let mut fields = self.physical.fields().iter();
                fields.find(|field| field.metadata().get(FIELD_ID) == Some(id))
            });
            same.map_or_else(|| field.name().clone(), |field| field.name().clone())
        };
        let renamed: Vec<Field> = file
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_name(physical_name(field)))
            .collect();
        // What is beyond the columns of the file (the row's number) has one name everywhere.
        let beyond = logical.fields().iter().skip(self.logical.fields().len());
        let expected: Vec<FieldRef> = self.physical.fields().iter().chain(beyond).cloned().collect();
        let expected: Vec<Field> = expected
            .iter()
            .map(|field| field.as_ref().clone().with_metadata(field_extension(field)))
            .collect();
        let inner = DefaultPhysicalExprAdapterFactory
            .create(Arc::new(Schema::new(expected)), Arc::new(Schema::new(renamed)))?;
        Ok(Arc::new(MappedExpressions {
            logical: self.logical.clone(),
            physical: self.physical.clone(),
            file,
            inner,
        }))
    }
}

/// The metadata of a field without its field id.
fn field_extension(field: &Field) -> std::collections::HashMap<String, String> {
    let mut metadata = field.metadata().clone();
    metadata.remove(FIELD_ID);
    metadata
}

#[derive(Debug)]
struct MappedExpressions {
    logical: SchemaRef,
    physical: SchemaRef,
    file: SchemaRef,
    inner: Arc<dyn PhysicalExprAdapter>,
}

impl MappedExpressions {
    fn column(&self, column: &Column) -> Result<Arc<dyn PhysicalExpr>> {
        let Some((place, logical)) = self.logical.column_with_name(column.name()) else {
            return self.inner.rewrite(Arc::new(column.clone()));
        };
        let physical = self.physical.field(place);
        let in_file = self.inner.rewrite(Arc::new(Column::new(physical.name(), place)))?;
        let in_file = in_file
            .transform(|expr| {
                let Some(column) = expr.downcast_ref::<Column>() else {
                    return Ok(Transformed::no(expr));
                };
                let name = self.file.fields().get(column.index()).map(|field| field.name());
                Ok(match name {
                    Some(name) if name != column.name() => {
                        Transformed::yes(Arc::new(Column::new(name, column.index())) as Arc<dyn PhysicalExpr>)
                    }
                    _ => Transformed::no(expr),
                })
            })
            .data()?;
        if logical.data_type() == physical.data_type() {
            return Ok(in_file);
        }
        Ok(Arc::new(Relabeled {
            input: in_file,
            data_type: logical.data_type().clone(),
        }))
    }
}

impl PhysicalExprAdapter for MappedExpressions {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        expr.transform_down(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else {
                return Ok(Transformed::no(expr));
            };
            Ok(Transformed::new(self.column(column)?, true, TreeNodeRecursion::Jump))
        })
        .data()
    }
}

/// A nested column whose fields get other names; no value is copied.
#[derive(Debug, Clone)]
struct Relabeled {
    input: Arc<dyn PhysicalExpr>,
    data_type: DataType,
}

impl PartialEq for Relabeled {
    fn eq(&self, other: &Self) -> bool {
        self.input.eq(&other.input) && self.data_type == other.data_type
    }
}

impl Eq for Relabeled {}

impl Hash for Relabeled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.data_type.hash(state);
    }
}

impl fmt::Display for Relabeled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.input.fmt(f)
    }
}

impl PhysicalExpr for Relabeled {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.input.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let array = self.input.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(ColumnarValue::Array(relabel(&array, &self.data_type)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(Self {
            input,
            data_type: self.data_type.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.input.fmt_sql(f)
    }
}
