//! The types of table columns, as SQL spells them.

use datafusion::sql::sqlparser::ast::Ident;

/// A column type that a Delta table can hold, in Spark's canonical spelling.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeName {
    /// `BOOLEAN`.
    Boolean,
    /// `TINYINT`, 8 bits.
    TinyInt,
    /// `SMALLINT`, 16 bits.
    SmallInt,
    /// `INT`, 32 bits.
    Int,
    /// `BIGINT`, 64 bits.
    BigInt,
    /// `FLOAT`, 32 bits.
    Float,
    /// `DOUBLE`, 64 bits.
    Double,
    /// `DECIMAL(precision, scale)`.
    Decimal {
        /// 1 to 38.
        precision: u8,
        /// 0 to the precision.
        scale: u8,
    },
    /// `STRING`.
    String,
    /// `BINARY`.
    Binary,
    /// `DATE`.
    Date,
    /// `TIMESTAMP`: an instant, microseconds in UTC.
    Timestamp,
    /// `TIMESTAMP_NTZ`: microseconds without a zone.
    TimestampNtz,
    /// `ARRAY<T>`.
    Array(Box<TypeName>),
    /// `MAP<K, V>`.
    Map(Box<TypeName>, Box<TypeName>),
    /// `STRUCT<a: T, …>`.
    Struct(Vec<StructField>),
}

/// A field of a `STRUCT`.
#[derive(Debug, Clone, PartialEq)]
pub struct StructField {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub data_type: TypeName,
    /// False for `NOT NULL`.
    pub nullable: bool,
    /// `COMMENT 's'`.
    pub comment: Option<String>,
}
