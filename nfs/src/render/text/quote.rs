//! Text inside CSV fields and JSON strings.

/// A table of the bytes in `special`, to look each byte up.
const fn table(special: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut rest = special;
    while let [byte, tail @ ..] = rest {
        // A byte is below 256.
        #[allow(clippy::indexing_slicing)]
        {
            table[*byte as usize] = true;
        }
        rest = tail;
    }
    table
}

static CSV_SPECIAL: [bool; 256] = table(b",\"\n\r");

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Whether a CSV field of these bytes must stand in quotes. The empty field is NULL, so empty text stands in quotes too; so
/// does a byte order mark, which readers pass over where it begins a text.
#[inline]
fn wants_quotes(bytes: &[u8]) -> bool {
    /// Up to here, looking at each byte is cheaper than calling a vectorised search.
    const SHORT: usize = 32;
    if bytes.first() == BYTE_ORDER_MARK.first() && bytes.starts_with(BYTE_ORDER_MARK) {
        return true;
    }
    if bytes.len() <= SHORT {
        bytes.is_empty()
            || bytes
                .iter()
                .any(|byte| CSV_SPECIAL.get(usize::from(*byte)).copied().unwrap_or(false))
    } else {
        memchr::memchr3(b',', b'"', b'\n', bytes).is_some() || memchr::memchr(b'\r', bytes).is_some()
    }
}

/// Appends text as a CSV field.
#[inline]
pub(super) fn csv(bytes: &[u8], out: &mut Vec<u8>) {
    if !wants_quotes(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    csv_quoted(bytes, out);
}

/// Appends text as a CSV field in quotes.
pub(super) fn csv_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = bytes;
    while let Some((head, tail)) = memchr::memchr(b'"', rest).and_then(|at| rest.split_at_checked(at + 1)) {
        out.extend_from_slice(head);
        out.push(b'"');
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

static JSON_SPECIAL: [bool; 256] = {
    let mut table = table(b"\"\\");
    let mut byte = 0;
    while byte < 0x20 {
        #[allow(clippy::indexing_slicing)]
        {
            table[byte] = true;
        }
        byte += 1;
    }
    table
};

/// Appends text as a JSON string. What is not ASCII stays as it is.
pub(super) fn json(bytes: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| JSON_SPECIAL.get(usize::from(*byte)).copied().unwrap_or(false);
    out.push(b'"');
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(special) {
        let (head, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(head);
        let Some((byte, tail)) = tail.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                super::value::hex(&[*control], out);
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv_of(text: &str) -> String {
        let mut out = Vec::new();
        csv(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json_of(text: &str) -> String {
        let mut out = Vec::new();
        json(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quotes_only_where_the_reader_needs_them() {
        assert_eq!(csv_of("plain text"), "plain text");
        assert_eq!(csv_of(" blanks "), " blanks ");
        assert_eq!(csv_of(""), "\"\"");
        assert_eq!(csv_of("a,b"), "\"a,b\"");
        assert_eq!(csv_of("\""), "\"\"\"\"");
        assert_eq!(csv_of("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(csv_of("two\nlines"), "\"two\nlines\"");
        assert_eq!(csv_of("a\rb"), "\"a\rb\"");
        assert_eq!(csv_of("zażółć 🦀"), "zażółć 🦀");
        assert_eq!(csv_of("\u{feff}a\u{feff}"), "\"\u{feff}a\u{feff}\"");
        assert_eq!(csv_of("\u{fefe}"), "\u{fefe}");
        let long = "x".repeat(100);
        assert_eq!(csv_of(&long), long);
        for special in [",", "\"", "\n", "\r"] {
            assert!(csv_of(&format!("{long}{special}{long}")).starts_with('"'));
        }
    }

    #[test]
    fn json_strings() {
        assert_eq!(json_of("a"), "\"a\"");
        assert_eq!(json_of(""), "\"\"");
        assert_eq!(json_of("\"\\\n\r\t\u{1}é\u{7f}"), "\"\\\"\\\\\\n\\r\\t\\u0001é\u{7f}\"");
    }
}
