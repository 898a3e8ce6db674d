//! How a text ends: with a whole record, or in the middle of one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::diff::{Format, Splitter};

/// The end of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The last record has its line end, or there is none.
    Whole,
    /// The last record has no line end.
    Open {
        /// Bytes before it.
        complete: u64,
        /// Whether it is inside quotes.
        quoted: bool,
    },
}

/// Reads a text to its end.
///
/// # Errors
/// As the file's.
pub(crate) fn ending(path: &Path, csv: bool) -> io::Result<Ending> {
    let mut file = File::open(path)?;
    let mut splitter = Splitter::new(if csv { Format::Csv } else { Format::JsonLines }, true);
    let mut buffer = vec![0; 1 << 20];
    let (mut offset, mut complete) = (0u64, 0u64);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let mut piece = buffer.get(..read).unwrap_or_default();
        while !piece.is_empty() {
            match splitter.end(piece) {
                Some(end) => {
                    offset += end as u64;
                    complete = offset;
                    piece = piece.get(end..).unwrap_or_default();
                    splitter.restart();
                }
                None => {
                    offset += piece.len() as u64;
                    break;
                }
            }
        }
    }
    if complete == offset {
        return Ok(Ending::Whole);
    }
    Ok(Ending::Open {
        complete,
        quoted: splitter.unclosed().is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_with_a_record_or_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (text, expected) in [
            ("", Ending::Whole),
            ("a,b\n1,2\n", Ending::Whole),
            (
                "a,b\n1,2",
                Ending::Open {
                    complete: 4,
                    quoted: false,
                },
            ),
            (
                "a,b\n1,\"x\n",
                Ending::Open {
                    complete: 4,
                    quoted: true,
                },
            ),
            ("a\n\"x\ny\"\n", Ending::Whole),
            (
                "a\n\"x\"\"\n",
                Ending::Open {
                    complete: 2,
                    quoted: true,
                },
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(ending(&path, true).unwrap(), expected, "{text:?}");
        }
        std::fs::write(&path, "{\"a\":\"\n").unwrap();
        assert_eq!(ending(&path, false).unwrap(), Ending::Whole);
    }
}
