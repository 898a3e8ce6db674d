//! Files that are read one behind the other: small ones whole, in one request each, several ahead of their turn.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

/// The size up to which a file is read whole.
const SMALL: u64 = 4 << 20;
/// How many files are asked for ahead of their turn, and how many bytes.
const FILES: usize = 16;
const BYTES: u64 = 16 << 20;

type Fetched = SpawnedTask<object_store::Result<Bytes>>;

/// Makes readers for files in the order of a list.
pub(super) struct ReadAhead {
    store: Arc<dyn ObjectStore>,
    files: Vec<(Path, u64)>,
    places: HashMap<Path, usize>,
    /// Files that were asked for and not read yet.
    under_way: Mutex<HashMap<usize, Fetched>>,
    plain: DefaultParquetFileReaderFactory,
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadAhead({} files)", self.files.len())
    }
}

impl ReadAhead {
    pub(super) fn new(store: Arc<dyn ObjectStore>, files: &[PartitionedFile]) -> Self {
        let files: Vec<(Path, u64)> = files
            .iter()
            .map(|file| (file.object_meta.location.clone(), file.object_meta.size))
            .collect();
        let places = files.iter().enumerate().map(|(place, (path, _))| (path.clone(), place));
        Self {
            places: places.collect(),
            under_way: Mutex::default(),
            plain: DefaultParquetFileReaderFactory::new(store.clone()),
            store,
            files,
        }
    }

    /// Asks for a file where nobody has, and for those behind it.
    fn fetch(&self, place: usize) -> Option<Fetched> {
        let mut under_way = self.under_way.lock();
        let mut bytes = 0;
        for (at, (path, size)) in self.files.iter().enumerate().skip(place).take(FILES) {
            bytes += size;
            if at > place && bytes > BYTES {
                break;
            }
            if *size <= SMALL {
                under_way.entry(at).or_insert_with(|| {
                    let (store, path, size) = (self.store.clone(), path.clone(), *size);
                    // A store opens a local file once for a list of ranges, on one thread.
                    SpawnedTask::spawn(async move {
                        let read = store.get_ranges(&path, std::slice::from_ref(&(0..size))).await?;
                        match read.into_iter().next() {
                            Some(bytes) => Ok(bytes),
                            None => store.get_range(&path, 0..size).await,
                        }
                    })
                });
            }
        }
        under_way.remove(&place)
    }
}

impl ParquetFileReaderFactory for ReadAhead {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let place = self.places.get(&file.object_meta.location);
        match place.and_then(|place| self.fetch(*place)) {
            Some(fetched) => Ok(Box::new(Whole::Asked(fetched))),
            None => self.plain.create_reader(partition, file, hint, metrics),
        }
    }
}

/// A file that is read whole.
enum Whole {
    Asked(Fetched),
    There(Bytes),
}

impl Whole {
    async fn bytes(&mut self) -> parquet::errors::Result<Bytes> {
        let bytes = match self {
            Self::There(bytes) => return Ok(bytes.clone()),
            Self::Asked(fetched) => fetched
                .await
                .map_err(|error| ParquetError::External(Box::new(error)))?
                .map_err(|error| ParquetError::External(Box::new(error)))?,
        };
        *self = Self::There(bytes.clone());
        Ok(bytes)
    }
}

fn part(bytes: &Bytes, range: &Range<u64>) -> parquet::errors::Result<Bytes> {
    let beyond = || ParquetError::EOF(format!("bytes {range:?} of a file of {}", bytes.len()));
    let start = usize::try_from(range.start).map_err(|_| beyond())?;
    let end = usize::try_from(range.end).map_err(|_| beyond())?;
    if start > end || end > bytes.len() {
        return Err(beyond());
    }
    Ok(bytes.slice(start..end))
}

impl AsyncFileReader for Whole {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move { part(&self.bytes().await?, &range) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        async move {
            let bytes = self.bytes().await?;
            ranges.iter().map(|range| part(&bytes, range)).collect()
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes().await?;
            Ok(Arc::new(ParquetMetaDataReader::new().parse_and_finish(&bytes)?))
        }
        .boxed()
    }
}
