//! The fields of a CSV record.

use std::borrow::Cow;

use memchr::memchr;

/// One field of a CSV record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The text as it stands, quotes included.
    pub raw: &'a [u8],
    /// Whether it begins with a quote. A field without text that is not quoted is NULL.
    pub quoted: bool,
}

impl<'a> Field<'a> {
    /// The text without its quotes. `None`: the closing quote is missing, or text follows it.
    pub fn text(&self) -> Option<Cow<'a, [u8]>> {
        if !self.quoted {
            return Some(Cow::Borrowed(self.raw));
        }
        let inner = self.raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if memchr(b'"', inner).is_none() {
            return Some(Cow::Borrowed(inner));
        }
        let mut text = Vec::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(at) = memchr(b'"', rest) {
            text.extend_from_slice(rest.get(..=at)?);
            rest = rest.get(at + 1..)?.strip_prefix(b"\"")?;
        }
        text.extend_from_slice(rest);
        Some(Cow::Owned(text))
    }
}

/// The fields of a CSV record, one after the other.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

/// Cuts a record (without its line end) into its fields. There is always one at least.
pub fn fields(record: &[u8]) -> Fields<'_> {
    Fields { rest: Some(record) }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.rest?;
        let quoted = rest.first() == Some(&b'"');
        let from = if quoted { closing_end(rest) } else { 0 };
        let end = memchr(b',', rest.get(from..)?).map(|at| from + at);
        self.rest = end.and_then(|end| rest.get(end + 1..));
        Some(Field {
            raw: rest.get(..end.unwrap_or(rest.len()))?,
            quoted,
        })
    }
}

/// Behind the quote that closes a field which begins with one: the first that is not one of two. The end, where none closes it.
fn closing_end(field: &[u8]) -> usize {
    let mut from = 1;
    while let Some(at) = field.get(from..).and_then(|rest| memchr(b'"', rest)) {
        from += at + 1;
        if field.get(from) != Some(&b'"') {
            return from;
        }
        from += 1;
    }
    field.len()
}
