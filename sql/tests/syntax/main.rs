//! The dialect from outside.
mod accepted;
