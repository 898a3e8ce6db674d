//! Functions of posixlake.
