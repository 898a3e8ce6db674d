//! Types in three languages: SQL's, Delta's and Arrow's.

use arrow::datatypes::{DataType as ArrowType, Field, TimeUnit};
use datafusion::sql::sqlparser::ast::Ident;
use deltalake_core::kernel::{
    ArrayType, DataType, DecimalType, MapType, MetadataValue, PrimitiveType, StructField, StructType,
};
use posixlake_sql::{StructField as SqlField, TypeName};

use super::definition::COMMENT;
use crate::error::{Error, Result};

/// The name that an identifier stands for: unquoted ones are lower-case, as everywhere in DataFusion.
pub(crate) fn name_of(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

/// The Delta type of a type in SQL.
///
/// # Errors
/// Where a struct has two fields of one name.
pub(crate) fn delta_type(name: &TypeName) -> Result<DataType> {
    Ok(match name {
        TypeName::Boolean => DataType::BOOLEAN,
        TypeName::TinyInt => DataType::BYTE,
        TypeName::SmallInt => DataType::SHORT,
        TypeName::Int => DataType::INTEGER,
        TypeName::BigInt => DataType::LONG,
        TypeName::Float => DataType::FLOAT,
        TypeName::Double => DataType::DOUBLE,
        TypeName::Decimal { precision, scale } => decimal(*precision, *scale)?,
        TypeName::String => DataType::STRING,
        TypeName::Binary => DataType::BINARY,
        TypeName::Date => DataType::DATE,
        TypeName::Timestamp => DataType::TIMESTAMP,
        TypeName::TimestampNtz => DataType::TIMESTAMP_NTZ,
        TypeName::Array(element) => ArrayType::new(delta_type(element)?, true).into(),
        TypeName::Map(key, value) => MapType::new(delta_type(key)?, delta_type(value)?, true).into(),
        TypeName::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                let nested = StructField::new(name_of(&field.name), delta_type(&field.data_type)?, field.nullable);
                Ok(with_comment(nested, field.comment.as_deref()))
            });
            structure(fields.collect::<Result<Vec<_>>>()?)?.into()
        }
    })
}

/// The field with a comment, where there is one.
pub(crate) fn with_comment(field: StructField, comment: Option<&str>) -> StructField {
    match comment {
        Some(comment) if !comment.is_empty() => field.add_metadata([(COMMENT, comment)]),
        _ => field,
    }
}

/// A schema of these fields.
///
/// # Errors
/// Where two have the same name; case does not tell names apart.
pub(crate) fn structure(fields: impl IntoIterator<Item = StructField>) -> Result<StructType> {
    StructType::try_new(fields).map_err(|error| Error::schema(error.to_string()).with_source(error))
}

fn decimal(precision: u8, scale: u8) -> Result<DataType> {
    DataType::decimal(precision, scale).map_err(|error| Error::schema(error.to_string()).with_source(error))
}

/// The SQL type of a Delta type.
///
/// # Errors
/// Where SQL has no name for it.
pub(crate) fn type_name(data_type: &DataType) -> Result<TypeName> {
    Ok(match data_type {
        DataType::Primitive(primitive) => match primitive {
            PrimitiveType::Boolean => TypeName::Boolean,
            PrimitiveType::Byte => TypeName::TinyInt,
            PrimitiveType::Short => TypeName::SmallInt,
            PrimitiveType::Integer => TypeName::Int,
            PrimitiveType::Long => TypeName::BigInt,
            PrimitiveType::Float => TypeName::Float,
            PrimitiveType::Double => TypeName::Double,
            PrimitiveType::String => TypeName::String,
            PrimitiveType::Binary => TypeName::Binary,
            PrimitiveType::Date => TypeName::Date,
            PrimitiveType::Timestamp => TypeName::Timestamp,
            PrimitiveType::TimestampNtz => TypeName::TimestampNtz,
            PrimitiveType::Decimal(decimal) => TypeName::Decimal {
                precision: decimal.precision(),
                scale: decimal.scale(),
            },
            other => return Err(Error::unsupported(format!("the type {other} has no name in SQL"))),
        },
        DataType::Array(array) => TypeName::Array(Box::new(type_name(array.element_type())?)),
        DataType::Map(map) => TypeName::Map(
            Box::new(type_name(map.key_type())?),
            Box::new(type_name(map.value_type())?),
        ),
        DataType::Struct(fields) => TypeName::Struct(fields.fields().map(sql_field).collect::<Result<_>>()?),
        other => return Err(Error::unsupported(format!("the type {other} has no name in SQL"))),
    })
}

fn sql_field(field: &StructField) -> Result<SqlField> {
    let comment = match field.metadata().get(COMMENT) {
        Some(MetadataValue::String(comment)) => Some(comment.clone()),
        _ => None,
    };
    Ok(SqlField {
        name: Ident::with_quote('`', field.name()),
        data_type: type_name(field.data_type())?,
        nullable: field.is_nullable(),
        comment,
    })
}

/// A Delta type as SQL spells it. A type that SQL has no name for is spelled as Delta does.
pub(crate) fn type_sql(data_type: &DataType) -> String {
    match type_name(data_type) {
        Ok(name) => name.to_string(),
        Err(_) => data_type.to_string().to_uppercase(),
    }
}

