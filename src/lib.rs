//! posixlake.
