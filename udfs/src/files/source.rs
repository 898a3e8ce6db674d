//! The bytes of a text file, in blocks, unpacked.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use datafusion::common::runtime::SpawnedTask;
use datafusion::physical_plan::metrics::Count;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::io::AsyncReadExt;
use tokio_util::io::StreamReader;

use super::compression::Compression;
use super::error::{FileError, FileErrorKind, Result};
use super::resolve::FoundFile;

/// How many blocks are asked for ahead of the one in hand.
const READ_AHEAD: usize = 3;

/// A block of a local file; large enough for the cost of a task switch to vanish, small enough for the caches.
const LOCAL_BLOCK: usize = 1 << 20;

/// A block of a file behind a network.
const REMOTE_BLOCK: usize = 4 << 20;

pub(crate) type Blocks = BoxStream<'static, Result<Bytes>>;

/// The blocks of `file`, unpacked, in order. Counts the bytes read from the store into `scanned`. Every block is of the
/// same version of the file as its listing; one that changed is an error.
pub(crate) fn blocks(
    store: Arc<dyn ObjectStore>,
    file: &FoundFile,
    compression: Compression,
    chunk_bytes: Option<usize>,
    scanned: Option<Count>,
) -> Blocks {
    let local = file.store.as_str().starts_with("file:");
    let block = chunk_bytes.unwrap_or(if local { LOCAL_BLOCK } else { REMOTE_BLOCK });
    let stored = stored_blocks(store, file, block, scanned);
    match compression {
        Compression::None => stored.boxed(),
        packed => unpacked(stored, file.label.clone(), packed, block),
    }
}

fn stored_blocks(
    store: Arc<dyn ObjectStore>,
    file: &FoundFile,
    block: usize,
    scanned: Option<Count>,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let file = file.clone();
    let block = block as u64;
    let size = file.meta.size;
    let ranges = (0..size.div_ceil(block)).map(move |at| at * block..((at + 1) * block).min(size));
    stream::iter(ranges)
        .map(move |range| read(Arc::clone(&store), file.clone(), range))
        .buffered(READ_AHEAD)
        .inspect_ok(move |bytes| {
            if let Some(scanned) = &scanned {
                scanned.add(bytes.len());
            }
        })
}

async fn read(store: Arc<dyn ObjectStore>, file: FoundFile, range: Range<u64>) -> Result<Bytes> {
    let options = GetOptions {
        if_match: file.meta.e_tag.clone(),
        range: Some(GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    let failed = |error| FileError::store(&file.label, error);
    let bytes = store
        .get_opts(&file.meta.location, options)
        .await
        .map_err(failed)?
        .bytes()
        .await
        .map_err(failed)?;
    if bytes.len() as u64 == range.end - range.start {
        Ok(bytes)
    } else {
        Err(FileError::new(
            FileErrorKind::Storage,
            format!("{file}: the file changed while it was read; run the statement again"),
        ))
    }
}

/// Unpacks in a task of its own, since that is what bounds the pace of packed files.
fn unpacked(
    stored: impl Stream<Item = Result<Bytes>> + Send + 'static,
    label: Arc<str>,
    compression: Compression,
    block: usize,
) -> Blocks {
    let (sender, receiver) = tokio::sync::mpsc::channel(READ_AHEAD);
    let task = SpawnedTask::spawn(async move {
        let mut reader = compression.unpack(StreamReader::new(stored.map_err(std::io::Error::other).boxed()));
        loop {
            let mut buffer = BytesMut::with_capacity(block);
            let outcome = loop {
                match (&mut reader)
                    .take((block - buffer.len()) as u64)
                    .read_buf(&mut buffer)
                    .await
                {
                    Ok(0) => break Ok(()),
                    Ok(_) if buffer.len() >= block => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(unpack_error(&label, compression, error)),
                }
            };
            let done = outcome.is_err() || buffer.is_empty();
            let message = outcome.map(|()| buffer.freeze());
            if message.as_ref().is_ok_and(Bytes::is_empty) || sender.send(message).await.is_err() || done {
                break;
            }
        }
    });
    stream::unfold((receiver, task), |(mut receiver, task)| async move {
        let message = receiver.recv().await?;
        Some((message, (receiver, task)))
    })
    .boxed()
}

fn unpack_error(label: &str, compression: Compression, error: std::io::Error) -> FileError {
    match error.downcast::<FileError>() {
        Ok(error) => error,
        Err(error) => FileError::data(format!(
            "{label}: damaged, or not packed by {} ({error}); see the option compression",
            compression.name()
        )),
    }
}
