//! Where each column of a scan comes from: data files, partition values, or the place of the row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::Expr;
use parquet::arrow::RowNumber;

use super::read_type;
use crate::error::{Error, Result};
use crate::table::Definition;

/// The column that says which file a row lies in, by the path that the log has.
pub(crate) const FILE: &str = "_file";
/// The column that says which row of its file it is, from 0 on, hidden rows counted.
pub(crate) const ROW: &str = "_row";

/// The columns of a scan.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// As users see them: the table's columns in its order, then the row's identity where wanted.
    schema: SchemaRef,
    /// As DataFusion's Parquet source has them: columns of files, then of partitions, then of the row's place.
    source: TableSchema,
    /// Where each column of the schema is in the source.
    places: Vec<usize>,
    partition_columns: Vec<String>,
    identity: bool,
}

impl Layout {
    /// # Errors
    /// Where the definition's schema has no Arrow form, or has a column that is called as one of the row's identity.
    pub(super) fn new(definition: &Definition, identity: bool) -> Result<Self> {
        let table = definition.arrow_schema()?;
        let mut fields: Vec<FieldRef> = table.fields().iter().map(|field| read_field(field)).collect();
        let is_partition = |name: &str| definition.partition_columns().iter().any(|column| column == name);
        let in_files: Vec<FieldRef> = fields
            .iter()
            .filter(|field| !is_partition(field.name()))
            .cloned()
            .collect();
        let mut in_log: Vec<FieldRef> = Vec::new();
        for name in definition.partition_columns() {
            let field = fields.iter().find(|field| field.name() == name);
            in_log.push(
                field.cloned().ok_or_else(|| {
                    Error::corrupt(format!("the partition column {name} is not in the table's schema"))
                })?,
            );
        }
        let mut in_rows: Vec<FieldRef> = Vec::new();
        if identity {
            if let Some(field) = fields.iter().find(|field| [FILE, ROW].contains(&field.name().as_str())) {
                return Err(Error::unsupported(format!(
                    "the table has a column {}, so its rows cannot be named by {FILE} and {ROW}",
                    field.name()
                )));
            }
            let file = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let file = Arc::new(Field::new(FILE, file, false));
            let row = Field::new(ROW, DataType::Int64, false);
            in_log.push(file.clone());
            fields.push(file);
            fields.push(Arc::new(row.clone()));
            in_rows.push(Arc::new(row.with_extension_type(RowNumber)));
        }
        let source = TableSchema::builder(Arc::new(Schema::new(in_files)))
            .with_table_partition_cols(Fields::from(in_log))
            .with_virtual_columns(Fields::from(in_rows))
            .build();
        let places = fields
            .iter()
            .map(|field| Ok(source.table_schema().index_of(field.name())?))
            .collect::<Result<_>>()?;
        if identity {
            // The source's field says how the row number is made; the schema is the source's, so that plans agree on it.
            fields.pop();
            fields.extend(source.virtual_columns().iter().cloned());
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            source,
            places,
            partition_columns: definition.partition_columns().to_vec(),
            identity,
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn table_schema(&self) -> TableSchema {
        self.source.clone()
    }

    /// The columns that data files have, under the names that users see.
    pub(super) fn file_schema(&self) -> &SchemaRef {
        self.source.file_schema()
    }

    /// A projection of the schema as one of the source.
    pub(super) fn projection(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        match projection {
            Some(columns) => columns
                .iter()
                .filter_map(|column| self.places.get(*column))
                .copied()
                .collect(),
            None => self.places.clone(),
        }
    }

    /// The source's columns, in its order.
    pub(super) fn source_fields(&self) -> impl Iterator<Item = &FieldRef> {
        self.source.table_schema().fields().iter()
    }

    pub(super) fn source_schema(&self) -> &SchemaRef {
        self.source.table_schema()
    }

    pub(super) fn partition_columns(&self) -> &[String] {
        &self.partition_columns
    }

    pub(super) fn has_identity(&self) -> bool {
        self.identity
    }

    /// For each of the source's columns, whether a projection or a filter has it.
    pub(super) fn columns_of(&self, projection: Option<&Vec<usize>>, filters: &[Expr]) -> Vec<bool> {
        let mut wanted = vec![false; self.source.table_schema().fields().len()];
        let in_filters = filters
            .iter()
            .flat_map(|filter| filter.column_refs())
            .filter_map(|column| self.source.table_schema().index_of(&column.name).ok());
        for place in self
            .projection(projection)
            .into_iter()
            .chain(in_filters.collect::<Vec<_>>())
        {
            if let Some(slot) = wanted.get_mut(place) {
                *slot = true;
            }
        }
        wanted
    }

    /// What the log says of a file: its partition values, and its path where rows are to say it.
    pub(super) fn log_schema(&self) -> Schema {
        let columns = self
            .partition_columns
            .iter()
            .filter_map(|name| self.schema.field_with_name(name).ok());
        let mut fields: Vec<Field> = columns.map(|field| field.clone().with_nullable(true)).collect();
        if self.identity {
            fields.push(Field::new(FILE, DataType::Utf8, false));
        }
        Schema::new(fields)
    }

    /// Whether an expression is about what the log says of a file: its partition values and its path.
    pub(super) fn is_in_log(&self, expr: &Expr) -> bool {
        let columns = expr.column_refs();
        let in_log = |name: &String| self.partition_columns.contains(name) || (self.identity && name == FILE);
        !columns.is_empty() && columns.iter().all(|column| in_log(&column.name)) && !expr.is_volatile()
    }
}

/// A column as scans give it, without what the log says about it beside its type.
fn read_field(field: &Field) -> FieldRef {
    let field = plain(field);
    let data_type = read_type(field.data_type());
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// The field without metadata, at any depth.
pub(super) fn plain(field: &Field) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| plain(field)).collect()),
        DataType::List(item) => DataType::List(plain(item)),
        DataType::LargeList(item) => DataType::LargeList(plain(item)),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}
