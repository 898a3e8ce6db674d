//! The rows of a version: its files pruned, balanced and handed to DataFusion's Parquet source.

mod ahead;
mod bounds;
mod candidates;
mod codec;
mod exec;
mod layout;
mod mapping;
mod masked;
mod nan;
mod paged;
mod places;
mod provider;
mod prune;
mod record;
mod rows;
mod statistics;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use deltalake_core::kernel::{Add, Remove};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::file::metadata::ParquetMetaDataReader;
use roaring::RoaringTreemap;
use url::{Position, Url};

pub(crate) use codec::ScanCodec;
pub(crate) use layout::{FILE, ROW};
pub(crate) use provider::RowsTable;
pub(crate) use record::{ScanLog, ScanTotals};

use super::deletion_vector::hidden_rows;
use super::{Definition, data_path};
use crate::error::{Error, Result};
use crate::log::{DataFile, Snapshot, check_readable};
use crate::store::{Stores, path_of};
use ahead::ReadAhead;
use candidates::Candidates;
use exec::{About, LakeScanExec, Totals};
use layout::Layout;
use mapping::MappedColumns;
use masked::{MaskExec, Masks, is_dense, mask};
use paged::Paged;
use places::{Places, selection};
use prune::Pruner;
use statistics::{FileStatistics, total};

/// How many deletion vectors are read at once.
const READS: usize = 16;

/// A file with rows that are hidden beyond those of its deletion vector.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) file: Arc<DataFile>,
    /// All rows that are not read, those of the deletion vector included; where absent, those of the deletion vector.
    pub(crate) hidden: Option<Arc<RoaringTreemap>>,
}

/// Reads a version of a table.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    stores: Arc<Stores>,
    snapshot: Snapshot,
    definition: Arc<Definition>,
    layout: Layout,
    /// The files to read instead of all that live.
    files: Option<Vec<Selected>>,
    /// Files are read in this order, by one partition.
    in_order: bool,
    /// The conditions of the last scan.
    pruner: Arc<Mutex<Option<Arc<Pruner>>>>,
}

impl Rows {
    /// All rows, in columns as users see them; `identity` adds `_file` and `_row`, which say where each row lies.
    ///
    /// # Errors
    /// Where the table's protocol asks for a feature that cannot be read, or its schema cannot be understood.
    pub(crate) fn new(stores: Arc<Stores>, snapshot: Snapshot, name: &str, identity: bool) -> Result<Self> {
        check_readable(snapshot.protocol(), name)?;
        let definition = Arc::new(Definition::of(&snapshot)?);
        let layout = Layout::new(&definition, identity)?;
        Ok(Self {
            stores,
            snapshot,
            definition,
            layout,
            files: None,
            in_order: false,
            pruner: Arc::default(),
        })
    }

    /// Files with other columns than the version's: those of this definition.
    ///
    /// # Errors
    /// As [`Rows::new`].
    pub(crate) fn defined_by(mut self, definition: Definition) -> Result<Self> {
        self.layout = Layout::new(&definition, self.layout.has_identity())?;
        self.definition = Arc::new(definition);
        Ok(self)
    }

    /// Only these files.
    pub(crate) fn of_files(mut self, files: Vec<Selected>) -> Self {
        self.files = Some(files);
        self
    }

    /// One partition that reads the files in their order.
    pub(crate) fn in_order(mut self) -> Self {
        self.in_order = true;
        self
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        self.layout.schema()
    }

