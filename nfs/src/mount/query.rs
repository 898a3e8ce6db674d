//! `.query`: whoever writes a statement reads its rows as CSV; each client has its own.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use tokio::sync::Mutex as AsyncMutex;

use super::Mount;
use super::refusal::{Refusal, io_status};
use super::session::{blocking, disk};
use super::table::Client;
use crate::file_system::Status;
use crate::lake::{Author, Statement};
use crate::render::{csv_header, csv_rows};

/// How long a statement may go on being written before it is run.
const SETTLE: Duration = Duration::from_millis(100);
/// The longest statement.
const LONGEST: usize = 16 << 20;

/// One client's statement, or the rows that it answered with.
#[derive(Debug)]
pub(crate) struct Query {
    /// Grows with each result: another handle, so that no client mixes two.
    pub(crate) turn: u32,
    /// The statement that is being written.
    statement: Option<Vec<u8>>,
    writes: u64,
    result: PathBuf,
    size: u64,
    pub(crate) time: SystemTime,
}

impl Query {
    pub(crate) fn size(&self) -> u64 {
        self.statement
            .as_ref()
            .map_or(self.size, |statement| statement.len() as u64)
    }

    fn touch(&mut self) {
        self.time = SystemTime::now().max(self.time + Duration::from_nanos(1));
    }

    /// # Errors
    /// As the disk's.
    pub(crate) fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        use std::os::unix::fs::FileExt;
        let end = self.size().min(offset.saturating_add(length as u64));
        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or_default();
        if let Some(statement) = &self.statement {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            return Ok(Bytes::copy_from_slice(
                statement.get(start..start + length).unwrap_or_default(),
            ));
        }
        let mut bytes = vec![0; length];
        if length > 0 {
            File::open(&self.result)?.read_exact_at(&mut bytes, offset)?;
        }
        Ok(bytes.into())
    }
}

impl Mount {
    pub(crate) fn query(&self, client: &Client) -> Arc<AsyncMutex<Query>> {
        let mut queries = self.queries.lock();
        let query = queries.entry(client.clone()).or_insert_with(|| {
            let result = self
                .options
                .state
                .join(format!("query-{:016x}", super::handle::text_id(&client.0)));
            let _ = std::fs::remove_file(&result);
            Arc::new(AsyncMutex::new(Query {
                turn: 0,
                statement: None,
                writes: 0,
                result,
                size: 0,
                time: self.started,
            }))
        });
        query.clone()
    }

    /// The statement begins anew, with nothing or with its first bytes.
    pub(crate) async fn resize_query(&self, client: &Client, size: u64) -> Result<(), Status> {
        let query = self.query(client);
        let mut query = query.lock().await;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size <= LONGEST)
            .ok_or(Status::NFS3ERR_FBIG)?;
        let mut statement = query.statement.take().unwrap_or_default();
        statement.resize(size, b' ');
        query.statement = Some(statement);
        query.touch();
        Ok(())
    }

    /// Takes a part of the statement. A stable write runs what stands then, unless another follows at once.
    ///
    /// # Errors
    /// `NFS3ERR_FBIG` for a statement beyond 16 MiB; as the statement's, whose text then stands in the file.
    pub(crate) async fn write_query(
        &self,
        client: &Client,
        author: &Author,
        offset: u64,
        data: &[u8],
        stable: bool,
    ) -> Result<(), Status> {
        let shared = self.query(client);
        {
            let mut query = shared.lock().await;
            let start = usize::try_from(offset).map_err(|_| Status::NFS3ERR_FBIG)?;
            let end = start
                .checked_add(data.len())
                .filter(|end| *end <= LONGEST)
                .ok_or(Status::NFS3ERR_FBIG)?;
            let mut statement = query.statement.take().unwrap_or_default();
            if statement.len() < end {
                statement.resize(end, b' ');
            }
            if let Some(part) = statement.get_mut(start..end) {
                part.copy_from_slice(data);
            }
            query.statement = Some(statement);
            query.writes += 1;
            query.touch();
        }
        if stable {
            self.run_query(client, author).await
        } else {
            Ok(())
        }
    }

    /// Runs the statement that was written, if one was.
    ///
    /// # Errors
    /// As [`Mount::write_query`].
    pub(crate) async fn run_query(&self, client: &Client, author: &Author) -> Result<(), Status> {
        let shared = self.query(client);
        let writes = shared.lock().await.writes;
        tokio::time::sleep(SETTLE).await;
        let mut query = shared.lock().await;
        if query.writes != writes {
            return Ok(());
        }
        let Some(statement) = query.statement.clone() else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&statement).trim().to_string();
        if text.is_empty() {
            return Ok(());
        }
        let outcome = self.query_into(&text, author, query.result.clone()).await;
        query.statement = None;
        query.turn += 1;
        query.touch();
        match outcome {
            Ok(size) => {
                query.size = size;
                Ok(())
            }
            Err(refusal) => {
                let text = format!("error: {}\n", refusal.reason);
                query.size = text.len() as u64;
                std::fs::write(&query.result, text).map_err(|error| io_status(&error))?;
                Err(refusal.status)
            }
        }
    }

    async fn query_into(&self, sql: &str, author: &Author, path: PathBuf) -> Result<u64, Refusal> {
        let statement = Statement {
            sql: sql.to_string(),
            transaction: None,
            author: author.clone(),
        };
        let mut rows = self.lake.run(statement).await?;
        let mut file = BufWriter::new(File::create(&path).map_err(disk)?);
        file.write_all(&csv_header(&rows.schema)).map_err(disk)?;
        while let Some(batch) = rows.batches.try_next().await? {
            let text = csv_rows(&batch)?;
            file = blocking(move || file.write_all(&text).map(|()| file))
                .await
                .map_err(disk)?;
        }
        file.flush().map_err(disk)?;
        Ok(std::fs::metadata(&path).map_err(disk)?.len())
    }
}
