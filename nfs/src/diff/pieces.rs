//! Text that arrives in pieces: from a file, or from a stream that another thread reads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::{DiffError, Result};
use crate::lake;

const READ: usize = 256 * 1024;

/// Text in pieces of any size.
pub trait Pieces {
    /// Goes on to the next piece; `false` at the end.
    ///
    /// # Errors
    /// Where the text cannot be read.
    fn advance(&mut self) -> Result<bool>;

    /// The current piece; empty before the first one and behind the last.
    fn piece(&self) -> &[u8];
}

/// A part of a file, in pieces.
#[derive(Debug)]
pub struct FilePieces {
    file: Arc<File>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    filled: usize,
}

impl FilePieces {
    /// The bytes from `start` to `end` of `file`, or to its end where that comes first.
    pub fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        Self {
            file,
            at: start,
            end,
            buffer: Vec::new(),
            filled: 0,
        }
    }
}

impl Pieces for FilePieces {
    fn advance(&mut self) -> Result<bool> {
        let want = usize::try_from(self.end.saturating_sub(self.at))
            .unwrap_or(READ)
            .min(READ);
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        self.filled = loop {
            match self
                .file
                .read_at(self.buffer.get_mut(..want).unwrap_or_default(), self.at)
            {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.at += self.filled as u64;
        Ok(self.filled > 0)
    }

    fn piece(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

/// What the reader of a stream sends to the thread that compares.
enum Message {
    Piece(lake::Result<Bytes>),
    /// The stream is over. Without it the reader was dropped, and what was read is not all.
    End,
}

/// A stream's pieces, in another thread than the one that reads it.
pub(super) struct StreamPieces {
    receiver: mpsc::Receiver<Message>,
    piece: Bytes,
    ended: bool,
}

impl Pieces for StreamPieces {
    fn advance(&mut self) -> Result<bool> {
        self.piece = Bytes::new();
        while !self.ended {
            match self.receiver.blocking_recv() {
                Some(Message::Piece(piece)) => {
                    self.piece = piece?;
                    if !self.piece.is_empty() {
                        return Ok(true);
                    }
                }
                Some(Message::End) => self.ended = true,
                None => return Err(DiffError::Cancelled),
            }
        }
        Ok(false)
    }

    fn piece(&self) -> &[u8] {
        &self.piece
    }
}

/// Tells a thread that its work is not wanted any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// # Errors
    /// Where the work is not wanted any more.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(DiffError::Cancelled)
        } else {
            Ok(())
        }
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` in a thread that may block and feeds it `stream` meanwhile. Dropping the future ends the work soon.
pub(super) async fn with_stream<S, T, F>(stream: S, work: F) -> Result<T>
where
    S: Stream<Item = lake::Result<Bytes>> + Send,
    F: FnOnce(StreamPieces, Cancel) -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    let (sender, receiver) = mpsc::channel(8);
    let task = tokio::task::spawn_blocking(move || {
        work(
            StreamPieces {
                receiver,
                piece: Bytes::new(),
                ended: false,
            },
            cancel,
        )
    });
    let mut stream = std::pin::pin!(stream);
    loop {
        let message = stream.next().await.map_or(Message::End, Message::Piece);
        let last = matches!(message, Message::End | Message::Piece(Err(_)));
        // A receiver that is gone has seen all it wanted, or failed: the task tells.
        if sender.send(message).await.is_err() || last {
            break;
        }
    }
    match task.await {
        Ok(result) => result,
        Err(error) if error.is_cancelled() => Err(DiffError::Cancelled),
        Err(error) => Err(DiffError::Io(std::io::Error::other(error))),
    }
}
