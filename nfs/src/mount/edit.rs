//! From a new text to a statement: what differs becomes one INSERT, MERGE or DELETE.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use futures::TryStreamExt;
use uuid::Uuid;

use super::Mount;
use super::refusal::{Refusal, explained};
use super::session::{blocking, disk};
use super::statement::{self, Holds};
use super::table::Table;
use crate::diff::{Change, Changes, Compare, Header, read_header, reorder};
use crate::lake::{Author, DataFile, LakeError, Statement, Version};
use crate::render::{Format, Rendering};

/// How many changes are given places at once.
const BATCH: usize = 65_536;

/// A text that is to become the table's.
#[derive(Debug, Clone)]
pub(crate) struct NewText {
    /// Where it is, from its first byte.
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    /// What its writer saw.
    pub(crate) base: Arc<Version>,
    pub(crate) rendering: Arc<Rendering>,
}

/// Who edits, and under which transaction the statement runs.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub(crate) author: Author,
    pub(crate) transaction: Option<(String, i64)>,
}

/// What a new text changes.
#[derive(Debug)]
pub(crate) struct Prepared {
    text: NewText,
    changes: Changes,
}

/// What became of an edit.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The table's latest version after it.
    pub(crate) version: Arc<Version>,
}

impl Prepared {
    pub(crate) fn is_nothing(&self) -> bool {
        self.changes.removed() + self.changes.added() + self.changes.changed() == 0
    }

    /// Rows that go without one that comes in their place.
    pub(crate) fn removed(&self) -> u64 {
        self.changes.removed()
    }
}

/// The numbers of lines: which line of an edit's file is which line of the user's text.
#[derive(Debug, Default)]
struct Lines {
    pairs: Vec<(u64, u64)>,
}

impl Lines {
    fn of(&self, line: u64) -> Option<u64> {
        let at = self.pairs.partition_point(|&(edit, _)| edit <= line).checked_sub(1)?;
        self.pairs.get(at).map(|&(edit, user)| user + (line - edit))
    }
}

impl Mount {
    /// Finds what a new text changes.
    ///
    /// # Errors
    /// A header that is not the table's, broken quotes, a text that is not UTF-8.
    pub(crate) async fn compare(&self, mut text: NewText) -> Result<Prepared, Refusal> {
        let (mut start, mut line) = (0, 1);
        if text.format == Format::Csv {
            let names: Vec<String> = text.base.schema.fields().iter().map(|field| field.name().clone()).collect();
            let path = text.path.clone();
            let header = blocking(move || Ok(read_header(&path, &names))).await.map_err(disk)?;
            match header.map_err(|error| Refusal::invalid(error.to_string()))? {
                Header::Same { end } => (start, line) = (end.offset, end.line),
                Header::Reordered { end, order } => {
                    let (from, to) = (text.path.clone(), self.sessions_folder().join(format!("{}.reordered", Uuid::new_v4())));
                    text.path = to.clone();
                    (start, line) = blocking(move || reorder(&from, end, &order, &to).map(|()| (0, end.line))).await.map_err(disk)?;
                }
            }
        }
        let compare = Compare {
            path: text.path.clone(),
            offset: start,
            line,
            csv: text.format == Format::Csv,
            spill: self.sessions_folder(),
        };
        let changes = crate::diff::compare(text.rendering.body(), compare)
            .await
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        Ok(Prepared { text, changes })
    }

