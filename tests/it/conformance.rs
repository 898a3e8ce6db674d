//! Reads the golden tables that Spark and others wrote, and compares them with the rows that they are known to hold.
//!
//! The tables are not part of the project: `POSIXLAKE_CONFORMANCE` names the folder with their archives.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use posixlake::{ErrorKind, Session};
use tempfile::TempDir;

use crate::support::{lines, run, session};

/// Tables that cannot be read, and have to be refused, with a part of the error's text. Those of the second group are
/// logs without their data files (or with one-byte files in their place): their rows cannot be had.
const DAMAGED: [(&str, &str); 17] = [
    ("data-reader-absolute-paths-escaped-chars", "has no metadata"),
    ("deltalog-commit-info", "schemaString"),
    ("deltalog-invalid-protocol-version", "Reader features"),
    (
        "deltalog-state-reconstruction-from-checkpoint-missing-metadata",
        "has no metadata",
    ),
    (
        "deltalog-state-reconstruction-from-checkpoint-missing-protocol",
        "schemaString",
    ),
    ("deltalog-state-reconstruction-without-metadata", "has no metadata"),
    ("deltalog-state-reconstruction-without-protocol", "has no protocol"),
    ("no-delta-log-folder", "no table 'data'"),
    ("update-deleted-directory", "schemaString"),
    ("versions-not-contiguous", "the log lacks version"),
    ("canonicalized-paths-normal-a", "some/unqualified/absolute/path"),
    ("canonicalized-paths-normal-b", "some/unqualified/absolute/path"),
    ("canonicalized-paths-special-a", "some/unqualified/with space/p@#h"),
    ("canonicalized-paths-special-b", "some/unqualified/with space/p@#h"),
    ("checkpoint", "file length is 1"),
    ("delete-re-add-same-file-different-transactions", "file length is 1"),
    ("log-replay-special-characters-b", "special p@#h"),
];

/// Tables that could be read and are not, or not in this way, each with the reason and a part of the error's text.
const NOT_YET: [(&str, &str, &str); 1] = [(
    "hive",
    "a folder of tables in one archive, not a table",
    "no table 'data'",
)];

/// Tables whose expected rows are known to be wrong, with the reason.
const WRONG_EXPECTATION: [(&str, &str); 1] = [(
    "data-reader-partition-values",
    "a partition value that is a time without a zone is UTC; the expected rows take it for Pacific time",
)];

#[derive(Debug, Default)]
struct Counts {
    equal: usize,
    opened: usize,
    refused: usize,
    not_yet: usize,
}

fn archives() -> Option<Vec<PathBuf>> {
    let folder = PathBuf::from(std::env::var_os("POSIXLAKE_CONFORMANCE")?);
    let mut archives: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("POSIXLAKE_CONFORMANCE: {}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".tar.zst"))
        .collect();
    archives.sort();
    Some(archives)
}

fn unpack(archive: &Path, folder: &Path) {
    let stream = zstd::Decoder::new(File::open(archive).unwrap()).unwrap();
    tar::Archive::new(stream).unpack(folder).unwrap();
}

/// The type with one spelling for what readers may choose: no views, no dictionaries, times in microseconds of UTC.
fn plain_type(data_type: &DataType) -> DataType {
    let field = |field: &Arc<Field>| {
        Arc::new(Field::new(
            field.name(),
            plain_type(field.data_type()),
            field.is_nullable(),
        ))
    };
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into())),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(Field::new("item", plain_type(item.data_type()), true)))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect::<Fields>()),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return data_type.clone();
            };
            let [key, value] = pair.as_ref() else {
                return data_type.clone();
            };
            let pair = Fields::from(vec![
                Field::new("key", plain_type(key.data_type()), false),
                Field::new("value", plain_type(value.data_type()), true),
            ]);
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair), false)), *sorted)
        }
        other => other.clone(),
    }
}

