//! The Python extension of posixlake comes later.
