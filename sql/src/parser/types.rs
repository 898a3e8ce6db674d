//! Column types, in every usual spelling.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Parse};
use crate::error::SyntaxError;
use crate::names::key;
use crate::types::{StructField, TypeName};

/// Types inside types beyond this many are refused.
const MAXIMUM_NESTING: usize = 50;

pub(crate) fn data_type(cursor: &mut Cursor) -> Parse<TypeName> {
    let data_type = nested(cursor, 0)?;
    if cursor.half_shift {
        cursor.half_shift = false;
        return Err(cursor.refusal("one '>' too many"));
    }
    Ok(data_type)
}

fn nested(cursor: &mut Cursor, depth: usize) -> Parse<TypeName> {
    if depth > MAXIMUM_NESTING {
        return Err(cursor.refusal(format!("types are nested more than {MAXIMUM_NESTING} deep")));
    }
    let mut data_type = base(cursor, depth)?;
    let mut arrays = 0;
    while !cursor.half_shift && *cursor.peek(0) == Token::LBracket {
        cursor.skip();
        if !cursor.take_token(&Token::RBracket) {
            return Err(cursor.expected("']'").with_hint("an array has no fixed length"));
        }
        data_type = TypeName::Array(Box::new(data_type));
        arrays += 1;
        if arrays > MAXIMUM_NESTING {
            return Err(cursor.refusal(format!("types are nested more than {MAXIMUM_NESTING} deep")));
        }
    }
    Ok(data_type)
}

fn base(cursor: &mut Cursor, depth: usize) -> Parse<TypeName> {
    let Some(word) = cursor.word(0) else {
        return Err(cursor.expected("a type"));
    };
    if let Some(hint) = unsupported(&word).or_else(|| unsigned(cursor, &word)) {
        return Err(cursor
            .refusal(format!("a Delta table cannot hold {word}"))
            .with_hint(hint));
    }
    let simple = simple(&word);
    if simple.is_none() && !is_composite(&word) {
        let error = cursor.refusal(format!("{word} is not a type"));
        return Err(match super::refusals::nearest(&word, SPELLINGS) {
            Some(near) => error.with_hint(format!("did you mean {near}?")),
            None => error,
        });
    }
    cursor.skip();
    match (word.as_str(), simple) {
        ("DOUBLE", _) => {
            cursor.take("PRECISION");
            Ok(TypeName::Double)
        }
        ("DECIMAL" | "DEC" | "NUMERIC", _) => decimal(cursor),
        ("TIMESTAMP", _) => timestamp(cursor),
        ("ARRAY", _) => {
            open(cursor, "ARRAY<T>")?;
            let element = nested(cursor, depth + 1)?;
            close(cursor)?;
            Ok(TypeName::Array(Box::new(element)))
        }
        ("MAP", _) => {
            open(cursor, "MAP<K, V>")?;
            let key = nested(cursor, depth + 1)?;
            if cursor.half_shift || !cursor.take_token(&Token::Comma) {
                return Err(cursor.expected("','").with_hint("write MAP<K, V>"));
            }
            let value = nested(cursor, depth + 1)?;
            close(cursor)?;
            Ok(TypeName::Map(Box::new(key), Box::new(value)))
        }
        ("STRUCT", _) => structure(cursor, depth),
        (word, Some(simple)) => {
            if word == "CHARACTER" || word == "CHAR" {
                cursor.take("VARYING");
            }
            if matches!(simple, TypeName::String | TypeName::Binary) {
                length(cursor)?;
            }
            if word == "TIMESTAMP_NTZ" || word == "DATETIME" || word == "TIMESTAMPTZ" {
                microseconds(cursor)?;
            }
            Ok(simple)
        }
        (_, None) => Err(cursor.expected("a type")),
    }
}

