//! Suffix names: `t@v3`, `t@20261122100000000`, `t$history` and their combinations.

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::error::{Error, Result};

/// What a table name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    /// The table itself.
    pub(crate) base: String,
    /// The point in its history.
    pub(crate) at: Option<Point>,
    /// The view of it, instead of its rows.
    pub(crate) view: Option<View>,
}

/// A point in a table's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// A version.
    Version(u64),
    /// The latest version at or before this instant.
    Timestamp(DateTime<Utc>),
}

/// What can be seen of a table besides its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum View {
    /// One row a commit.
    History,
    /// One row: format, location, size, protocol.
    Detail,
    /// One row a data file.
    Files,
    /// One row a partition.
    Partitions,
    /// One row a property.
    Properties,
    /// The change data feed, from its first version on.
    Changes,
    /// The rows with `_file` and `_row`.
    Rows,
}

impl View {
    const ALL: [(&'static str, View); 7] = [
        ("history", View::History),
        ("detail", View::Detail),
        ("files", View::Files),
        ("partitions", View::Partitions),
        ("properties", View::Properties),
        ("changes", View::Changes),
        ("rows", View::Rows),
    ];

    /// The suffixes, without their `$`.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }

    fn parse(text: &str) -> Option<View> {
        Self::ALL
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, view)| *view)
    }
}

impl TableName {
    /// Takes a name apart. A name whose `$` or `@` introduces nothing known is an ordinary name.
    ///
    /// # Errors
    /// Where `@v` is followed by a number that is no version, or 17 digits are no time.
    pub(crate) fn parse(name: &str) -> Result<TableName> {
        let (rest, view) = match name.rsplit_once('$') {
            Some((rest, view)) if !rest.is_empty() => match View::parse(view) {
                Some(view) => (rest, Some(view)),
                None => (name, None),
            },
            _ => (name, None),
        };
        let (base, at) = match rest.rsplit_once('@') {
            Some((base, at)) if !base.is_empty() => match parse_point(name, at)? {
                Some(point) => (base, Some(point)),
                None => (rest, None),
            },
            _ => (rest, None),
        };
        Ok(TableName {
            base: base.to_string(),
            at,
            view,
        })
    }
}

fn parse_point(name: &str, text: &str) -> Result<Option<Point>> {
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(version) = text.strip_prefix(['v', 'V'])
        && all_digits(version)
    {
        return match version.parse() {
            Ok(version) => Ok(Some(Point::Version(version))),
            Err(_) => Err(Error::invalid(format!(
                "'{name}': {version} is too large for a version"
            ))),
        };
    }
    if !all_digits(text) {
        return Ok(None);
    }
    let time = (text.len() == 17)
        .then(|| text.split_at_checked(14))
        .flatten()
        .and_then(|(seconds, millis)| {
            NaiveDateTime::parse_from_str(&format!("{seconds}.{millis}"), "%Y%m%d%H%M%S%.3f").ok()
        });
    match time {
        Some(time) => Ok(Some(Point::Timestamp(time.and_utc()))),
        None => Err(Error::invalid(format!(
            "'{name}': '{text}' is neither a version (@v3) nor a time (@yyyyMMddHHmmssSSS, 17 digits in UTC)"
        ))),
    }
}

/// Whether a folder of this name can hold a table: names that hide a folder, leave the lake or read as a suffix name
/// cannot.
///
/// # Errors
/// Where it cannot.
pub(crate) fn check_new_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() || name == "." || name == ".." {
        Some("it is not a folder's name")
    } else if name.contains(['/', '\\', '\0']) {
        Some("it holds a path separator; use LOCATION to put a table elsewhere")
    } else if name.starts_with(['_', '.']) {
        Some("names that start with '_' or '.' are hidden")
    } else if TableName::parse(name).map(|parsed| parsed.base != name).unwrap_or(true) {
        Some("it reads as a version or a view of another table")
    } else {
        None
    };
    match reason {
        Some(reason) => Err(Error::invalid(format!("'{name}' cannot name a table: {reason}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_taken_apart() {
        let parse = |name| TableName::parse(name).unwrap();
        assert_eq!(
            parse("t"),
            TableName {
                base: "t".into(),
                at: None,
                view: None
            }
        );
        assert_eq!(
            parse("t@v3"),
            TableName {
                base: "t".into(),
                at: Some(Point::Version(3)),
                view: None
            }
        );
        assert_eq!(
            parse("a$b@v12$files"),
            TableName {
                base: "a$b".into(),
                at: Some(Point::Version(12)),
                view: Some(View::Files)
            }
        );
        let time = "2026-11-22T10:00:00.123Z".parse().unwrap();
        assert_eq!(parse("t@20261122100000123").at, Some(Point::Timestamp(time)));
        assert_eq!(parse("me@home").base, "me@home");
        assert_eq!(parse("$history").base, "$history");
    }

    #[test]
    fn a_broken_point_is_an_error() {
        assert!(TableName::parse("t@123").is_err());
        assert!(TableName::parse("t@20261322100000123").is_err());
        assert!(TableName::parse("t@v99999999999999999999").is_err());
    }
}
