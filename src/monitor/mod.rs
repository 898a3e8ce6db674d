//! What a lake's session does and has done: running statements, counters, health, and the text that monitoring systems read.

mod counters;
mod exec;
mod health;
mod http;
mod queries;
mod samples;
mod tables;
mod work;

pub(crate) use counters::Monitor;
pub(crate) use exec::{MonitorExec, MonitorPlanner, Watched};
pub(crate) use health::{Check, Status, checks};
pub(crate) use http::listen;
pub(crate) use tables::{TABLES, table};
pub(crate) use work::{Done, Total};
