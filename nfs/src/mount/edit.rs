//! From a new text to a statement: what differs becomes one INSERT, MERGE or DELETE.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use futures::TryStreamExt;
use uuid::Uuid;

use super::Mount;
use super::refusal::{Refusal, explained};
use super::session::disk;
use super::statement::{self, EditFile, Holds, Touched};
use super::table::Table;
use crate::diff::{self, Change, Changes, DiffError, Order};
use crate::failpoint;
use crate::lake::{Author, DataFile, LakeError, Statement, Version};
use crate::render::{Format, Rendering};

/// How many changes are given places at once.
const BATCH: usize = 65_536;
/// And how many bytes of their text.
const BATCH_BYTES: usize = 16 << 20;
/// How many changed rows are paired by key.
const PAIRED: u64 = 1_000_000;

/// A text that is to become the table's, or a part of it.
#[derive(Clone)]
pub(crate) struct NewText {
    /// Where it is, from its first byte.
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    /// What its writer saw.
    pub(crate) base: Arc<Version>,
    pub(crate) rendering: Arc<Rendering>,
    /// The rows that it stands for, and their bytes; `None`: all, with a header where the format has one.
    pub(crate) part: Option<Part>,
}

/// Rows in the middle of a text.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The number of the first row.
    pub(crate) first: u64,
    /// The bytes of the rows as they were.
    pub(crate) bytes: Range<u64>,
}

/// Who edits, and under which transaction the statement runs.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub(crate) author: Author,
    pub(crate) transaction: Option<(String, i64)>,
}

impl By {
    /// The same for a statement that only reads.
    fn reading(&self) -> Self {
        Self {
            transaction: None,
            ..self.clone()
        }
    }
}

/// What a new text changes.
pub(crate) struct Prepared {
    text: NewText,
    changes: Changes,
    /// The columns of the new text's fields, where they stand in another order than the table's.
    order: Option<Vec<usize>>,
}

/// What became of an edit.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// The table's latest version after it.
    pub(crate) version: Arc<Version>,
}

impl Prepared {
    pub(crate) fn is_nothing(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether a row of the base is not there, and none in its place.
    pub(crate) fn lacks_rows(&self) -> bool {
        self.changes.counts().removed > 0
    }

    /// How many rows fewer there are.
    pub(crate) fn removed(&self) -> u64 {
        let counts = self.changes.counts();
        counts.removed.saturating_sub(counts.added)
    }

    /// Rows that come or change.
    pub(crate) fn written(&self) -> u64 {
        let counts = self.changes.counts();
        counts.added + counts.changed
    }

    /// Whether rows come whose keys the table may have already.
    fn may_bring_keys(&self) -> bool {
        let counts = self.changes.counts();
        // Rows of CSV were paired by their keys: what changed kept its own.
        let changed = self.text.format != Format::Csv && counts.changed > 0;
        !self.text.base.key.is_empty() && (counts.added > 0 || changed)
    }

    fn first_row(&self) -> u64 {
        self.text.part.as_ref().map_or(0, |part| part.first)
    }
}

/// The numbers of lines: which line of an edit's file is which line of the user's text.
#[derive(Debug, Default)]
pub(super) struct Lines {
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
    /// A header that is not the table's, or broken quotes.
    pub(crate) async fn compare(&self, text: NewText) -> Result<Prepared, Refusal> {
        let names: Vec<String> = text
            .base
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let (path, format, whole) = (text.path.clone(), text.format, text.part.is_none());
        let opened = tokio::task::spawn_blocking(move || {
            let file = Arc::new(File::open(path)?);
            match format {
                Format::Csv if whole => diff::NewText::csv(file, &names),
                Format::Csv => {
                    let end = file.metadata()?.len();
                    Ok(diff::NewText {
                        file,
                        format: diff::Format::Csv,
                        start: 0,
                        end,
                        line: 1,
                        order: Order::Same,
                        skip_blank: names.len() > 1,
                    })
                }
                Format::JsonLines | Format::Json => diff::NewText::json_lines(file),
            }
        });
        let new = opened
            .await
            .map_err(|error| disk(io::Error::other(error)))?
            .map_err(refused)?;
        let order = match &new.order {
            Order::Same => None,
            Order::Other(fields) => {
                let mut columns: Vec<usize> = (0..fields.len()).collect();
                columns.sort_by_key(|column| fields.get(*column).copied());
                Some(columns)
            }
        };
        let bytes = match &text.part {
            Some(part) => part.bytes.clone(),
            None => text.rendering.header().len() as u64..text.rendering.size(),
        };
        let options = diff::Options {
            folder: self.options.edits(),
            base_size: Some(bytes.end - bytes.start),
            ..diff::Options::default()
        };
        let changes = diff::diff(text.rendering.text(bytes.clone()), new, options)
            .await
            .map_err(refused)?;
        let changes = if text.base.key.is_empty() || changes.is_empty() {
            changes
        } else {
            self.paired(&text, changes, bytes).await?
        };
        Ok(Prepared { text, changes, order })
    }