const SPELLINGS: &[&str] = &[
    "ARRAY",
    "BIGINT",
    "BINARY",
    "BOOLEAN",
    "DATE",
    "DECIMAL",
    "DOUBLE",
    "FLOAT",
    "INT",
    "INTEGER",
    "MAP",
    "NUMERIC",
    "SMALLINT",
    "STRING",
    "STRUCT",
    "TEXT",
    "TIMESTAMP",
    "TIMESTAMP_NTZ",
    "TINYINT",
    "VARCHAR",
];

fn is_composite(word: &str) -> bool {
    matches!(word, "DECIMAL" | "DEC" | "NUMERIC" | "ARRAY" | "MAP" | "STRUCT")
}

fn simple(word: &str) -> Option<TypeName> {
    Some(match word {
        "BOOLEAN" | "BOOL" => TypeName::Boolean,
        "TINYINT" | "BYTE" => TypeName::TinyInt,
        "SMALLINT" | "SHORT" | "INT2" | "INT16" => TypeName::SmallInt,
        "INT" | "INTEGER" | "INT4" | "INT32" => TypeName::Int,
        // INT8 counts bytes, as in PostgreSQL and DataFusion.
        "BIGINT" | "LONG" | "INT8" | "INT64" => TypeName::BigInt,
        "FLOAT" | "REAL" | "FLOAT4" | "FLOAT32" => TypeName::Float,
        "DOUBLE" | "FLOAT8" | "FLOAT64" => TypeName::Double,
        "STRING" | "TEXT" | "VARCHAR" | "CHAR" | "CHARACTER" | "NVARCHAR" => TypeName::String,
        "BINARY" | "BYTEA" | "BLOB" | "VARBINARY" => TypeName::Binary,
        "DATE" => TypeName::Date,
        "TIMESTAMP" | "TIMESTAMPTZ" | "TIMESTAMP_LTZ" => TypeName::Timestamp,
        "TIMESTAMP_NTZ" | "DATETIME" => TypeName::TimestampNtz,
        _ => return None,
    })
}

/// What to use instead of a type that Delta does not have.
fn unsupported(word: &str) -> Option<&'static str> {
    Some(match word {
        "UTINYINT" | "UINT8" => "use SMALLINT",
        "USMALLINT" | "UINT16" => "use INT",
        "UINTEGER" | "UINT32" | "UINT" => "use BIGINT",
        "UBIGINT" | "UINT64" => "use DECIMAL(20, 0)",
        "HUGEINT" | "INT128" => "use DECIMAL(38, 0)",
        "TIME" | "TIMETZ" => "use STRING, or BIGINT for microseconds since midnight",
        "INTERVAL" => "use BIGINT for a number of microseconds, or STRING",
        "UUID" | "JSON" | "JSONB" | "XML" | "ENUM" | "VARIANT" => "use STRING",
        "ROW" | "OBJECT" => "use STRUCT<name: TYPE, …>",
        "LIST" => "use ARRAY<T>",
        "SERIAL" | "BIGSERIAL" => "use BIGINT GENERATED ALWAYS AS IDENTITY",
        "VOID" | "NULL" => "give the column a type",
        _ => return None,
    })
}

fn unsigned(cursor: &Cursor, word: &str) -> Option<&'static str> {
    if !cursor.is_word_at(1, "UNSIGNED") {
        return None;
    }
    match simple(word)? {
        TypeName::TinyInt => Some("use SMALLINT instead of the unsigned type"),
        TypeName::SmallInt => Some("use INT instead of the unsigned type"),
        TypeName::Int => Some("use BIGINT instead of the unsigned type"),
        _ => Some("use DECIMAL(20, 0) instead of the unsigned type"),
    }
}

