//! Runs the SQL tests: every `tests/slt/**/*.slt`, each on an empty lake of its own.
//!
//! In a statement, `$LAKE` is the lake's folder and `$DATA` the folder of small files, `tests/data`; both names stand for
//! their folders in results and error texts too. `connection NAME` opens another session on the same lake. The letters
//! behind `query` are the types of its columns: `B` boolean, `D` date, `I` integer, `P` timestamp, `R` float or decimal,
//! `T` text, `?` any other.
//!
//! `POSIXLAKE_SLT=merge` runs the files with `merge` in their path. `POSIXLAKE_SLT_COMPLETE=1` writes what came out
//! into the files as what is expected: for writing tests, to be read before it is committed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use posixlake::{Error, Session};
use sqllogictest::{AsyncDB, ColumnType, DBOutput, MakeConnection, Record, Runner};
use tempfile::TempDir;

use crate::support;

/// How many failures of one file are shown: later ones often follow from the first.
const FAILURES_SHOWN: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Boolean,
    Date,
    Integer,
    Timestamp,
    Real,
    Text,
    Other,
}

impl ColumnType for Column {
    fn from_char(letter: char) -> Option<Self> {
        Some(match letter {
            'B' => Self::Boolean,
            'D' => Self::Date,
            'I' => Self::Integer,
            'P' => Self::Timestamp,
            'R' => Self::Real,
            'T' => Self::Text,
            '?' => Self::Other,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Boolean => 'B',
            Self::Date => 'D',
            Self::Integer => 'I',
            Self::Timestamp => 'P',
            Self::Real => 'R',
            Self::Text => 'T',
            Self::Other => '?',
        }
    }
}

impl From<&DataType> for Column {
    fn from(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Dictionary(_, value) => Self::from(value.as_ref()),
            other if other.is_integer() => Self::Integer,
            other if other.is_numeric() => Self::Real,
            _ => Self::Other,
        }
    }
}

/// A session as the test runner sees it.
struct Connection {
    session: Session,
    /// Names in tests and the folders that they stand for.
    folders: [(&'static str, String); 2],
}

impl Connection {
    fn named(&self, mut text: String) -> String {
        for (name, folder) in &self.folders {
            text = text.replace(folder, name);
        }
        text
    }
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = Error;
    type ColumnType = Column;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Column>, Error> {
        let mut text = sql.to_string();
        for (name, folder) in &self.folders {
            text = text.replace(name, folder);
        }
        let work = async {
            let frame = self.session.sql(&text).await?;
            let types = frame
                .schema()
                .fields()
                .iter()
                .map(|field| field.data_type().into())
                .collect();
            Ok::<_, Error>((types, frame.collect().await?))
        };
        let (types, batches) = match work.await {
            Ok(output) => output,
            Err(error) => return Err(Error::new(error.kind(), self.named(error.to_string()))),
        };
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                rows.push(
                    batch
                        .columns()
                        .iter()
                        .map(|column| self.named(support::cell(column, row)))
                        .collect(),
                );
            }
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {
        self.session.close().await;
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
}

/// Runs one file and returns what failed in it.
async fn run_file(path: &Path) -> Vec<String> {
    let lake = TempDir::new().unwrap();
    let folder = lake.path().canonicalize().unwrap();
    let connect = || {
        let lake = folder.to_str().unwrap().to_string();
        async move {
            let session = Session::builder().lake(&lake).build().await?;
            let data = support::data().to_str().unwrap().to_string();
            Ok(Connection {
                session,
                folders: [("$LAKE", lake), ("$DATA", data)],
            })
        }
    };
    let mut runner = Runner::new(connect);
    runner.with_column_validator(sqllogictest::strict_column_validator);
    if std::env::var_os("POSIXLAKE_SLT_COMPLETE").is_some() {
        return complete(&mut runner, path).await;
    }
    let records = match sqllogictest::parse_file::<Column>(path) {
        Ok(records) => records,
        Err(error) => return vec![error.to_string()],
    };
    let mut failures = Vec::new();
    for record in records {
        if matches!(record, Record::Halt { .. }) || failures.len() == FAILURES_SHOWN {
            break;
        }
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.display(false).to_string());
        }
    }
    runner.shutdown_async().await;
    failures
}

async fn complete<M: MakeConnection<Conn = Connection>>(
    runner: &mut Runner<Connection, M>,
    path: &Path,
) -> Vec<String> {
    let done = runner
        .update_test_file(
            path,
            " ",
            sqllogictest::default_validator,
            sqllogictest::default_normalizer,
            sqllogictest::strict_column_validator,
        )
        .await;
    done.err().map(|error| error.to_string()).into_iter().collect()
}

#[test]
fn sql_does_what_the_files_say() {
    let folder = support::project().join("tests/slt");
    let mut found = Vec::new();
    files(&folder, &mut found);
    let wanted = std::env::var("POSIXLAKE_SLT").unwrap_or_default();
    found.retain(|path| path.to_str().unwrap().contains(&wanted));
    found.sort();
    assert!(
        !found.is_empty(),
        "no file under {} has '{wanted}' in its path",
        folder.display()
    );

    let count = found.len();
    let queue = Arc::new(Mutex::new(VecDeque::from(found)));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut failed = Vec::new();
        loop {
            let next = queue.lock().unwrap().pop_front();
            let Some(path) = next else { return failed };
            let failures = runtime.block_on(run_file(&path));
            if !failures.is_empty() {
                let name = path.strip_prefix(&folder).unwrap().display();
                failed.push(format!("==== {name}\n{}", failures.join("\n----\n")));
            }
        }
    };
    let mut failed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failed.sort();
    assert!(
        failed.is_empty(),
        "{} of {count} files failed\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    println!("{count} files of SQL tests passed");
}