    /// Rows of equal key are one row that changed.
    async fn paired(&self, text: &NewText, changes: Changes, bytes: Range<u64>) -> Result<Changes, Refusal> {
        let columns: Vec<usize> = text
            .base
            .key
            .iter()
            .filter_map(|name| text.base.schema.index_of(name).ok())
            .collect();
        if text.format != Format::Csv || columns.len() != text.base.key.len() {
            return Ok(changes);
        }
        let base = text.rendering.text(bytes);
        let new_columns = match &changes.new_text().order {
            Order::Same => columns.clone(),
            Order::Other(fields) => columns
                .iter()
                .filter_map(|column| fields.get(*column).copied())
                .collect(),
        };
        diff::pair_by_key(
            changes,
            base,
            diff::csv_key(columns),
            diff::csv_key(new_columns),
            PAIRED,
        )
        .await
        .map_err(refused)
    }

    /// Runs the statement that a comparison asks for. Nothing happens where nothing differs.
    ///
    /// # Errors
    /// As the statement's, in words for whoever wrote the text.
    pub(crate) async fn apply(&self, table: &Table, prepared: &Prepared, by: &By) -> Result<Applied, Refusal> {
        let _one_at_a_time = table.editing.lock().await;
        let latest = table.newest(self.lake.as_ref()).await?;
        if prepared.is_nothing() {
            return Ok(Applied { version: latest });
        }
        let (changes, text) = (&prepared.changes, &prepared.text);
        let same_rows = latest.id == text.base.id && latest.schema == text.base.schema;
        if !same_rows {
            return Err(Refusal {
                status: crate::file_system::Status::NFS3ERR_IO,
                reason: format!(
                    "the table changed its columns after version {}, which the edit began with",
                    text.base.number
                ),
            });
        }
        let counts = changes.counts();
        let gone_entirely = counts.added + counts.changed == 0 && counts.removed == text.rendering.rows();
        if gone_entirely {
            let sql = statement::empty(&text.base, latest.number == text.base.number);
            return self.run_edit(table, &sql, by).await.map_err(Into::into);
        }
        let holds = Holds {
            inserts: counts.added > 0,
            updates: counts.changed > 0,
            deletes: counts.removed > 0,
        };
        let places = holds.updates || holds.deletes;
        let brings_keys = prepared.may_bring_keys();
        let order = prepared.order.as_deref();
        let file = self.edit_file(text.format);
        let outcome = async {
            let placed = places || brings_keys;
            let (lines, touched) = self.write_edit(prepared, &file, placed).await?;
            let edit = EditFile {
                path: &file,
                format: text.format,
                order,
                placed,
            };
            if brings_keys {
                self.check_keys(&latest, edit, places, &lines, by).await?;
            }
            let sql = if places {
                statement::merge(&latest, edit, holds, &touched)
            } else {
                statement::insert(&latest, edit)
            };
            self.run_edit(table, &sql, by)
                .await
                .map_err(|error| reworded(error, &file, &lines))
        }
        .await;
        let _ = std::fs::remove_file(&file);
        outcome
    }

    /// Adds the rows of a file, all records of which are new, `line` being the user's number of its first line.
    ///
    /// # Errors
    /// As [`Mount::apply`].
    pub(crate) async fn append(
        &self,
        table: &Table,
        format: Format,
        file: &Path,
        line: u64,
        by: &By,
    ) -> Result<Applied, Refusal> {
        let _one_at_a_time = table.editing.lock().await;
        let latest = table.newest(self.lake.as_ref()).await?;
        if !latest.key.is_empty() {
            self.check_appended(&latest, format, file, line, by).await?;
        }
        let edit = EditFile {
            path: file,
            format,
            order: None,
            placed: false,
        };
        let sql = statement::insert(&latest, edit);
        let lines = Lines { pairs: vec![(1, line)] };
        self.run_edit(table, &sql, by)
            .await
            .map_err(|error| reworded(error, file, &lines))
    }

