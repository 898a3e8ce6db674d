//! Types as text.

use std::fmt::{self, Display, Formatter};

use super::nodes::{Text, list};
use crate::names::Name;
use crate::types::{StructField, TypeName};

impl Display for TypeName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Boolean => "BOOLEAN",
            Self::TinyInt => "TINYINT",
            Self::SmallInt => "SMALLINT",
            Self::Int => "INT",
            Self::BigInt => "BIGINT",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::String => "STRING",
            Self::Binary => "BINARY",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::TimestampNtz => "TIMESTAMP_NTZ",
            Self::Decimal { precision, scale } => return write!(f, "DECIMAL({precision}, {scale})"),
            Self::Array(element) => return write!(f, "ARRAY<{element}>"),
            Self::Map(key, value) => return write!(f, "MAP<{key}, {value}>"),
            Self::Struct(fields) => return write!(f, "STRUCT<{}>", list(fields, |field| field)),
        };
        f.write_str(name)
    }
}

impl Display for StructField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Name(&self.name), self.data_type)?;
        if !self.nullable {
            f.write_str(" NOT NULL")?;
        }
        match &self.comment {
            Some(comment) => write!(f, " COMMENT {}", Text(comment)),
            None => Ok(()),
        }
    }
}
