//! What a backup consists of, as each run wrote it down: lines of JSON, of which the last vouches for the others.

use bytes::Bytes;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The format that is written, and the newest that is read.
const FORMAT: u32 = 1;
/// The folder of the manifests.
pub(super) const FOLDER: &str = "manifests";

/// One run's part of a backup: what it added, and what the tables amounted to then.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) head: Head,
    pub(super) tables: Vec<TablePart>,
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    /// What tells this backup from every other.
    pub(super) id: String,
    /// Which of the backup's runs it is, from 1.
    pub(super) number: u64,
    /// The checksum of the manifest before.
    pub(super) parent: Option<String>,
    /// When the run began, in microseconds since 1970: no table is older in it.
    pub(super) taken: i64,
    /// Whether it is of a whole lake, or of one table.
    pub(super) lake: bool,
    pub(super) engine: String,
}

/// A table as a run found it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TableHead {
    pub(super) schema: String,
    pub(super) name: String,
    /// Where its files lie, below the backup's folder.
    pub(super) folder: String,
    /// Where it was copied from.
    pub(super) source: String,
    /// The `id` of the table's metadata.
    pub(super) id: String,
    pub(super) version: u64,
    /// The ranges of versions that can be restored, of all runs so far.
    pub(super) restorable: Ranges,
}

/// A table with the files that a run added.
#[derive(Debug, Clone)]
pub(super) struct TablePart {
    pub(super) head: TableHead,
    pub(super) files: Vec<Entry>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Below the table's folder.
    pub(super) path: String,
    pub(super) size: u64,
    /// BLAKE3, in hexadecimal digits.
    pub(super) checksum: String,
    /// The time of a commit, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) time: Option<i64>,
}

/// Ranges of versions, in order, first and last of each.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a version behind all others.
    pub(super) fn push(&mut self, version: u64) {
        match self.0.last_mut() {
            Some((_, last)) if version <= *last => {}
            Some((_, last)) if version == *last + 1 => *last = version,
            _ => self.0.push((version, version)),
        }
    }

    pub(super) fn contains(&self, version: u64) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&version))
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ranges = self.0.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        });
        f.write_str(&ranges.collect::<Vec<_>>().join(", "))
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Backup(Head),
    Table(TableHead),
    File(Entry),
    End(End),
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct End {
    /// How many lines come before.
    lines: u64,
    /// The checksum of all bytes before.
    checksum: String,
}

/// A checksum as manifests write it.
pub(super) fn checksum(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Where the manifest of a run lies.
pub(super) fn path(number: u64) -> Path {
    Path::from(format!("{FOLDER}/{number:010}.jsonl"))
}

/// The run whose manifest has this name.
pub(super) fn number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".jsonl")?.parse().ok()?;
    (path(number).filename() == Some(name)).then_some(number)
}

impl Head {
    pub(super) fn new(id: String, number: u64, parent: Option<String>, lake: bool) -> Self {
        Self {
            format: FORMAT,
            id,
            number,
            parent,
            taken: chrono::Utc::now().timestamp_micros(),
            lake,
            engine: format!("posixlake/{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

impl Manifest {
    /// # Errors
    /// None that a caller could cause.
    pub(super) fn encode(&self) -> Result<Bytes> {
        let mut bytes = Vec::new();
        let mut lines = 0;
        let mut line = |line: &Line, bytes: &mut Vec<u8>| write_line(line, bytes).map(|()| lines += 1);
        line(&Line::Backup(self.head.clone()), &mut bytes)?;
        for table in &self.tables {
            line(&Line::Table(table.head.clone()), &mut bytes)?;
            for file in &table.files {
                line(&Line::File(file.clone()), &mut bytes)?;
            }
        }
        let checksum = checksum(&bytes);
        write_line(&Line::End(End { lines, checksum }), &mut bytes)?;
        Ok(bytes.into())
    }

    /// # Errors
    /// [`crate::ErrorKind::Corrupt`] where the bytes are not a whole manifest; [`crate::ErrorKind::Unsupported`] where a
    /// newer posixlake wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: &dyn std::fmt::Display| Error::corrupt(format!("it is damaged: {what}"));
        let cut = || damaged(&"it is cut off");
        let all = bytes.strip_suffix(b"\n").ok_or_else(cut)?;
        let end = all.iter().rposition(|byte| *byte == b'\n').ok_or_else(cut)? + 1;
        let (before, last) = bytes.split_at_checked(end).ok_or_else(cut)?;
        let mut lines = Vec::new();
        for line in before.split_inclusive(|byte| *byte == b'\n') {
            lines.push(serde_json::from_slice::<Line>(line).map_err(|error| damaged(&error))?);
        }
        let mut expected = Vec::new();
        let (lines_before, sum) = (lines.len() as u64, checksum(before));
        write_line(
            &Line::End(End {
                lines: lines_before,
                checksum: sum,
            }),
            &mut expected,
        )?;
        let mut lines = lines.into_iter();
        let Some(Line::Backup(head)) = lines.next() else {
            return Err(damaged(&"it does not begin as one"));
        };
        if head.format > FORMAT {
            return Err(Error::unsupported(format!(
                "its format is {}, of a newer posixlake; this one reads up to {FORMAT}",
                head.format
            )));
        }
        if last != expected {
            return Err(damaged(&"its checksum does not fit"));
        }
        let mut tables: Vec<TablePart> = Vec::new();
        for line in lines {
            match (line, tables.last_mut()) {
                (Line::Table(head), _) => tables.push(TablePart {
                    head,
                    files: Vec::new(),
                }),
                (Line::File(file), Some(table)) => table.files.push(file),
                _ => return Err(damaged(&"its lines are out of order")),
            }
        }
        Ok(Self { head, tables })
    }
}

fn write_line(line: &Line, bytes: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(&mut *bytes, line).map_err(|error| Error::internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut restorable = Ranges::default();
        [0, 1, 2, 5].into_iter().for_each(|version| restorable.push(version));
        Manifest {
            head: Head::new("id".to_string(), 1, None, true),
            tables: vec![TablePart {
                head: TableHead {
                    schema: "default".to_string(),
                    name: "t".to_string(),
                    folder: "tables/default/t/1".to_string(),
                    source: "file:///lake/t/".to_string(),
                    id: "x".to_string(),
                    version: 5,
                    restorable,
                },
                files: vec![Entry {
                    path: "_delta_log/0.json".to_string(),
                    size: 3,
                    checksum: checksum(b"abc"),
                    time: Some(1),
                }],
            }],
        }
    }

    #[test]
    fn ranges_say_what_they_hold() {
        let ranges = manifest().tables[0].head.restorable.clone();
        assert_eq!(ranges.to_string(), "0 to 2, 5");
        assert!(ranges.contains(2) && !ranges.contains(3) && ranges.contains(5));
    }

    #[test]
    fn every_changed_or_missing_byte_is_found() {
        let bytes = manifest().encode().unwrap();
        let read = Manifest::decode(&bytes).unwrap();
        assert_eq!(read.tables[0].files, manifest().tables[0].files);
        for place in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            assert!(Manifest::decode(&changed).is_err(), "byte {place}");
            assert!(Manifest::decode(&bytes[..place]).is_err(), "cut at {place}");
        }
    }
}