fn decimal(cursor: &mut Cursor) -> Parse<TypeName> {
    if !cursor.take_token(&Token::LParen) {
        return Ok(TypeName::Decimal {
            precision: 10,
            scale: 0,
        });
    }
    let place = cursor.location();
    let precision = cursor.unsigned("a precision from 1 to 38")?;
    let scale = if cursor.take_token(&Token::Comma) {
        cursor.unsigned("a scale")?
    } else {
        0
    };
    cursor.expect_token(&Token::RParen)?;
    let out_of_range = || {
        SyntaxError::new(format!("DECIMAL({precision}, {scale}) is out of range"), place)
            .with_hint("the precision is 1 to 38, the scale 0 to the precision")
    };
    if precision == 0 || precision > 38 || scale > precision {
        return Err(out_of_range());
    }
    let (Ok(precision), Ok(scale)) = (u8::try_from(precision), u8::try_from(scale)) else {
        return Err(out_of_range());
    };
    Ok(TypeName::Decimal { precision, scale })
}

fn timestamp(cursor: &mut Cursor) -> Parse<TypeName> {
    microseconds(cursor)?;
    if cursor.take("WITHOUT TIME ZONE") {
        return Ok(TypeName::TimestampNtz);
    }
    cursor.take("WITH LOCAL TIME ZONE");
    cursor.take("WITH TIME ZONE");
    Ok(TypeName::Timestamp)
}

/// A precision after a time's type: microseconds are the only one.
fn microseconds(cursor: &mut Cursor) -> Parse<()> {
    if !cursor.take_token(&Token::LParen) {
        return Ok(());
    }
    if !matches!(cursor.peek(0), Token::Number(digits, false) if digits == "6") {
        return Err(cursor
            .expected("6")
            .with_hint("Delta tables hold times in microseconds"));
    }
    cursor.skip();
    cursor.expect_token(&Token::RParen)
}

/// A length after a string's or binary's type, which Delta does not keep.
fn length(cursor: &mut Cursor) -> Parse<()> {
    if !cursor.take_token(&Token::LParen) {
        return Ok(());
    }
    if !cursor.take("MAX") {
        cursor.unsigned("a length")?;
    }
    cursor.expect_token(&Token::RParen)
}

fn structure(cursor: &mut Cursor, depth: usize) -> Parse<TypeName> {
    if *cursor.peek(0) == Token::Neq {
        return Err(cursor
            .refusal("STRUCT needs at least one field")
            .with_hint("write STRUCT<name: TYPE, …>"));
    }
    open(cursor, "STRUCT<name: TYPE, …>")?;
    let mut fields: Vec<StructField> = Vec::new();
    loop {
        let place = cursor.location();
        let field = field(cursor, depth)?;
        if fields.iter().any(|other| key(&other.name) == key(&field.name)) {
            return Err(SyntaxError::new(
                format!("the field {} stands twice", field.name.value),
                place,
            ));
        }
        fields.push(field);
        if cursor.half_shift || !cursor.take_token(&Token::Comma) {
            break;
        }
    }
    close(cursor)?;
    Ok(TypeName::Struct(fields))
}

fn field(cursor: &mut Cursor, depth: usize) -> Parse<StructField> {
    let name = cursor.ident("a field name")?;
    cursor.take_token(&Token::Colon);
    let data_type = nested(cursor, depth + 1)?;
    let open = !cursor.half_shift;
    let nullable = !(open && cursor.take("NOT NULL"));
    let comment = if open && cursor.take("COMMENT") {
        Some(cursor.string("a comment")?)
    } else {
        None
    };
    Ok(StructField {
        name,
        data_type,
        nullable,
        comment,
    })
}

fn open(cursor: &mut Cursor, spelling: &str) -> Parse<()> {
    if cursor.take_token(&Token::Lt) {
        Ok(())
    } else {
        Err(cursor.expected("'<'").with_hint(format!("write {spelling}")))
    }
}

/// The `>` that ends a type; `>>` ends two.
fn close(cursor: &mut Cursor) -> Parse<()> {
    if cursor.half_shift {
        cursor.half_shift = false;
        return Ok(());
    }
    match cursor.peek(0) {
        Token::Gt => {
            cursor.skip();
            Ok(())
        }
        Token::ShiftRight => {
            cursor.skip();
            cursor.half_shift = true;
            Ok(())
        }
        _ => Err(cursor.expected("'>'")),
    }
}