    /// Runs the statement that a comparison asks for. Nothing happens where nothing differs.
    ///
    /// # Errors
    /// As the statement's, in words for whoever wrote the text.
    pub(crate) async fn apply(&self, table: &Table, prepared: &Prepared, by: &By) -> Result<Applied, Refusal> {
        let _one_at_a_time = table.editing.lock().await;
        let latest = table.latest(self.lake.as_ref()).await?;
        if prepared.is_nothing() {
            return Ok(Applied { version: latest });
        }
        let (changes, text) = (&prepared.changes, &prepared.text);
        let same_rows = latest.id == text.base.id && latest.schema == text.base.schema;
        if !same_rows {
            return Err(Refusal {
                status: crate::file_system::Status::NFS3ERR_IO,
                reason: format!("the table changed its columns after version {}, which the edit began with", text.base.number),
            });
        }
        let gone_entirely = changes.added() + changes.changed() == 0 && changes.removed() == text.rendering.rows();
        if gone_entirely {
            let sql = statement::empty(&text.base, latest.number == text.base.number);
            return self.run_edit(table, &sql, by).await.map_err(Into::into);
        }
        let holds = Holds {
            inserts: changes.added() > 0,
            updates: changes.changed() > 0,
            deletes: changes.removed() > 0,
        };
        let places = holds.updates || holds.deletes;
        let extension = if text.format == Format::Csv { "csv" } else { "jsonl" };
        let file = self.sessions_folder().join(format!("edit-{}.{extension}", Uuid::new_v4()));
        let outcome = async {
            let (lines, touched) = self.write_edit(prepared, &file, places).await?;
            let sql = if places {
                let touched: Vec<&str> = touched.iter().map(String::as_str).collect();
                // Rows that come need no look at any file; with them, the files cannot be left out.
                statement::merge(&latest, text.format, &file, None, holds, &touched)
            } else {
                statement::insert(&latest, text.format, &file, None)
            };
            self.run_edit(table, &sql, by).await.map_err(|error| reworded(error, &file, &lines))
        }
        .await;
        let _ = std::fs::remove_file(&file);
        outcome
    }

    /// Adds the rows of a file, all records of which are new, `line` being the user's number of its first line.
    ///
    /// # Errors
    /// As [`Mount::apply`].
    pub(crate) async fn append(&self, table: &Table, format: Format, file: &Path, line: u64, by: &By) -> Result<Applied, Refusal> {
        let _one_at_a_time = table.editing.lock().await;
        let latest = table.latest(self.lake.as_ref()).await?;
        let sql = statement::insert(&latest, format, file, None);
        let lines = Lines { pairs: vec![(1, line)] };
        self.run_edit(table, &sql, by).await.map_err(|error| reworded(error, file, &lines))
    }

    /// Deletes the rows that stood in a version.
    ///
    /// # Errors
    /// As the statement's.
    pub(crate) async fn empty(&self, table: &Table, base: &Version, by: &By) -> Result<Applied, Refusal> {
        let _one_at_a_time = table.editing.lock().await;
        let latest = table.latest(self.lake.as_ref()).await?;
        if base.files.is_empty() {
            return Ok(Applied { version: latest });
        }
        let sql = statement::empty(base, latest.number == base.number);
        self.run_edit(table, &sql, by).await.map_err(Into::into)
    }

    async fn run_edit(&self, table: &Table, sql: &str, by: &By) -> Result<Applied, LakeError> {
        let rows = self.run(sql, by).await?;
        let version = table.latest(self.lake.as_ref()).await?;
        self.record(sql, &version, rows, by).await;
        Ok(Applied { version })
    }

    /// Runs a statement to its end: how many rows it says that it changed.
    ///
    /// # Errors
    /// As the statement's.
    pub(crate) async fn run(&self, sql: &str, by: &By) -> Result<u64, LakeError> {
        let statement = Statement {
            sql: sql.to_string(),
            transaction: by.transaction.clone(),
            author: by.author.clone(),
        };
        let mut rows = self.lake.run(statement).await?;
        let mut count = None;
        while let Some(batch) = rows.batches.try_next().await? {
            let first = batch.columns().first().filter(|column| !column.is_empty()).and_then(|column| cast(column, &DataType::UInt64).ok());
            count = count.or_else(|| first.and_then(|first| first.as_primitive_opt::<UInt64Type>().map(|first| first.value(0))));
        }
        Ok(count.unwrap_or_default())
    }

