//! A Delta table as DataFusion's table.

mod definition;
pub(crate) mod evolution;
mod protocol;
mod provider;
pub(crate) mod types;
mod views;

pub(crate) use definition::{COMMENT, CONSTRAINT_PREFIX, Definition, GENERATION, PRIMARY_KEY, to_arrow};
pub(crate) use evolution::evolve;
pub(crate) use protocol::protocol_for;
pub(crate) use provider::LakeTable;
pub(crate) use views::{
    HistoryTable, LiveFile, data_path, hidden_property, live_files, partition_rows, partitions, properties,
    register_functions, rows, table_changes, table_name, view,
};