/// The Delta type that holds every value of a query's column: unsigned integers get the next wider signed type. Times are
/// kept in microseconds, the only unit that Delta has.
///
/// # Errors
/// Where Delta has no such type; the message says what to cast to.
pub(crate) fn delta_type_of(data_type: &ArrowType) -> Result<DataType> {
    Ok(match data_type {
        ArrowType::Boolean => DataType::BOOLEAN,
        ArrowType::Int8 => DataType::BYTE,
        ArrowType::Int16 | ArrowType::UInt8 => DataType::SHORT,
        ArrowType::Int32 | ArrowType::UInt16 => DataType::INTEGER,
        ArrowType::Int64 | ArrowType::UInt32 => DataType::LONG,
        ArrowType::UInt64 => decimal(20, 0)?,
        ArrowType::Float16 | ArrowType::Float32 => DataType::FLOAT,
        ArrowType::Float64 => DataType::DOUBLE,
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale)
        | ArrowType::Decimal256(precision, scale) => decimal_of(data_type, *precision, *scale)?,
        // A column of nothing but NULL has no type; text can take what comes later.
        ArrowType::Utf8 | ArrowType::Utf8View | ArrowType::LargeUtf8 | ArrowType::Null => DataType::STRING,
        ArrowType::Binary | ArrowType::BinaryView | ArrowType::LargeBinary | ArrowType::FixedSizeBinary(_) => {
            DataType::BINARY
        }
        ArrowType::Date32 | ArrowType::Date64 => DataType::DATE,
        ArrowType::Timestamp(_, Some(_)) => DataType::TIMESTAMP,
        ArrowType::Timestamp(_, None) => DataType::TIMESTAMP_NTZ,
        ArrowType::Dictionary(_, value) => delta_type_of(value)?,
        ArrowType::RunEndEncoded(_, values) => delta_type_of(values.data_type())?,
        ArrowType::List(item)
        | ArrowType::LargeList(item)
        | ArrowType::ListView(item)
        | ArrowType::LargeListView(item)
        | ArrowType::FixedSizeList(item, _) => ArrayType::new(delta_type_of(item.data_type())?, true).into(),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) => match fields.iter().collect::<Vec<_>>().as_slice() {
                [key, value] => {
                    MapType::new(delta_type_of(key.data_type())?, delta_type_of(value.data_type())?, true).into()
                }
                _ => return Err(refused(data_type)),
            },
            _ => return Err(refused(data_type)),
        },
        ArrowType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| column_of(field))
                .collect::<Result<Vec<_>>>()?;
            structure(fields)?.into()
        }
        ArrowType::Time32(_)
        | ArrowType::Time64(_)
        | ArrowType::Duration(
            TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
        )
        | ArrowType::Interval(_)
        | ArrowType::Union(..) => return Err(refused(data_type)),
    })
}

fn refused(data_type: &ArrowType) -> Error {
    let hint = match data_type {
        ArrowType::Time32(_) | ArrowType::Time64(_) => "cast it to STRING, or to BIGINT",
        ArrowType::Duration(_) | ArrowType::Interval(_) => "cast it to STRING, or compute a number of microseconds",
        ArrowType::Decimal256(..) => "cast it to DECIMAL(38, s) or DOUBLE",
        _ => "cast it to STRING",
    };
    Error::schema(format!("a Delta table cannot hold values of type {data_type}; {hint}"))
}

fn decimal_of(data_type: &ArrowType, precision: u8, scale: i8) -> Result<DataType> {
    let (precision, scale) = match u8::try_from(scale) {
        Ok(scale) => (precision.max(scale), scale),
        // A negative scale stands for zeros before the point.
        Err(_) => (precision.saturating_add(scale.unsigned_abs()), 0),
    };
    match DecimalType::try_new(precision, scale) {
        Ok(decimal) => Ok(decimal.into()),
        Err(_) => Err(refused(data_type)),
    }
}

/// The nullable column that a query's column becomes.
///
/// # Errors
/// As [`delta_type_of`], naming the column.
pub(crate) fn column_of(field: &Field) -> Result<StructField> {
    let data_type = delta_type_of(field.data_type())
        .map_err(|error| Error::schema(format!("column {}: {}", field.name(), error.message())).with_source(error))?;
    Ok(StructField::nullable(field.name(), data_type))
}

/// The struct fields right inside a type, through arrays and maps.
pub(crate) fn inner_fields(data_type: &DataType) -> Vec<&StructField> {
    match data_type {
        DataType::Struct(fields) => fields.fields().collect(),
        DataType::Array(array) => inner_fields(array.element_type()),
        DataType::Map(map) => inner_fields(map.key_type())
            .into_iter()
            .chain(inner_fields(map.value_type()))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_sql_comes_back() {
        for text in [
            "BOOLEAN",
            "TINYINT",
            "SMALLINT",
            "INT",
            "BIGINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL(12, 2)",
            "STRING",
            "BINARY",
            "DATE",
            "TIMESTAMP",
            "TIMESTAMP_NTZ",
            "ARRAY<INT>",
            "MAP<STRING, ARRAY<DOUBLE>>",
            "STRUCT<a: INT NOT NULL, `B c`: STRUCT<d: STRING COMMENT 'it''s'>>",
        ] {
            let parsed = posixlake_sql::parse_type(text).unwrap();
            assert_eq!(type_sql(&delta_type(&parsed).unwrap()), text);
        }
    }

    #[test]
    fn no_value_of_a_query_is_out_of_range() {
        let kept = |data_type| type_sql(&delta_type_of(&data_type).unwrap());
        assert_eq!(kept(ArrowType::UInt8), "SMALLINT");
        assert_eq!(kept(ArrowType::UInt64), "DECIMAL(20, 0)");
        assert_eq!(kept(ArrowType::Decimal128(5, -2)), "DECIMAL(7, 0)");
        assert_eq!(
            kept(ArrowType::Dictionary(
                Box::new(ArrowType::Int32),
                Box::new(ArrowType::Utf8View)
            )),
            "STRING"
        );
        assert!(delta_type_of(&ArrowType::Decimal256(60, 2)).is_err());
        assert!(delta_type_of(&ArrowType::Time64(TimeUnit::Microsecond)).is_err());
    }
}