/// The rows as sorted lines, behind a line with the names and types of the columns in the order of their names.
fn table(batches: &[RecordBatch]) -> Vec<String> {
    let mut header = None;
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        let mut columns: Vec<(String, ArrayRef)> = schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| {
                let data_type = plain_type(field.data_type());
                (
                    format!("{}: {data_type}", field.name()),
                    cast(column, &data_type).unwrap(),
                )
            })
            .collect();
        columns.sort_by(|(one, _), (other, _)| one.cmp(other));
        header.get_or_insert_with(|| {
            columns
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
                .join(", ")
        });
        rows.extend(lines(&[RecordBatch::try_from_iter(columns).unwrap()]));
    }
    rows.sort();
    rows.insert(0, header.unwrap_or_default());
    rows
}

fn expected(folder: &Path) -> Option<Vec<String>> {
    let mut batches = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap())
            .unwrap()
            .build()
            .unwrap();
        batches.extend(reader.map(|batch| batch.unwrap()));
    }
    Some(table(&batches))
}

async fn read(folder: &Path) -> Result<Vec<RecordBatch>, posixlake::Error> {
    let session: Session = session(folder).await?;
    run(&session, "SELECT * FROM data").await
}

/// Reads one table and says what is wrong with the answer.
fn check(runtime: &tokio::runtime::Runtime, archive: &Path, counts: &mut Counts) -> Result<(), String> {
    let file = archive.file_name().unwrap().to_str().unwrap();
    let name = file.strip_suffix(".tar.zst").unwrap();
    let folder = TempDir::new().unwrap();
    unpack(archive, folder.path());
    let delta = folder.path().join(name).join("delta");
    let answer = runtime
        .block_on(runtime.spawn(async move { read(&delta).await }))
        .map_err(|panic| format!("{name}: panicked: {panic}"))?;

    let refusal = DAMAGED.iter().find(|(damaged, ..)| *damaged == name);
    let exception = NOT_YET.iter().find(|(known, ..)| *known == name);
    match (answer, refusal, exception) {
        (Err(error), Some((_, part)), _) => {
            counts.refused += 1;
            if error.kind() != ErrorKind::Internal && error.to_string().contains(part) {
                Ok(())
            } else {
                Err(format!("{name}: expected '{part}', got {:?}: {error}", error.kind()))
            }
        }
        (Ok(batches), Some(_), _) => Err(format!("{name}: is damaged, and was read: {:?}", table(&batches))),
        (Err(error), None, Some((_, reason, part))) => {
            counts.not_yet += 1;
            println!("not read: {name}: {reason}");
            if error.to_string().contains(part) {
                Ok(())
            } else {
                Err(format!("{name}: expected '{part}', got: {error}"))
            }
        }
        (Ok(_), None, Some(_)) => Err(format!("{name}: can be read now; take it off the list of exceptions")),
        (Err(error), None, None) => Err(format!("{name}: {:?}: {error}", error.kind())),
        (Ok(batches), None, None) => match expected(&folder.path().join(name).join("expected")) {
            Some(rows) if rows == table(&batches) => {
                counts.equal += 1;
                Ok(())
            }
            Some(_) if WRONG_EXPECTATION.iter().any(|(known, _)| *known == name) => {
                counts.opened += 1;
                Ok(())
            }
            Some(rows) => Err(format!("{name}: expected\n{rows:#?}\ngot\n{:#?}", table(&batches))),
            None => {
                counts.opened += 1;
                Ok(())
            }
        },
    }
}

#[test]
fn golden_tables_read_as_they_should() {
    let Some(archives) = archives() else {
        println!("skipped: POSIXLAKE_CONFORMANCE does not name the folder with the golden tables");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut counts = Counts::default();
    let failed: Vec<String> = archives
        .iter()
        .filter_map(|archive| check(&runtime, archive, &mut counts).err())
        .collect();
    println!(
        "{} golden tables: {} equal to their expected rows, {} read without any to compare, {} damaged and refused, \
         {} not read yet",
        archives.len(),
        counts.equal,
        counts.opened,
        counts.refused,
        counts.not_yet
    );
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(
        !archives.is_empty(),
        "no golden tables in the folder that POSIXLAKE_CONFORMANCE names"
    );
}
