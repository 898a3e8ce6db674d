//! From actions to a durable version.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::Utc;
use deltalake_core::kernel::{Action, IsolationLevel};
use deltalake_core::logstore::LogStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::author::Author;
use super::{CommitActions, commit_path};
use crate::access::MARK;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::store::REMOTE;

/// The option of a log store that names the user whose commits go through it.
pub(crate) const USER: &str = "posixlake.user";

tokio::task_local! {
    /// Where a statement under way learns which version it committed.
    pub(crate) static COMMITTED: Arc<AtomicI64>;
}

/// How often an append tries the next version before it gives up.
const APPEND_ATTEMPTS: u32 = 1000;

/// How often a store is asked again that failed without a word on whether the commit stands.
const STORE_ATTEMPTS: u32 = 6;

/// What a commit read, which says whose commits may come between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing but the schema: other writers' data may come first.
    Append,
    /// The whole table: nobody may come first. The statement is run again on the new state.
    Exclusive,
}

/// A set of actions with the words that the table's history will show.
#[derive(Debug)]
pub(crate) struct Commit {
    /// What stands in the history, such as `WRITE`.
    pub(crate) operation: &'static str,
    /// The operation's parameters, as strings (numbers and booleans as their text), as Spark writes them.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The operation's metrics, as strings.
    pub(crate) metrics: BTreeMap<String, String>,
    /// The actions, without `commitInfo`.
    pub(crate) actions: Vec<Action>,
    /// The version that the statement read; none where it creates the table.
    pub(crate) read_version: Option<u64>,
    /// What it read.
    pub(crate) mode: Mode,
    /// The statement in canonical text, where one stands behind the commit.
    pub(crate) statement: Option<String>,
}

/// Writes the commit as the next version that its mode allows, and returns that version. What this returns is on disk.
///
/// # Errors
/// [`ErrorKind::Conflict`] where another writer's commit came first that the mode does not allow: nothing was committed.
/// [`ErrorKind::Storage`] where the store failed and the commit is known not to stand.
#[tracing::instrument(
    skip_all,
    fields(table = %log_store.root_url(), operation = commit.operation, version = tracing::field::Empty, retries = tracing::field::Empty)
)]
pub(crate) async fn commit(log_store: &dyn LogStore, commit: Commit) -> Result<u64> {
    let store = log_store.object_store(None);
    let operation_id = Uuid::new_v4().to_string();
    let mut version = commit.read_version.map_or(0, |version| version + 1);
    let mut retries = 0;
    let mut failures = 0;
    loop {
        let bytes = commit.encode(&operation_id, retries, &log_store.config().options().raw)?;
        let options = PutOptions {
            mode: PutMode::Create,
            ..Default::default()
        };
        match store.put_opts(&commit_path(version), bytes.into(), options).await {
            Ok(_) => break,
            Err(error) => match settle(store.as_ref(), version, &operation_id).await? {
                Standing::Ours => break,
                Standing::Others(winner) => commit.check_winner(version, &winner)?,
                // The same bytes under the same name: it does no harm where the first request arrives after all.
                standing if failures < STORE_ATTEMPTS && is_passing(&error, &standing) => {
                    failures += 1;
                    let milliseconds = rand::random_range(0..50 << failures);
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    continue;
                }
                Standing::Nobody => return Err(Error::from(error)),
                Standing::Unknown(cause) => {
                    return Err(Error::storage(format!(
                        "the store failed while version {version} was being committed ({error}), and does not tell \
                         whether it stands: look at DESCRIBE HISTORY before you run the statement again"
                    ))
                    .with_source(cause));
                }
            },
        }
        version += 1;
        retries += 1;
        if retries >= APPEND_ATTEMPTS {
            return Err(Error::conflict(format!(
                "{retries} other commits came first; run the statement again when the table is less busy"
            )));
        }
        tokio::time::sleep(Duration::from_micros(rand::random_range(
            0..2000 * u64::from(retries.min(50)),
        )))
        .await;
    }
    // Collectors know no unsigned numbers.
    tracing::Span::current()
        .record("version", version.cast_signed())
        .record("retries", i64::from(retries));
    // What was committed is never reported as failed.
    let _ = failpoint::at("commit.acknowledged");
    let _ = COMMITTED.try_with(|last| last.store(i64::try_from(version).unwrap_or(-1), Ordering::Relaxed));
    Ok(version)
}

