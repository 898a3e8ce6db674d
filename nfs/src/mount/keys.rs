//! No two rows of one primary key: what an edit brings is looked up before it becomes a statement.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use futures::TryStreamExt;

use super::Mount;
use super::edit::{By, Lines, Writer, refused, reworded};
use super::refusal::Refusal;
use super::session::disk;
use super::statement::{self, EditFile};
use crate::diff::{self, Change, FilePieces, Records};
use crate::lake::{Statement, Version};
use crate::render::Format;

/// The most bytes that a record may have.
const RECORD_LIMIT: usize = 64 << 20;

impl Mount {
    /// Refuses an edit, whose file has places, that brings a key twice, or one that a row of the table keeps. `places`: whether rows of
    /// the table go or change.
    ///
    /// # Errors
    /// The line and the key; as the statements'.
    pub(super) async fn check_keys(
        &self,
        version: &Version,
        edit: EditFile<'_>,
        places: bool,
        lines: &Lines,
        by: &By,
    ) -> Result<(), Refusal> {
        let key = version.key.join(", ");
        if let Some(found) = self
            .first_row(&statement::key_twice(version, edit), edit, lines, by)
            .await?
            && let [first, second, values @ ..] = found.as_slice()
        {
            return Err(Refusal::invalid(format!(
                "lines {first} and {second} have the same key ({key}: {})",
                values.join(", ")
            )));
        }
        if let Some(found) = self
            .first_row(&statement::key_taken(version, edit, places), edit, lines, by)
            .await?
            && let [line, values @ ..] = found.as_slice()
        {
            return Err(Refusal::invalid(format!(
                "line {line}: another row has this key ({key}: {})",
                values.join(", ")
            )));
        }
        Ok(())
    }

    /// The same for a file whose rows all come, `line` being the user's number of its first line.
    ///
    /// # Errors
    /// As [`Mount::check_keys`].
    pub(super) async fn check_appended(
        &self,
        version: &Version,
        format: Format,
        file: &Path,
        line: u64,
        by: &By,
    ) -> Result<(), Refusal> {
        let placed = self.edit_file(format);
        let (from, to, columns) = (file.to_path_buf(), placed.clone(), version.schema.fields().len());
        let written = tokio::task::spawn_blocking(move || with_lines(&from, format, columns, line, &to));
        let outcome = async {
            let lines = written
                .await
                .map_err(|error| disk(std::io::Error::other(error)))?
                .map_err(refused)?;
            let edit = EditFile {
                path: &placed,
                format,
                order: None,
                placed: true,
            };
            self.check_keys(version, edit, false, &lines, by).await
        }
        .await;
        let _ = std::fs::remove_file(&placed);
        outcome
    }

    /// The first row of a query on an edit's file, as texts.
    async fn first_row(
        &self,
        sql: &str,
        edit: EditFile<'_>,
        lines: &Lines,
        by: &By,
    ) -> Result<Option<Vec<String>>, Refusal> {
        let statement = Statement {
            sql: sql.to_string(),
            transaction: None,
            author: by.author.clone(),
        };
        let found = async {
            let mut rows = self.lake.run(statement).await?;
            while let Some(batch) = rows.batches.try_next().await? {
                if batch.num_rows() > 0 {
                    let texts = batch.columns().iter().map(|column| array_value_to_string(column, 0));
                    return Ok(Some(texts.map(Result::unwrap_or_default).collect()));
                }
            }
            Ok(None)
        };
        found.await.map_err(|error| reworded(error, edit.path, lines))
    }
}

/// Writes records anew, each with the number of its line.
fn with_lines(from: &Path, format: Format, columns: usize, line: u64, to: &Path) -> diff::Result<Lines> {
    let file = Arc::new(File::open(from)?);
    let end = file.metadata()?.len();
    let cut = match format {
        Format::Csv => diff::Format::Csv,
        Format::JsonLines | Format::Json => diff::Format::JsonLines,
    };
    // No text begins here, so that nothing is taken for a byte order mark.
    let records = Records::new(FilePieces::new(file, 0, end), cut, 1, line, RECORD_LIMIT);
    let mut records = records.skip_blank(columns > 1 || cut == diff::Format::JsonLines);
    let mut writer = Writer::create(to, format, columns)?;
    while let Some(place) = records.advance()? {
        writer.write(&Change::Added(place), records.text(), None, true)?;
    }
    Ok(writer.finish()?)
}