    /// Writes the rows of an edit: each with its place, where `places` says so. Answers which lines are which, and the files that rows go from.
    async fn write_edit(&self, prepared: &Prepared, path: &Path, places: bool) -> Result<(Lines, Vec<String>), Refusal> {
        let text = &prepared.text;
        let source = Arc::new(File::open(&text.path).map_err(disk)?);
        let mut writer = Writer {
            file: Some(BufWriter::with_capacity(1 << 20, File::create(path).map_err(disk)?)),
            csv: text.format == Format::Csv,
            columns: text.base.schema.fields().len(),
            line: 1,
            lines: Lines::default(),
        };
        let mut touched = vec![false; text.base.files.len()];
        let mut changes = prepared.changes.iter().map_err_into_disk();
        loop {
            let batch: Vec<Change> = changes.by_ref().take(BATCH).collect::<Result<_, _>>()?;
            if batch.is_empty() {
                break;
            }
            let mut ordinals: Vec<u64> = batch.iter().filter_map(Change::ordinal).collect();
            ordinals.sort_unstable();
            let found = text.rendering.places(&ordinals).await?;
            for &(file, _) in &found {
                if let Some(touched) = touched.get_mut(file) {
                    *touched = true;
                }
            }
            let (files, source) = (text.base.clone(), source.clone());
            writer = blocking(move || {
                for change in &batch {
                    let place = change.ordinal().and_then(|ordinal| ordinals.binary_search(&ordinal).ok()).and_then(|at| found.get(at));
                    let place = place.and_then(|&(file, row)| files.files.get(file).map(|file| (file, row)));
                    writer.write(change, place, &source, places)?;
                }
                Ok(writer)
            })
            .await
            .map_err(disk)?;
        }
        if let Some(mut file) = writer.file.take() {
            file.flush().map_err(disk)?;
        }
        let touched = text.base.files.iter().zip(touched).filter(|(_, touched)| *touched).map(|(file, _)| file.path.clone());
        Ok((writer.lines, touched.collect()))
    }
}

/// The writer of an edit's file.
struct Writer {
    file: Option<BufWriter<File>>,
    csv: bool,
    columns: usize,
    line: u64,
    lines: Lines,
}

impl Writer {
    fn write(&mut self, change: &Change, place: Option<(&DataFile, u64)>, source: &File, places: bool) -> io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Ok(()) };
        let record = match change.text() {
            Some((offset, length)) => {
                let mut record = vec![0; usize::try_from(length).map_err(io::Error::other)?];
                source.read_exact_at(&mut record, offset)?;
                record
            }
            None => Vec::new(),
        };
        let user_line = change.line().unwrap_or_default();
        let verb = match change {
            Change::Removed { .. } => "delete",
            Change::Added { .. } => "insert",
            Change::Changed { .. } => "update",
        };
        self.lines.pairs.push((self.line, user_line));
        if !places {
            file.write_all(&record)?;
        } else if self.csv {
            match place {
                Some((data, row)) => write!(file, "\"{}\",{row},{user_line},{verb}", data.path.replace('"', "\"\""))?,
                None => write!(file, ",,{user_line},{verb}")?,
            }
            if record.is_empty() && !matches!(change, Change::Added { .. } | Change::Changed { .. }) {
                file.write_all(&b",".repeat(self.columns))?;
            } else {
                file.write_all(b",")?;
                file.write_all(&record)?;
            }
        } else {
            let place = match place {
                Some((data, row)) => format!("\"_file\":{},\"_row\":{row},", serde_json::Value::from(data.path.as_str())),
                None => String::new(),
            };
            write!(file, "{{{place}\"_line\":{user_line},\"_change\":\"{verb}\"")?;
            let inside = record.trim_ascii();
            let inside = inside.strip_prefix(b"{").unwrap_or(b"}").trim_ascii_start();
            if inside.first().is_some_and(|sign| *sign != b'}') {
                file.write_all(b",")?;
            }
            file.write_all(inside)?;
        }
        file.write_all(b"\n")?;
        self.line += 1 + memchr::memchr_iter(b'\n', &record).count() as u64;
        Ok(())
    }
}

/// A statement's failure as whoever wrote the text can use it.
fn reworded(error: LakeError, file: &Path, lines: &Lines) -> Refusal {
    let message = explained(&error.message, file, |line| lines.of(line));
    let mut refusal = Refusal::from(LakeError { kind: error.kind, message });
    if let Some((_, line)) = refusal.reason.split_once(statement::GONE) {
        refusal.reason = format!("{}{line}: look at the file again and repeat the edit", statement::GONE);
        refusal.status = crate::file_system::Status::NFS3ERR_IO;
    }
    refusal
}

/// Changes read from disk, with the disk's failures as the mount's.
trait MapDisk: Iterator<Item = io::Result<Change>> + Sized {
    fn map_err_into_disk(self) -> impl Iterator<Item = Result<Change, LakeError>> {
        self.map(|change| change.map_err(disk))
    }
}

impl<I: Iterator<Item = io::Result<Change>>> MapDisk for I {}
