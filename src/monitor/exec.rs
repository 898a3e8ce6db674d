//! The root of a statement's plan: passes rows on, and lets them be counted and the statement be cancelled.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use futures::stream::{AbortHandle, Abortable};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use posixlake_sql::Parsed;

use super::counters::Monitor;
use super::queries::{Query, Run};
use crate::error::{Error, ErrorKind};

/// Words beside which a secret may stand.
const SECRETS: [&str; 3] = ["PASSWORD", "SECRET", "TOKEN"];

/// A statement that is to be watched while it runs: an extension of the settings that it is planned with.
#[derive(Debug)]
pub(crate) struct Watched {
    monitor: Arc<Monitor>,
    name: &'static str,
    text: String,
}

impl Watched {
    /// A statement. The text of one that may hold a secret is not kept.
    pub(crate) fn new(monitor: Arc<Monitor>, statement: &Parsed) -> Self {
        let name = statement.statement.name();
        let says = statement.text.to_uppercase();
        let text = match SECRETS.iter().any(|word| says.contains(word)) {
            true => format!("{name} …"),
            false => statement.text.clone(),
        };
        Self { monitor, name, text }
    }
}

/// Plans as DataFusion does, and lets the plans of statements be watched.
#[derive(Debug, Default)]
pub(crate) struct MonitorPlanner;

#[async_trait]
impl QueryPlanner for MonitorPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::default();
        let plan = planner.create_physical_plan(logical_plan, session).await?;
        Ok(match session.config().get_extension::<Watched>() {
            Some(watched) => Arc::new(MonitorExec::new(plan, watched)),
            None => plan,
        })
    }
}

/// The plan below it, watched.
#[derive(Debug)]
pub(crate) struct MonitorExec {
    input: Arc<dyn ExecutionPlan>,
    watched: Arc<Watched>,
    run: Mutex<Weak<Run>>,
}

impl MonitorExec {
    fn new(input: Arc<dyn ExecutionPlan>, watched: Arc<Watched>) -> Self {
        Self {
            input,
            watched,
            run: Mutex::default(),
        }
    }

    /// The run that partitions which are executed about the same time are part of.
    fn run(&self) -> Arc<Run> {
        let mut slot = self.run.lock();
        if let Some(run) = slot.upgrade() {
            return run;
        }
        let Watched { monitor, name, text } = self.watched.as_ref();
        let query = Query::new(monitor.next(), name, text.clone(), self.input.clone());
        let partitions = self.input.output_partitioning().partition_count();
        let run = Arc::new(Run::begin(monitor.clone(), query, partitions));
        *slot = Arc::downgrade(&run);
        run
    }
}

impl DisplayAs for MonitorExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MonitorExec")
    }
}

impl ExecutionPlan for MonitorExec {
    fn name(&self) -> &str {
        "MonitorExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, self.watched.clone()))),
            Err(_) => Err(DataFusionError::Internal("a watched plan has one input".to_string())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let run = self.run();
        let entered = run.span.enter();
        let inner = self.input.execute(partition, context).inspect_err(|_| run.fail())?;
        drop(entered);
        let (abort, registration) = AbortHandle::new_pair();
        run.query.add(abort);
        Ok(Box::pin(Watching {
            schema: inner.schema(),
            inner: Some(Abortable::new(inner, registration)),
            run,
        }))
    }
}

/// The rows of one partition.
struct Watching {
    schema: SchemaRef,
    /// None when there are no more.
    inner: Option<Abortable<SendableRecordBatchStream>>,
    run: Arc<Run>,
}

impl Stream for Watching {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let polled = {
            let _entered = this.run.span.enter();
            inner.poll_next_unpin(context)
        };
        match polled {
            Poll::Ready(Some(Ok(batch))) => {
                let rows = batch.num_rows() as u64;
                this.run.query.rows.fetch_add(rows, Ordering::Relaxed);
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.run.fail();
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                let killed = inner.is_aborted();
                // What the statement holds is let go at once.
                this.inner = None;
                if killed {
                    let message = format!("query {} was killed", this.run.query.number);
                    return Poll::Ready(Some(Err(Error::new(ErrorKind::Closed, message).into())));
                }
                this.run.partition_ended();
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl RecordBatchStream for Watching {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
