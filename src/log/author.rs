//! Who commits, where a session knows it: it is in force while a statement runs, so that each commit of it can say so.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// Whose changes a session's are, as histories show it. An extension of the session's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// `userName`.
    pub(crate) user: String,
    /// `userMetadata`.
    pub(crate) remark: String,
}

tokio::task_local! {
    static AUTHOR: Arc<Author>;
}

impl Author {
    /// Does work whose commits are this author's.
    pub(crate) async fn commits<T>(author: Option<Arc<Self>>, work: impl Future<Output = T>) -> T {
        match author {
            Some(author) => AUTHOR.scope(author, work).await,
            None => work.await,
        }
    }

    /// Puts the author at hand into a `commitInfo`.
    pub(super) fn sign(info: &mut Map<String, Value>) {
        let _ = AUTHOR.try_with(|author| {
            info.insert("userName".to_string(), json!(author.user));
            info.insert("userMetadata".to_string(), json!(author.remark));
        });
    }
}
