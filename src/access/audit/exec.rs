//! The root of an audited plan: passes rows on, counts them, and tells how the statement ended.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt64Type};
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
use futures::{Stream, StreamExt};

use super::Outcome;
use super::ticket::{Run, Ticket};
use crate::error::Error;
use crate::log::COMMITTED;

/// Plans as another planner does, and lets the plans of audited statements say how they ended.
#[derive(Default)]
pub(crate) struct AuditPlanner {
    /// DataFusion's where there is none.
    inner: Option<Arc<dyn QueryPlanner + Send + Sync>>,
}

impl AuditPlanner {
    pub(crate) fn new(inner: Arc<dyn QueryPlanner + Send + Sync>) -> Self {
        Self { inner: Some(inner) }
    }
}

impl fmt::Debug for AuditPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditPlanner")
    }
}

#[async_trait]
impl QueryPlanner for AuditPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ticket = session.config().get_extension::<Ticket>();
        let planned = match &self.inner {
            Some(inner) => inner.create_physical_plan(logical_plan, session).await,
            None => {
                DefaultPhysicalPlanner::default()
                    .create_physical_plan(logical_plan, session)
                    .await
            }
        };
        let plan = match (planned, &ticket) {
            (Ok(plan), _) => plan,
            (Err(error), None) => return Err(error),
            (Err(error), Some(ticket)) => {
                let error = Error::from(error);
                ticket.refused(&error).await;
                return Err(error.into());
            }
        };
        Ok(match ticket {
            Some(ticket) => Arc::new(AuditExec::new(plan, ticket)),
            None => plan,
        })
    }
}

/// The plan below it, and a row for the trail.
#[derive(Debug)]
pub(crate) struct AuditExec {
    input: Arc<dyn ExecutionPlan>,
    run: Arc<Run>,
    left: Arc<AtomicUsize>,
}

impl AuditExec {
    fn new(input: Arc<dyn ExecutionPlan>, ticket: Arc<Ticket>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        Self {
            input,
            run: Arc::new(Run::new(ticket)),
            left: Arc::new(AtomicUsize::new(partitions)),
        }
    }
}

impl DisplayAs for AuditExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditExec")
    }
}

impl ExecutionPlan for AuditExec {
    fn name(&self) -> &str {
        "AuditExec"
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
            Ok([input]) => Ok(Arc::new(Self::new(input, self.run.ticket.clone()))),
            Err(_) => Err(DataFusionError::Internal("an audited plan has one input".to_string())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.run.begin();
        match self.input.execute(partition, context) {
            Ok(inner) => Ok(Box::pin(Audited {
                inner,
                run: self.run.clone(),
                left: self.left.clone(),
                ended: false,
            })),
            Err(error) => {
                let error = Error::from(error);
                self.run.fail(&error);
                Err(error.into())
            }
        }
    }
}

struct Audited {
    inner: SendableRecordBatchStream,
    run: Arc<Run>,
    left: Arc<AtomicUsize>,
    ended: bool,
}

impl Stream for Audited {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let version = self.run.version.clone();
        let polled = COMMITTED.sync_scope(version, || self.inner.poll_next_unpin(context));
        match polled {
            Poll::Ready(Some(Ok(batch))) => {
                self.run.count(rows(&batch, self.run.ticket.modifies));
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(Some(Err(error))) => {
                let error = Error::from(error);
                self.run.fail(&error);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                if !std::mem::replace(&mut self.ended, true) && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    self.run.end(Outcome::Done, None);
                }
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl RecordBatchStream for Audited {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

/// The rows that a batch stands for: a change answers with a number of them.
fn rows(batch: &RecordBatch, modifies: bool) -> i64 {
    let counted = batch.schema().fields().first().and_then(|field| {
        let counts = matches!(field.name().as_str(), "count" | "num_affected_rows");
        (modifies && counts && batch.num_rows() == 1).then(|| batch.column(0).clone())
    });
    let value = counted.and_then(|column| match column.data_type() {
        DataType::UInt64 => i64::try_from(column.as_primitive::<UInt64Type>().value(0)).ok(),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().value(0)),
        _ => None,
    });
    value.unwrap_or_else(|| i64::try_from(batch.num_rows()).unwrap_or(i64::MAX))
}