    /// Deletes the rows that stood in a version.
    ///
    /// # Errors
    /// As the statement's.
    pub(crate) async fn empty(&self, table: &Table, base: &Version, by: &By) -> Result<Applied, Refusal> {
        let _one_at_a_time = table.editing.lock().await;
        let latest = table.newest(self.lake.as_ref()).await?;
        if base.files.is_empty() {
            return Ok(Applied { version: latest });
        }
        let sql = statement::empty(base, latest.number == base.number);
        self.run_edit(table, &sql, by).await.map_err(Into::into)
    }

    async fn run_edit(&self, table: &Table, sql: &str, by: &By) -> Result<Applied, LakeError> {
        failpoint::at("mount.statement.begins").map_err(disk)?;
        let rows = self.run(sql, by).await?;
        failpoint::at("mount.statement.done").map_err(disk)?;
        let version = table.newest(self.lake.as_ref()).await?;
        if rows == 0 {
            // The new text says what the table says in other spellings. Whoever opens the file anew is to see the table's.
            table.state.lock().turn();
        } else {
            self.record(sql, &version, rows, by).await;
        }
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
            let first = batch
                .columns()
                .first()
                .filter(|column| !column.is_empty())
                .and_then(|column| cast(column, &DataType::UInt64).ok());
            count = count
                .or_else(|| first.and_then(|first| first.as_primitive_opt::<UInt64Type>().map(|first| first.value(0))));
        }
        Ok(count.unwrap_or_default())
    }

    /// Reads the rows that are to come as the statement will: they must fit the columns.
    ///
    /// # Errors
    /// As the reader's.
    pub(crate) async fn try_rows(&self, prepared: &Prepared, by: &By) -> Result<(), Refusal> {
        if prepared.written() == 0 {
            return Ok(());
        }
        let text = &prepared.text;
        let file = self.edit_file(text.format);
        let outcome = async {
            let placed = prepared.may_bring_keys();
            let (lines, _) = self.write_edit(prepared, &file, placed).await?;
            let edit = EditFile {
                path: &file,
                format: text.format,
                order: prepared.order.as_deref(),
                placed,
            };
            self.run(&statement::read(&text.base, edit), &by.reading())
                .await
                .map_err(|error| reworded(error, &file, &lines))?;
            if placed {
                self.check_keys(&text.base, edit, true, &lines, by).await?;
            }
            Ok(())
        }
        .await;
        let _ = std::fs::remove_file(&file);
        outcome
    }

    pub(super) fn edit_file(&self, format: Format) -> PathBuf {
        let extension = if format == Format::Csv { "csv" } else { "jsonl" };
        self.options
            .edits()
            .join(format!("edit-{}.{extension}", Uuid::new_v4()))
    }

    /// Writes the rows of an edit: each with its place, where `places` says so, else only those that come. Answers which lines are which, and the files that
    /// rows go from.
    async fn write_edit(&self, prepared: &Prepared, path: &Path, places: bool) -> Result<(Lines, Touched), Refusal> {
        let text = &prepared.text;
        let first = prepared.first_row();
        let mut writer = Writer::create(path, text.format, text.base.schema.fields().len()).map_err(disk)?;
        let mut in_files = vec![false; text.base.files.len()];
        let mut touched = Touched::default();
        let mut walk = prepared.changes.walk();
        loop {
            let mut batch: Vec<(Change, Vec<u8>)> = Vec::new();
            let mut bytes = 0;
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Some(change) = walk.advance().map_err(refused)? else {
                    break;
                };
                if places || !matches!(change, Change::Removed { .. }) {
                    bytes += walk.text().len();
                    batch.push((change, walk.text().to_vec()));
                }
            }
            if batch.is_empty() {
                break;
            }
            let mut ordinals: Vec<u64> = batch
                .iter()
                .filter_map(|(change, _)| ordinal(change))
                .map(|ordinal| first + ordinal)
                .collect();
            ordinals.sort_unstable();
            let found = if places {
                text.rendering.places(&ordinals).await?
            } else {
                Vec::new()
            };
            for &(file, row) in &found {
                touched.add(row);
                if let Some(touched) = in_files.get_mut(file) {
                    *touched = true;
                }
            }
            for (change, record) in &batch {
                let at = ordinal(change).and_then(|ordinal| ordinals.binary_search(&(first + ordinal)).ok());
                let place = at
                    .and_then(|at| found.get(at))
                    .and_then(|&(file, row)| text.base.files.get(file).map(|file| (file, row)));
                writer.write(change, record, place, places).map_err(disk)?;
            }
        }
        let lines = writer.finish().map_err(disk)?;
        let files = text.base.files.iter().zip(in_files);
        touched.files = files
            .filter(|(_, touched)| *touched)
            .map(|(file, _)| file.path.clone())
            .collect();
        Ok((lines, touched))
    }
}

