//! Scans on their way to another session of the same lake: the table, its version, and the plan of the files. What hides rows
//! and names columns does not travel: it follows from the version, which both sessions see alike.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use url::Url;

use super::exec::{About, LakeScanExec, Totals};
use super::masked::{MaskExec, STAYS};
use super::{Folder, MappedColumns, Rows, selection};
use crate::catalog::Lake;
use crate::error::Error;
use crate::log::{DataFile, Snapshot};
use crate::monitor::MonitorExec;
use crate::table::deletion_vector::hidden_rows;
use crate::table::wait_for;

/// What stands for the root of a statement's plan, which is watched where it was made and nowhere else.
const WATCHED: &[u8] = b"watched";

/// Encodes and decodes the scans of a lake's tables.
#[derive(Debug)]
pub(crate) struct ScanCodec {
    lake: Arc<Lake>,
}

impl ScanCodec {
    pub(crate) fn new(lake: Arc<Lake>) -> Self {
        Self { lake }
    }
}

/// What a scan is about, as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    table: String,
    version: u64,
    totals: Totals,
}

impl PhysicalExtensionCodec for ScanCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if node.downcast_ref::<MonitorExec>().is_some() {
            buffer.extend_from_slice(WATCHED);
            return Ok(());
        }
        let Some(scan) = node.downcast_ref::<LakeScanExec>() else {
            let reason = match node.is::<MaskExec>() {
                true => STAYS,
                false => "it runs in the session that planned it",
            };
            let message = format!("{} cannot be sent: {reason}", node.name());
            return Err(Error::unsupported(message).into());
        };
        let About {
            table,
            version,
            totals,
            bound,
        } = scan.about();
        if let Some(reason) = bound {
            let message = format!("the scan of {table} at version {version} cannot be sent: {reason}");
            return Err(Error::unsupported(message).into());
        }
        let message = Message {
            table: table.to_string(),
            version: *version,
            totals: *totals,
        };
        serde_json::to_writer(buffer, &message).map_err(|error| Error::internal(error.to_string()))?;
        Ok(())
    }

    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &TaskContext,
        _: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if buffer == WATCHED {
            let [input] = inputs else {
                return Err(Error::invalid("a watched plan has one input").into());
            };
            return Ok(Arc::clone(input));
        }
        let message: Message = serde_json::from_slice(buffer)
            .map_err(|error| Error::invalid(format!("this is not a scan of a lake's table: {error}")))?;
        let [input] = inputs else {
            return Err(Error::invalid("a scan of a lake's table has one input").into());
        };
        let about = About {
            table: Url::parse(&message.table)
                .map_err(|error| Error::invalid(format!("'{}': {error}", message.table)))?,
            version: message.version,
            totals: message.totals,
            bound: None,
        };
        let files = files_of(input)?;
        let found = wait_for(Found::read(&self.lake, &about, files))?;
        let input = Arc::clone(input).transform_up(|node| found.complete(node)).data()?;
        Ok(Arc::new(LakeScanExec::new(input, Arc::new(about))))
    }
}

fn config(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let source = node.downcast_ref::<DataSourceExec>()?;
    source
        .downcast_to_file_source::<ParquetSource>()
        .map(|(config, _)| config)
}

/// Where the files of a plan lie: the store, and the path there.
fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<(String, Path)>> {
    let mut files = Vec::new();
    plan.apply(|node| {
        if let Some(config) = config(node) {
            let store = config.object_store_url.as_str();
            let all = config.file_groups.iter().flat_map(FileGroup::iter);
            files.extend(all.map(|file| (store.to_string(), file.object_meta.location.clone())));
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(files)
}

/// What a version says of the files that a scan reads.
struct Found {
    mapped: Option<Arc<MappedColumns>>,
    /// The rows to read, where not all are.
    selections: HashMap<(String, Path), Option<ParquetRowSelection>>,
}

impl Found {
    async fn read(lake: &Lake, about: &About, files: Vec<(String, Path)>) -> crate::Result<Self> {
        let latest = lake.snapshots().latest(&about.table).await?;
        let snapshot = match latest.filter(|latest| latest.version() == about.version) {
            Some(latest) => latest,
            None => lake.snapshots().at(&about.table, about.version).await?,
        };
        let rows = Rows::new(lake.stores().clone(), snapshot.clone(), about.table.as_str(), false)?;
        let mapped = MappedColumns::of(&rows.definition, &rows.layout)?.map(Arc::new);
        let folder = Folder::of(&about.table)?;
        let mut wanted: HashMap<(String, Path), Option<Arc<DataFile>>> =
            files.into_iter().map(|place| (place, None)).collect();
        for file in snapshot.files().iter() {
            if let Some(slot) = wanted.get_mut(&folder.place(&file.add.path)?) {
                *slot = Some(file.clone());
            }
        }
        let mut selections = HashMap::new();
        for (place, file) in wanted {
            let Some(file) = file else {
                return Err(Error::not_found(format!(
                    "version {} of {} has no file {}",
                    about.version, about.table, place.1
                )));
            };
            let selection = Self::selection(lake, &snapshot, &file).await?;
            selections.insert(place, selection);
        }
        Ok(Self { mapped, selections })
    }

    async fn selection(
        lake: &Lake,
        snapshot: &Snapshot,
        file: &DataFile,
    ) -> crate::Result<Option<ParquetRowSelection>> {
        let Some(hidden) = hidden_rows(lake.stores(), snapshot, file).await? else {
            return Ok(None);
        };
        let rows = file.records();
        let rows = rows.ok_or_else(|| {
            Error::unsupported(format!(
                "the log does not say how many rows file {} has, some of which are deleted: ANALYZE TABLE makes it say so",
                file.add.path
            ))
        })?;
        Ok(Some(ParquetRowSelection::new(selection(Some(&hidden), None, rows)?.0)))
    }

    /// Gives a plan of files what did not travel.
    fn complete(&self, node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
        let Some(config) = config(&node) else {
            return Ok(Transformed::no(node));
        };
        let store = config.object_store_url.as_str();
        let mut groups = Vec::new();
        for group in &config.file_groups {
            let files = group.iter().cloned().map(|file| {
                let place = (store.to_string(), file.object_meta.location.clone());
                match self.selections.get(&place).and_then(Option::as_ref) {
                    Some(selection) => file.with_extension(selection.clone()),
                    None => file,
                }
            });
            groups.push(FileGroup::new(files.collect()));
        }
        let mut builder = FileScanConfigBuilder::from(config.clone()).with_file_groups(groups);
        if let Some(mapped) = &self.mapped {
            builder = builder.with_expr_adapter(Some(mapped.clone()));
        }
        Ok(Transformed::yes(DataSourceExec::from_data_source(builder.build())))
    }
}
