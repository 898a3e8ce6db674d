//! A Delta table as DataFusion's table.

mod definition;
mod evolution;
mod protocol;
mod provider;
mod views;

pub(crate) use definition::{
    COMMENT, CONSTRAINT_PREFIX, Definition, GENERATION, PRIMARY_KEY, Rule, to_arrow,
};
pub(crate) use evolution::{evolve, without_views};
pub(crate) use protocol::protocol_for;
pub(crate) use provider::LakeTable;
pub(crate) use views::{register_functions, table_changes, view};
