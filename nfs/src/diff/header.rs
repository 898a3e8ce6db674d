//! The first line of a CSV text against the columns of the table.

use super::fields::fields;

/// How the fields of the new text stand to the columns of the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// In the same order.
    Same,
    /// For each column of the base the number of its field in the new text, from 0.
    Other(Vec<usize>),
}

/// What is wrong with the first line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It names no column at all.
    #[error("the first line names no column of the table: it must be {expected}")]
    NoHeader {
        /// The line that it must be.
        expected: String,
    },
    /// It names something else.
    #[error("line 1: there is no column {name} in the table: the first line must be {expected}")]
    Unknown {
        /// The name.
        name: String,
        /// The line that it must be.
        expected: String,
    },
    /// It names a column twice.
    #[error("line 1: the column {name} is there twice: the first line must be {expected}")]
    Duplicate {
        /// The column.
        name: String,
        /// The line that it must be.
        expected: String,
    },
    /// A column is not in it.
    #[error("line 1: the column {name} is missing: the first line must be {expected}")]
    Missing {
        /// The column.
        name: String,
        /// The line that it must be.
        expected: String,
    },
}

/// Compares the first record of a text with the names that the table's columns have.
///
/// # Errors
/// Where the record is not these names in some order.
pub fn check_header<S: AsRef<str>>(columns: &[S], first: &[u8]) -> Result<Order, HeaderError> {
    let expected = || header_line(columns);
    let place = |name: &[u8]| columns.iter().position(|column| column.as_ref().as_bytes() == name);
    let names: Vec<_> = fields(first)
        .map(|field| field.text().unwrap_or(field.raw.into()))
        .collect();
    if !names.iter().any(|name| place(name).is_some()) {
        return Err(HeaderError::NoHeader { expected: expected() });
    }
    let mut order: Vec<Option<usize>> = vec![None; columns.len()];
    for (number, name) in names.iter().enumerate() {
        let shown = || String::from_utf8_lossy(name).into_owned();
        match place(name).and_then(|column| order.get_mut(column)) {
            None => {
                return Err(HeaderError::Unknown {
                    name: shown(),
                    expected: expected(),
                });
            }
            Some(Some(_)) => {
                return Err(HeaderError::Duplicate {
                    name: shown(),
                    expected: expected(),
                });
            }
            Some(free) => *free = Some(number),
        }
    }
    if let Some((column, _)) = columns.iter().zip(&order).find(|(_, field)| field.is_none()) {
        return Err(HeaderError::Missing {
            name: column.as_ref().to_owned(),
            expected: expected(),
        });
    }
    let order: Vec<usize> = order.into_iter().flatten().collect();
    Ok(if order.is_sorted() {
        Order::Same
    } else {
        Order::Other(order)
    })
}

/// The header of these columns, as RFC 4180 has it.
fn header_line<S: AsRef<str>>(columns: &[S]) -> String {
    let quoted = |name: &str| {
        if name.is_empty() || name.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.to_owned()
        }
    };
    columns
        .iter()
        .map(|column| quoted(column.as_ref()))
        .collect::<Vec<_>>()
        .join(",")
}