fn ordinal(change: &Change) -> Option<u64> {
    match change {
        Change::Removed { ordinal } | Change::Changed { ordinal, .. } => Some(*ordinal),
        Change::Added(_) => None,
    }
}

/// The writer of an edit's file.
pub(super) struct Writer {
    file: BufWriter<File>,
    csv: bool,
    columns: usize,
    line: u64,
    lines: Lines,
}

impl Writer {
    pub(super) fn create(path: &Path, format: Format, columns: usize) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, File::create(path)?),
            csv: format == Format::Csv,
            columns,
            line: 1,
            lines: Lines::default(),
        })
    }

    /// # Errors
    /// As the disk's.
    pub(super) fn write(
        &mut self,
        change: &Change,
        record: &[u8],
        place: Option<(&DataFile, u64)>,
        places: bool,
    ) -> io::Result<()> {
        let file = &mut self.file;
        let (verb, line) = match change {
            Change::Removed { .. } => ("delete", 0),
            Change::Added(new) => ("insert", new.line),
            Change::Changed { new, .. } => ("update", new.line),
        };
        self.lines.pairs.push((self.line, line));
        if !places {
            file.write_all(record)?;
        } else if self.csv {
            match place {
                Some((data, row)) => write!(file, "\"{}\",{row},{line},{verb},", data.path.replace('"', "\"\""))?,
                None => write!(file, ",,{line},{verb},")?,
            }
            if verb == "delete" {
                file.write_all(&b",".repeat(self.columns.saturating_sub(1)))?;
            } else {
                file.write_all(record)?;
            }
        } else {
            let place = match place {
                Some((data, row)) => format!(
                    "\"_file\":{},\"_row\":{row},",
                    serde_json::Value::from(data.path.as_str())
                ),
                None => String::new(),
            };
            write!(file, "{{{place}\"_line\":{line},\"_change\":\"{verb}\"")?;
            let inside = record.trim_ascii();
            let inside = inside.strip_prefix(b"{").unwrap_or(b"}").trim_ascii_start();
            if inside.first().is_some_and(|sign| *sign != b'}') {
                file.write_all(b",")?;
            }
            file.write_all(inside)?;
        }
        file.write_all(b"\n")?;
        self.line += 1 + memchr::memchr_iter(b'\n', record).count() as u64;
        Ok(())
    }

    /// # Errors
    /// As the disk's.
    pub(super) fn finish(mut self) -> io::Result<Lines> {
        self.file.flush()?;
        Ok(self.lines)
    }
}

/// Why two texts cannot be compared.
pub(super) fn refused(error: DiffError) -> Refusal {
    match error {
        DiffError::Base(error) => error.into(),
        DiffError::Io(error) => disk(error).into(),
        error => Refusal::invalid(error.to_string()),
    }
}

/// A statement's failure as whoever wrote the text can use it.
pub(super) fn reworded(error: LakeError, file: &Path, lines: &Lines) -> Refusal {
    let message = explained(&error.message, file, |line| lines.of(line));
    let mut refusal = Refusal::from(LakeError {
        kind: error.kind,
        message,
    });
    if let Some((_, line)) = refusal.reason.split_once(statement::GONE) {
        refusal.reason = format!("{}{line}: look at the file again and repeat the edit", statement::GONE);
        refusal.status = crate::file_system::Status::NFS3ERR_IO;
    }
    refusal
}