impl Commit {
    fn encode(&self, operation_id: &str, retries: u32, author: &HashMap<String, String>) -> Result<Vec<u8>> {
        let mut metrics = self.metrics.clone();
        if retries > 0 {
            metrics.insert("numRetries".to_string(), retries.to_string());
        }
        let mut info = Map::from_iter([
            ("timestamp".to_string(), json!(Utc::now().timestamp_millis())),
            ("operation".to_string(), json!(self.operation)),
            ("operationParameters".to_string(), json!(self.parameters)),
            ("isBlindAppend".to_string(), json!(self.mode == Mode::Append)),
            (
                "isolationLevel".to_string(),
                json!(IsolationLevel::Serializable.as_ref()),
            ),
            ("operationMetrics".to_string(), json!(metrics)),
            ("engineInfo".to_string(), json!(engine_info())),
            ("operationId".to_string(), json!(operation_id)),
            ("txnId".to_string(), json!(operation_id)),
        ]);
        if let Some(version) = self.read_version {
            info.insert("readVersion".to_string(), json!(version));
        }
        if let Some(user) = author.get(USER) {
            info.insert("userName".to_string(), json!(user));
        }
        if let Some(statement) = &self.statement {
            info.insert("statement".to_string(), json!(statement));
        }
        Author::sign(&mut info);
        let mut bytes = Vec::new();
        let mut line = |value: &Value| -> Result<()> {
            serde_json::to_writer(&mut bytes, value).map_err(|error| Error::internal(error.to_string()))?;
            bytes.push(b'\n');
            Ok(())
        };
        line(&json!({ "commitInfo": info }))?;
        for action in &self.actions {
            let mut action = serde_json::to_value(action).map_err(|error| Error::internal(error.to_string()))?;
            // A table of a lake with users says so itself, and goes on saying so whatever its metadata become.
            if let (Some(mark), Some(Value::Object(configuration))) =
                (author.get(MARK), action.pointer_mut("/metaData/configuration"))
            {
                configuration.insert(MARK.to_string(), json!(mark));
            }
            line(&action)?;
        }
        Ok(bytes)
    }

    /// Whether this commit may come behind a winner's.
    fn check_winner(&self, version: u64, winner: &CommitActions) -> Result<()> {
        let operation = winner.info.get("operation").and_then(Value::as_str);
        let operation = operation.unwrap_or("an unknown operation");
        if self.read_version.is_none() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("another writer created the table first ({operation}, version {version})"),
            ));
        }
        let same_transaction = self.actions.iter().any(|action| match action {
            Action::Txn(ours) => winner.transactions.iter().any(|theirs| theirs.app_id == ours.app_id),
            _ => false,
        });
        let reason = if winner.metadata.is_some() || winner.protocol.is_some() {
            "which changed the table's schema or protocol"
        } else if same_transaction {
            "of the same application transaction"
        } else if self.mode == Mode::Exclusive {
            "which changed what this statement had read"
        } else {
            return Ok(());
        };
        Err(Error::conflict(format!(
            "{} lost against a concurrent {operation} (version {version}), {reason}; nothing was changed: run the \
             statement again",
            self.operation
        )))
    }
}

/// Whose commit stands at a version after a put did not succeed.
enum Standing {
    Ours,
    Others(CommitActions),
    Nobody,
    Unknown(object_store::Error),
}

/// Whether a failure may be over when the store is asked again. A local disk that fails goes on failing.
fn is_passing(error: &object_store::Error, standing: &Standing) -> bool {
    use object_store::Error as E;
    let passing = |error: &E| match error {
        E::Generic { store, .. } => *store == REMOTE,
        _ => false,
    };
    passing(error)
        && match standing {
            Standing::Unknown(cause) => passing(cause),
            _ => true,
        }
}

/// # Errors
/// Where a commit stands that cannot be understood, which is not this one.
async fn settle(store: &dyn ObjectStore, version: u64, operation_id: &str) -> Result<Standing> {
    let found = match store.get(&commit_path(version)).await {
        Ok(found) => found.bytes().await,
        Err(object_store::Error::NotFound { .. }) => return Ok(Standing::Nobody),
        Err(error) => Err(error),
    };
    Ok(match found {
        Ok(bytes) => {
            let actions = CommitActions::parse(version, &bytes)?;
            if actions.id() == Some(operation_id) {
                Standing::Ours
            } else {
                Standing::Others(actions)
            }
        }
        Err(error) => Standing::Unknown(error),
    })
}

/// The engine as `DESCRIBE HISTORY` shows it.
fn engine_info() -> String {
    format!("posixlake/{}", env!("CARGO_PKG_VERSION"))
}
