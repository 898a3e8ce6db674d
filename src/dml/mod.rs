//! Changes of rows: rows in, actions out.

pub(crate) mod delete;
pub(crate) mod delta;
mod expression;
mod insert;
pub(crate) mod merge;
pub(crate) mod update;
mod validate;
mod write;

pub(crate) use insert::{InsertCommand, NewTable, Overwrite};
pub(crate) use validate::logical_expression;
pub(crate) use write::{FileWriter, conform, count_batch, count_schema};
