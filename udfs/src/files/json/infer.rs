//! The shape of JSON values, and the column type that holds all values of a shape.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// What values have shown, nested as they are; fields in the order in which they came.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Shape {
    /// Nothing but null.
    #[default]
    Null,
    Boolean,
    Integer,
    /// An integer above BIGINT.
    Unsigned,
    Number,
    Text,
    List(Box<Shape>),
    Object(Vec<(String, Shape)>),
    /// Two shapes that no column holds together.
    Conflict(&'static str, &'static str),
}

impl Shape {
    fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
            Self::Text => "text",
            Self::Boolean => "true or false",
            _ => "a number",
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(
            self,
            Self::Boolean | Self::Integer | Self::Unsigned | Self::Number | Self::Text
        )
    }

    /// Notes another value of the same column.
    pub(super) fn merge(&mut self, other: Shape) {
        let known = std::mem::take(self);
        *self = match (known, other) {
            (known, Self::Null) => known,
            (Self::Null, other) => other,
            (known @ Self::Conflict(..), _) | (_, known @ Self::Conflict(..)) => known,
            (Self::List(mut known), Self::List(other)) => {
                known.merge(*other);
                Self::List(known)
            }
            (Self::Object(mut known), Self::Object(other)) => {
                for (name, shape) in other {
                    match known.iter_mut().find(|(field, _)| *field == name) {
                        Some((_, field)) => field.merge(shape),
                        None => known.push((name, shape)),
                    }
                }
                Self::Object(known)
            }
            (known, other) if known == other => known,
            (Self::Integer | Self::Unsigned, Self::Integer | Self::Unsigned) => Self::Unsigned,
            (Self::Integer | Self::Unsigned | Self::Number, Self::Integer | Self::Unsigned | Self::Number) => {
                Self::Number
            }
            (known, other) if known.is_scalar() && other.is_scalar() => Self::Text,
            (known, other) => Self::Conflict(known.name(), other.name()),
        };
    }

    /// The type that holds all values seen. What was only ever null is text.
    ///
    /// # Errors
    /// A field that is an object or array in one row and something else in another, by its path below `path`.
    pub(super) fn data_type(&self, path: &str) -> Result<DataType, String> {
        Ok(match self {
            Self::Null | Self::Text => DataType::Utf8View,
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Unsigned => DataType::Decimal128(20, 0),
            Self::Number => DataType::Float64,
            Self::List(item) => DataType::List(Arc::new(Field::new(
                "item",
                item.data_type(&format!("{path}[]"))?,
                true,
            ))),
            Self::Object(fields) if fields.is_empty() => {
                return Err(format!("{path} is always the empty object, which is no column"));
            }
            Self::Object(fields) => DataType::Struct(
                fields
                    .iter()
                    .map(|(name, shape)| Ok(Field::new(name, shape.data_type(&format!("{path}.{name}"))?, true)))
                    .collect::<Result<_, String>>()?,
            ),
            Self::Conflict(one, other) => {
                return Err(format!(
                    "{path} is {one} in one row and {other} in another, which no column holds together"
                ));
            }
        })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Boolean)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Integer)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(if i64::try_from(value).is_ok() {
            Shape::Integer
        } else {
            Shape::Unsigned
        })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Number)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Text)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::Null;
        while let Some(item) = items.next_element()? {
            shape.merge(item);
        }
        Ok(Shape::List(Box::new(shape)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::Object(Vec::new());
        while let Some((name, value)) = entries.next_entry::<String, Shape>()? {
            shape.merge(Shape::Object(vec![(name, value)]));
        }
        Ok(shape)
    }
}
