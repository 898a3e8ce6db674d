//! One statement from plan to printed rows, with progress and cancellation.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::config::FormatOptions;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ExecutionPlanProperties};
use datafusion::physical_plan::spill::get_record_batch_memory_size;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement as NativeStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion_cli::print_options::MaxRows;
use futures::StreamExt;
use posixlake_sql::{Parsed, Statement};
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::progress::Progress;
use super::rows::RowWriter;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::session::Session;

/// How long a cancelled statement may take to let go of what it holds before the prompt comes back.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a statement ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Finished(Summary),
    Failed(Error),
    /// Ctrl-C.
    Cancelled,
    /// Nobody reads the output any more.
    BrokenPipe,
}

/// What there is to say about a statement that finished.
#[derive(Debug)]
pub(crate) struct Summary {
    /// The number of rows; none for a statement that has no result.
    pub(crate) rows: Option<usize>,
    /// How many of them were shown, where not all were.
    pub(crate) shown: Option<usize>,
    pub(crate) elapsed: Duration,
}

/// What the statement's own task tells.
enum Event {
    Started(Started),
    Batch(RecordBatch),
}

struct Started {
    plan: Arc<dyn ExecutionPlan>,
    format: FormatOptions,
    reservation: MemoryReservation,
    /// Every row is shown, whatever the limit: plans and settings are no data.
    show_all: bool,
}

/// Runs a statement on the workers and prints its rows on standard output. A signal cancels it.
pub(crate) async fn run(
    session: &Session,
    workers: &Handle,
    parsed: &Parsed,
    settings: &Settings,
    signal: &mut Signal,
) -> Outcome {
    let began = Instant::now();
    let (sender, mut events) = mpsc::channel(2);
    let mut task = AbortOnDrop(workers.spawn(produce(session.clone(), parsed.clone(), sender)));
    let mut printer = Printer::new(*settings);

    loop {
        let event = tokio::select! {
            biased;
            _ = signal.recv() => {
                printer.progress.clear();
                task.cancel().await;
                return Outcome::Cancelled;
            }
            () = printer.progress.due() => {
                printer.progress.draw();
                continue;
            }
            event = events.recv() => event,
        };
        let printed = match event {
            Some(Event::Started(started)) => printer.start(started),
            Some(Event::Batch(batch)) => printer.print(&batch),
            None => break,
        };
        if let Err(stop) = printed {
            printer.progress.clear();
            task.cancel().await;
            return stop.into();
        }
    }

    printer.progress.clear();
    match (&mut task.0).await {
        Ok(Ok(())) => match printer.finish() {
            Ok((rows, shown)) => Outcome::Finished(Summary {
                rows,
                shown,
                elapsed: began.elapsed(),
            }),
            Err(stop) => stop.into(),
        },
        Ok(Err(error)) => {
            if parsed.statement.reports()
                && let Err(stop) = printer.finish()
            {
                return stop.into();
            }
            Outcome::Failed(error)
        }
        Err(fault) => Outcome::Failed(Error::internal(format!("the statement's task stopped: {fault}"))),
    }
}

/// Plans and executes the statement, and sends what it yields. Ends early where nobody listens.
async fn produce(session: Session, parsed: Parsed, events: mpsc::Sender<Event>) -> Result<()> {
    let frame = session.execute(&parsed).await?;
    let show_all = is_about_the_session(&parsed.statement, frame.logical_plan());
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    if plan.boundedness().is_unbounded() && plan.pipeline_behavior() == EmissionType::Final {
        return Err(Error::invalid(
            "the result would only be known once the source ends, and the source is endless",
        ));
    }

    let reservation = MemoryConsumer::new("posixlake: rows to print").register(context.memory_pool());
    let format = context.session_config().options().format.clone();
    let started = Started {
        plan: Arc::clone(&plan),
        format,
        reservation,
        show_all,
    };
    if events.send(Event::Started(started)).await.is_err() {
        return Ok(());
    }
    let mut stream = execute_stream(plan, context)?;
    while let Some(batch) = stream.next().await {
        if events.send(Event::Batch(batch?)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether the result is a plan, a description or settings.
fn is_about_the_session(statement: &Statement, plan: &LogicalPlan) -> bool {
    let shows_settings = match statement {
        Statement::Native(native) => match native.as_ref() {
            NativeStatement::Statement(statement) => matches!(statement.as_ref(), SqlStatement::ShowVariable { .. }),
            _ => false,
        },
        _ => false,
    };
    shows_settings
        || matches!(
            plan,
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)
        )
}

/// A task that does not outlive the one who waits for it.
struct AbortOnDrop(JoinHandle<Result<()>>);

impl AbortOnDrop {
    /// Stops the task and gives it a moment to let go of its files and memory.
    async fn cancel(&mut self) {
        self.0.abort();
        let _ = tokio::time::timeout(FAREWELL, &mut self.0).await;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why printing ended before the rows did.
enum Stop {
    Failed(Error),
    BrokenPipe,
}

impl From<Stop> for Outcome {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(error) => Self::Failed(error),
            Stop::BrokenPipe => Self::BrokenPipe,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Where the rows of one statement go.
struct Printer {
    settings: Settings,
    progress: Progress,
    started: Option<(RowWriter, MemoryReservation)>,
    has_columns: bool,
    rows: usize,
}

impl Printer {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            progress: Progress::new(!settings.quiet),
            started: None,
            has_columns: false,
            rows: 0,
        }
    }

    fn start(&mut self, started: Started) -> Result<(), Stop> {
        self.progress.follow(&started.plan);
        if started.show_all {
            self.settings.maxrows = MaxRows::Unlimited;
        }
        let schema = started.plan.schema();
        let endless = matches!(started.plan.boundedness(), Boundedness::Unbounded { .. });
        self.has_columns = !schema.fields().is_empty();
        let writer = RowWriter::new(
            self.settings.format,
            self.settings.maxrows,
            schema,
            &started.format,
            endless,
        );
        self.started = Some((writer, started.reservation));
        Ok(())
    }

    fn print(&mut self, batch: &RecordBatch) -> Result<(), Stop> {
        let wanted = self.limit().is_none_or(|limit| self.rows < limit);
        let Some((writer, reservation)) = &mut self.started else {
            return Ok(());
        };
        if writer.is_table() && wanted {
            reservation
                .try_grow(get_record_batch_memory_size(batch))
                .map_err(Error::from)?;
        }
        self.rows += batch.num_rows();
        let text = writer.push(batch)?;
        self.put(&text)
    }

    /// The number of rows, and of those shown where they differ; no number for a statement without a result.
    fn finish(mut self) -> Result<(Option<usize>, Option<usize>), Stop> {
        let mut shown = None;
        if let Some((writer, _reservation)) = self.started.take() {
            if writer.is_table() {
                shown = self.limit().filter(|limit| *limit < self.rows);
            }
            let text = writer.finish()?;
            self.put(&text)?;
        }
        Ok((self.has_columns.then_some(self.rows), shown))
    }

    fn limit(&self) -> Option<usize> {
        match self.settings.maxrows {
            MaxRows::Unlimited => None,
            MaxRows::Limited(rows) => Some(rows),
        }
    }

    fn put(&mut self, text: &[u8]) -> Result<(), Stop> {
        if text.is_empty() {
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        if stdout.is_terminal() {
            self.progress.clear();
        }
        match stdout.write_all(text).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Stop::BrokenPipe),
            Err(error) => Err(Error::storage(format!("cannot write to standard output: {error}"))
                .with_source(error)
                .into()),
        }
    }
}