    /// Whether rows say where they lie.
    pub(crate) fn has_identity(&self) -> bool {
        self.layout.has_identity()
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Conditions on what the log says of a file, and on the places of rows, are answered by the choice of files and rows; others
    /// make the choice of files smaller.
    pub(crate) fn pushdown(&self, filters: &[&Expr]) -> Vec<TableProviderFilterPushDown> {
        let kind = |filter: &&Expr| {
            if self.layout.is_in_log(filter) || self.places(std::slice::from_ref(*filter)).is_some() {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        filters.iter().map(kind).collect()
    }

    /// The places of the rows that conditions leave; none where they are not about places.
    fn places(&self, filters: &[Expr]) -> Option<Places> {
        self.has_identity().then(|| Places::of_all(filters)).flatten()
    }

    /// Whether the last scan would have looked for rows in one of these files, had they been there.
    ///
    /// # Errors
    /// Where a partition value cannot be read.
    pub(crate) fn may_match(&self, files: Vec<Arc<DataFile>>) -> Result<bool> {
        let Some(pruner) = self.pruner.lock().clone() else {
            return Ok(!files.is_empty());
        };
        let files: Vec<Selected> = files.into_iter().map(|file| Selected { file, hidden: None }).collect();
        let kept = pruner.keep(Candidates::of(&self.definition, &self.layout, &files))?;
        Ok(!files.is_empty() && kept.is_none_or(|kept| kept.contains(&true)))
    }

    /// Whether a file that is removed and added in one commit comes back with all rows hidden that were hidden before.
    pub(crate) async fn keeps_hidden(&self, removed: &Remove, added: &Add) -> bool {
        let (old, new) = (removed.deletion_vector.as_ref(), added.deletion_vector.as_ref());
        super::keeps_hidden(&self.stores, self.snapshot.url(), old, new).await
    }

    /// The plan that reads the rows. Files that cannot hold a matching row are left out; rows that do not match may come.
    ///
    /// # Errors
    /// Where a filter does not fit the schema, or a deletion vector cannot be read.
    pub(crate) async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let candidates = match &self.files {
            Some(files) => Candidates::of(&self.definition, &self.layout, files),
            None => Candidates::all(&self.definition, &self.layout, self.snapshot.files()),
        };
        let mut totals = Totals::of(candidates.len(), candidates.bytes());
        let places = self.places(filters);
        let on_files = filters
            .iter()
            .filter(|filter| self.places(std::slice::from_ref(*filter)).is_none());
        let on_files: Vec<Expr> = on_files.cloned().collect();
        let pruner = Arc::new(Pruner::new(state, &on_files, &self.layout)?);
        let kept = pruner.keep(candidates)?;
        let is_exact = pruner.is_exact() && places.is_none();
        *self.pruner.lock() = Some(pruner);
        let kept = kept.filter(|kept| kept.contains(&false));
        let chosen = |kept: &Option<Vec<bool>>| candidates.select(kept.as_deref());
        if is_exact && projection.is_some_and(Vec::is_empty) {
            let live = match &kept {
                None => candidates.live_rows()?,
                kept => Candidates::of(&self.definition, &self.layout, &chosen(kept)).live_rows()?,
            };
            if let Some(rows) = live.and_then(|rows| usize::try_from(rows).ok()) {
                let rows = rows::without_columns(limit.map_or(rows, |limit| limit.min(rows)))?;
                return Ok(self.node(rows, totals, false));
            }
        }
        let chosen = chosen(&kept);
        let candidates = match &kept {
            None => candidates,
            Some(_) => Candidates::of(&self.definition, &self.layout, &chosen),
        };
        let hidden = self.hidden(&chosen).await?;
        let whole = places.is_none() && !self.in_order && !self.has_identity();
        let masks = match whole {
            true => masks_of(&chosen, &hidden)?,
            false => Masks::new(),
        };
        // A table with columns of these names has rows whose places cannot be told.
        let layout = match masks.is_empty() {
            true => None,
            false => Layout::new(&self.definition, true).ok(),
        };
        let reading = Reads {
            rows: self,
            chosen: &chosen,
            candidates,
            hidden: &hidden,
            masks: None,
            filters,
            places,
            limit,
        };
        let Some(layout) = layout else {
            let input = reading.input(state, projection, &mut totals).await?;
            return Ok(self.node(input, totals, false));
        };
        let masks = Arc::new(masks);
        let told = Self { layout, ..self.clone() };
        let candidates = Candidates::of(&self.definition, &told.layout, &chosen);
        let columns = self.schema().fields().len();
        let mut wanted = projection.cloned().unwrap_or_else(|| (0..columns).collect());
        wanted.extend([columns, columns + 1]);
        let reading = Reads {
            rows: &told,
            candidates,
            masks: Some(&masks),
            limit: None,
            ..reading
        };
        let input = reading.input(state, Some(&wanted), &mut totals).await?;
        Ok(self.node(Arc::new(MaskExec::new(input, masks)?), totals, true))
    }

    /// The rows of each file that are not read.
    async fn hidden(&self, chosen: &[Selected]) -> Result<Vec<Option<Arc<RoaringTreemap>>>> {
        let reads = chosen.iter().map(|selected| async move {
            match &selected.hidden {
                Some(hidden) => Ok(Some(hidden.clone())),
                None => hidden_rows(&self.stores, &self.snapshot, &selected.file).await,
            }
        });
        futures::stream::iter(reads.collect::<Vec<_>>())
            .buffered(READS)
            .try_collect()
            .await
    }

    /// Why a scan cannot be sent to another session, where it cannot.
    fn bound(&self, masked: bool) -> Option<&'static str> {
        if masked {
            Some(masked::STAYS)
        } else if self.has_identity() {
            Some("its rows say where they lie")
        } else if self.files.is_some() {
            Some("it reads files that a running statement chose")
        } else {
            None
        }
    }

    fn node(&self, input: Arc<dyn ExecutionPlan>, totals: Totals, masked: bool) -> Arc<dyn ExecutionPlan> {
        let about = About {
            table: self.snapshot.url().clone(),
            version: self.snapshot.version(),
            totals,
            bound: self.bound(masked),
        };
        Arc::new(LakeScanExec::new(input, Arc::new(about)))
    }

    fn source(
        &self,
        state: &dyn Session,
        store: &str,
        files: Vec<PartitionedFile>,
        by_place: bool,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let statistics = total(files.iter(), self.layout.source_schema())?;
        let mut options = state.table_options().parquet.clone();
        options.global = state.config_options().execution.parquet.clone();
        // INT96 is how Spark used to write instants; nanoseconds would overflow for years that others can hold.
        options.global.coerce_int96 = Some("us".to_string());
        // A join with few rows on its other side asks for exactly their keys, which tells the pages to read.
        let listed = state
            .config_options()
            .optimizer
            .hash_join_inlist_pushdown_max_distinct_values;
        options.global.max_in_list_size = options.global.max_in_list_size.max(listed);
        // Footers are kept for the session: data files never change.
        let url = ObjectStoreUrl::parse(store)?;
        let runtime = state.runtime_env();
        let bytes = runtime.object_store(&url)?;
        let bytes = self
            .stores
            .kept(bytes, url.as_ref(), files.iter().map(|file| &file.object_meta));
        let reader: Arc<dyn ParquetFileReaderFactory> = if self.in_order {
            Arc::new(ReadAhead::new(bytes, &files))
        } else {
            let footers = runtime.cache_manager.get_file_metadata_cache();
            let cached = CachedParquetFileReaderFactory::new(bytes, footers);
            if by_place {
                Arc::new(Paged(cached))
            } else {
                Arc::new(cached)
            }
        };
        let source = ParquetSource::new(self.layout.table_schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(reader);
        let groups = if self.in_order {
            vec![FileGroup::new(files)]
        } else {
            balanced(files, state.config().target_partitions())
        };
        let columns = self.layout.projection(projection);
        let mut config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_limit(limit)
            .with_preserve_order(self.in_order)
            .with_projection_indices(Some(columns))?;
        if let Some(mapped) = MappedColumns::of(&self.definition, &self.layout)? {
            config = config.with_expr_adapter(Some(Arc::new(mapped)));
        }
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    /// The file as DataFusion reads it; none where none of its rows is to be read.
    async fn partitioned_file(
        &self,
        context: &Reading<'_>,
        place: usize,
        selected: &Selected,
        hidden: Option<&RoaringTreemap>,
    ) -> DataFusionResult<Option<ReadFile>> {
        let file = &selected.file;
        let (store, path) = context.table.place(&file.add.path)?;
        let mut read = PartitionedFile::new_from_meta(ObjectMeta {
            location: path,
            last_modified: chrono::DateTime::from_timestamp_millis(file.add.modification_time).unwrap_or_default(),
            size: file.size(),
            e_tag: None,
            version: None,
        })
        .with_partition_values(context.partition_values(place, selected, self.has_identity())?);
        let hides = hidden.map_or(0, |hidden| hidden.len());
        let mut left_out = 0;
        if let Some(mask) = context.masks.and_then(|masks| masks.get(&file.add.path)) {
            if hides >= mask.len() as u64 {
                return Ok(None);
            }
            left_out = hides;
        } else if hides > 0 || context.places.is_some() {
            let rows = match file.records() {
                Some(rows) => rows,
                None => self.count_rows(&store, &read).await?,
            };
            let (selection, selected) = selection(hidden, context.places.as_ref(), rows)?;
            if selected == 0 {
                return Ok(None);
            }
            left_out = rows - selected;
            read = read.with_extension(ParquetRowSelection::new(selection));
        }
        let statistics = context
            .statistics
            .of_file(place, file, left_out, &read.partition_values)?;
        read.statistics = Some(Arc::new(statistics));
        Ok(Some(ReadFile {
            store,
            file: read,
            hidden: hides,
            skipped: left_out.saturating_sub(hides),
        }))
    }

    /// The rows of a file of which the log does not say how many there are.
    async fn count_rows(&self, store: &str, file: &PartitionedFile) -> Result<u64> {
        let url = Url::parse(store).map_err(|error| Error::internal(error.to_string()))?;
        let meta = &file.object_meta;
        let bytes = self.stores.root(&url)?.get(&meta.location).await?.bytes().await?;
        let footer = ParquetMetaDataReader::new()
            .parse_and_finish(&bytes)
            .map_err(|error| Error::corrupt(format!("file {}: {error}", meta.location)).with_source(error))?;
        Ok(u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default())
    }
}

/// The masks of the files that have many hidden rows.
fn masks_of(chosen: &[Selected], hidden: &[Option<Arc<RoaringTreemap>>]) -> Result<Masks> {
    let mut masks = Masks::new();
    for (selected, hidden) in chosen.iter().zip(hidden) {
        if let (Some(hidden), Some(rows)) = (hidden, selected.file.records())
            && is_dense(hidden.len(), rows)
        {
            masks.insert(selected.file.add.path.clone(), mask(hidden, rows)?);
        }
    }
    Ok(masks)
}

/// The files of a scan on their way to the reader.
struct Reads<'a> {
    rows: &'a Rows,
    chosen: &'a [Selected],
    candidates: Candidates<'a>,
    hidden: &'a [Option<Arc<RoaringTreemap>>],
    masks: Option<&'a Masks>,
    filters: &'a [Expr],
    places: Option<Places>,
    limit: Option<usize>,
}

impl Reads<'_> {
    /// The plan that reads the files, of which `totals` takes note.
    async fn input(
        self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        totals: &mut Totals,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let layout = &self.rows.layout;
        let context = Reading {
            table: Folder::of(self.rows.snapshot.url())?,
            partitions: self.candidates.partitions()?,
            places: self.places,
            masks: self.masks,
            statistics: FileStatistics::of(self.candidates, layout.columns_of(projection, self.filters))?,
        };
        let files = self.chosen.iter().zip(self.hidden).enumerate();
        let reads = files.map(|(place, (selected, hidden))| {
            self.rows.partitioned_file(&context, place, selected, hidden.as_deref())
        });
        let mut by_store: BTreeMap<String, Vec<PartitionedFile>> = BTreeMap::new();
        let mut reads = futures::stream::iter(reads.collect::<Vec<_>>()).buffered(READS);
        while let Some(file) = reads.try_next().await? {
            let Some(read) = file else { continue };
            totals.keep(read.file.object_meta.size, read.hidden, read.skipped);
            by_store.entry(read.store).or_default().push(read.file);
        }
        let mut scans = Vec::new();
        for (store, files) in by_store {
            let by_place = context.places.is_some();
            scans.push(
                self.rows
                    .source(state, &store, files, by_place, projection, self.limit)?,
            );
        }
        Ok(match (scans.pop(), scans.is_empty()) {
            (None, _) => {
                let schema = match projection {
                    Some(columns) => Arc::new(layout.schema().project(columns)?),
                    None => layout.schema().clone(),
                };
                Arc::new(EmptyExec::new(schema))
            }
            (Some(scan), true) => scan,
            (Some(scan), false) => {
                scans.push(scan);
                UnionExec::try_new(scans)?
            }
        })
    }
}

/// A file that is read.
struct ReadFile {
    store: String,
    file: PartitionedFile,
    /// Rows that its deletion vector hides.
    hidden: u64,
    /// Other rows that are left out because of their places.
    skipped: u64,
}

/// What is known of the files of a scan.
struct Reading<'a> {
    table: Folder,
    /// The places of rows to read, where not all are.
    places: Option<Places>,
    /// What is left out of files that are read whole.
    masks: Option<&'a Masks>,
    partitions: Vec<ArrayRef>,
    statistics: FileStatistics<'a>,
}

