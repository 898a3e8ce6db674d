//! A Delta table as DataFusion's table.

mod definition;
mod deletion_vector;
pub(crate) mod evolution;
mod file_statistics;
mod protocol;
mod provider;
mod relabel;
mod scan;
pub(crate) mod types;
mod views;

pub(crate) use definition::{COMMENT, CONSTRAINT_PREFIX, Definition, GENERATION, PRIMARY_KEY, to_arrow};
pub(crate) use deletion_vector::{VectorFile, hidden_rows, keeps_hidden, vector_file};
pub(crate) use evolution::evolve;
pub(crate) use file_statistics::{FileStatistics, footer};
pub(crate) use protocol::protocol_for;
pub(crate) use provider::{LakeTable, readings};
pub(crate) use relabel::relabel;
pub(crate) use scan::{FILE, ROW, Rows, RowsTable, ScanCodec, ScanLog, ScanTotals, Selected, place};
pub(crate) use views::{
    HistoryTable, Momentary, data_path, hidden_property, live_files, partition_column, partition_rows, partitions,
    properties, register_functions, rows, table_changes, table_name, view, wait_for,
};
