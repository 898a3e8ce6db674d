//! Changes of rows: rows in, actions out.

mod apply;
mod change;
mod change_data;
mod collect;
pub(crate) mod delete;
mod gather;
mod insert;
mod lower;
pub(crate) mod merge;
mod names;
mod nan;
mod replace;
mod retry;
mod splice;
mod target;
mod template;
mod touched;
pub(crate) mod update;
mod validate;
mod write;

pub(crate) use gather::gather;
pub(crate) use insert::{InsertCommand, NewTable, Overwrite};
pub(crate) use replace::plan_replace;
pub(crate) use retry::with_retries;
pub(crate) use validate::logical_expression;
pub(crate) use write::{FileWriter, count_batch, count_schema};
