//! Where JSON objects end: at line ends, or, in an array or spread over lines, where their braces close.

use super::super::chunk::Boundaries;

/// How the objects of a file follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Not seen yet.
    Unknown,
    /// One object a line.
    Lines,
    /// Objects with white space between them, over any number of lines.
    Values,
    /// One array of objects; its brackets and commas are turned into spaces as they are met.
    Array,
}

/// Follows braces and strings.
#[derive(Debug)]
pub(super) struct JsonBoundaries {
    form: Form,
    position: usize,
    depth: usize,
    in_string: bool,
    /// Where the object that the scan is in begins.
    begin: usize,
    end: usize,
    /// In an array: an object stands before the position, and a comma or the end must follow.
    after_value: bool,
    after_comma: bool,
    closed: bool,
}

const NOT_AN_OBJECT: &str = "not a JSON object; a file holds one object a line, or one array of objects";

impl JsonBoundaries {
    pub(super) fn new() -> Self {
        Self {
            form: Form::Unknown,
            position: 0,
            depth: 0,
            in_string: false,
            begin: 0,
            end: 0,
            after_value: false,
            after_comma: false,
            closed: false,
        }
    }

    /// Looks at the start of the file; nothing where more is needed to tell.
    fn find_form(&mut self, bytes: &mut [u8]) -> Result<(), (usize, String)> {
        let Some(at) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            return Ok(());
        };
        match bytes.get_mut(at) {
            Some(byte) if *byte == b'[' => {
                *byte = b' ';
                self.form = Form::Array;
            }
            Some(b'{') => {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(line_end) = memchr::memchr(b'\n', rest) else {
                    return Ok(());
                };
                let line = rest.get(..line_end).unwrap_or_default();
                let whole = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
                // A first line that is wrong is better told as such than taken for the start of a longer object.
                let goes_on = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof());
                self.form = if whole || !goes_on { Form::Lines } else { Form::Values };
            }
            _ => return Err((at, NOT_AN_OBJECT.into())),
        }
        Ok(())
    }

    fn outside(&mut self, byte: &mut u8, at: usize) -> Result<(), (usize, String)> {
        match (*byte, self.depth) {
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            (_, 0) if self.closed => return Err((at, "text after the array".into())),
            (b'{', 0) => {
                if self.form == Form::Array && self.after_value {
                    return Err((at, "a comma is missing between two objects of the array".into()));
                }
                self.begin = at;
                self.depth = 1;
                self.after_comma = false;
            }
            (b',', 0) if self.form == Form::Array && self.after_value => {
                *byte = b' ';
                self.after_value = false;
                self.after_comma = true;
            }
            (b']', 0) if self.form == Form::Array && !self.after_comma => {
                *byte = b' ';
                self.closed = true;
            }
            (b',' | b']', 0) if self.form == Form::Array => {
                return Err((at, "an object is missing in the array".into()));
            }
            (_, 0) => return Err((at, NOT_AN_OBJECT.into())),
            (b'"', _) => self.in_string = true,
            (b'{' | b'[', _) => self.depth += 1,
            (b'}' | b']', _) => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.end = at + 1;
                    self.after_value = true;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Boundaries for JsonBoundaries {
    fn advance(&mut self, bytes: &mut [u8], seen: usize) -> Result<usize, (usize, String)> {
        if self.form == Form::Unknown {
            self.find_form(bytes)?;
        }
        match self.form {
            Form::Unknown => return Ok(0),
            Form::Lines => {
                let unseen = bytes.get(seen..).unwrap_or_default();
                // The form may have been found only now: what was seen before holds no line end then.
                return Ok(memchr::memrchr(b'\n', unseen).map_or(0, |at| seen + at + 1));
            }
            Form::Values | Form::Array => {}
        }
        while self.position < bytes.len() {
            let at = self.position;
            if self.in_string {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                    self.position = bytes.len();
                    break;
                };
                if rest.get(found) == Some(&b'"') {
                    self.in_string = false;
                    self.position = at + found + 1;
                } else if at + found + 1 < bytes.len() {
                    self.position = at + found + 2;
                } else {
                    self.position = at + found;
                    break;
                }
            } else if let Some(byte) = bytes.get_mut(at) {
                self.outside(byte, at)?;
                self.position += 1;
            }
        }
        Ok(self.end)
    }

    fn cut(&mut self, count: usize) {
        self.position = self.position.saturating_sub(count);
        self.begin = self.begin.saturating_sub(count);
        self.end = 0;
    }

    fn finish(&self) -> Result<(), (usize, String)> {
        if self.depth > 0 {
            return Err((self.begin, "the object that begins here is not closed".into()));
        }
        if self.form == Form::Array && !self.closed {
            return Err((self.position, "the array is not closed".into()));
        }
        Ok(())
    }
}