impl Reading<'_> {
    /// The values of the file at a place of the list, and its path where rows are to say it.
    fn partition_values(&self, place: usize, selected: &Selected, identity: bool) -> Result<Vec<ScalarValue>> {
        let mut values = Vec::with_capacity(self.partitions.len() + 1);
        for column in &self.partitions {
            values.push(ScalarValue::try_from_array(column, place)?);
        }
        if identity {
            let path = ScalarValue::Utf8(Some(selected.file.add.path.clone()));
            values.push(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(path)));
        }
        Ok(values)
    }
}

/// The URL of the store that a file of the table at `table` is in, and its path there, by the path that the log has.
///
/// # Errors
/// Where the path is a URL that has no place in a store.
pub(crate) fn place(table: &Url, path: &str) -> Result<(String, Path)> {
    Folder::of(table)?.place(path)
}

/// A table's folder, from which the paths of its log start.
struct Folder {
    store: String,
    path: Path,
}

impl Folder {
    fn of(table: &Url) -> Result<Self> {
        Ok(Self {
            store: store_of(table),
            path: path_of(table)?,
        })
    }

    fn place(&self, path: &str) -> Result<(String, Path)> {
        if let Some((_, rest)) = path.split_once(":/")
            && let Ok(url) = Url::parse(path)
        {
            // Behind the store's name, the log has the path as it is: what looks like an escaped sign in it is none.
            let rest = rest.trim_start_matches('/');
            let in_store = match url.scheme() {
                "file" => rest,
                _ => rest.split_once('/').map_or("", |(_, path)| path),
            };
            return Ok((store_of(&url), data_path(in_store)));
        }
        let relative = data_path(path);
        let parts = self.path.parts().chain(relative.parts());
        Ok((self.store.clone(), parts.collect()))
    }
}

fn store_of(url: &Url) -> String {
    match url.scheme() {
        "file" => "file:///".to_string(),
        _ => format!("{}/", &url[..Position::BeforePath]),
    }
}

/// Files in as many groups as there are partitions to read them, of about the same bytes each; each group keeps the files'
/// order.
fn balanced(files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    let wanted = partitions.min(files.len()).max(1);
    let bytes: u64 = files.iter().map(|file| file.object_meta.size.max(1)).sum();
    let share = bytes.div_ceil(wanted as u64).max(1);
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new()];
    let mut filled = 0;
    for file in files {
        let size = file.object_meta.size.max(1);
        let full = filled > 0 && filled + size / 2 > share && groups.len() < wanted;
        if full {
            groups.push(Vec::new());
            filled = 0;
        }
        filled += size;
        if let Some(group) = groups.last_mut() {
            group.push(file);
        }
    }
    groups.into_iter().map(FileGroup::new).collect()
}

/// The type that scans give a column of this type: views where there are any, which take no copies.
pub(super) fn read_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    }
}
