//! What the user's system says: folders of posixlake's own, and sizes as people write them.

use std::ffi::OsString;
use std::path::PathBuf;

/// posixlake's folder below the one that a variable names, or below its default in the home folder.
pub(crate) fn folder(variable: &str, default: &str) -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value: &OsString| !value.is_empty())
            .map(PathBuf::from)
    };
    // A relative path here is to be ignored, says the standard behind these variables.
    let base = set(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(set("HOME")?.join(default)))?;
    Some(base.join("posixlake"))
}

/// Bytes, or a number with one of the units k, m, g and t, each 1024 times the one before.
///
/// # Errors
/// Where the text is none of that, or zero.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let expected = || "a number of bytes above 0 is needed, such as 512m or 10g (units: b, k, m, g, t)".to_string();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(expected)?;
    let number: usize = number.parse().map_err(|_| expected())?;
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(expected()),
    };
    let bytes = 1024_usize.checked_pow(power).and_then(|unit| unit.checked_mul(number));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1", 1),
            ("7b", 7),
            ("2k", 2048),
            ("3MB", 3 << 20),
            ("10g", 10 << 30),
            ("1 TiB", 1 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "g", "-1", "1x", "1.5g", "99999999999999999999", "99999999t"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
