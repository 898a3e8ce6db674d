//! A Parquet file without some of its rows: pages in which no such row lies are copied as they are. What a change of few
//! rows costs then is the writing of the bytes, not the decoding and encoding of all values.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::record_batch::{RecordBatch, RecordBatchReader};
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Encoding, SortOrder, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::SerializedFileWriter;
use roaring::RoaringTreemap;

/// Rows that are decoded at a time.
const BATCH: usize = 8192;
/// A column's pages are copied where at most one in so many has rows that go: pages that are made again have no dictionary.
const FEW: usize = 4;
/// What a buffer of pages begins with, so that no page has the offset 0, which stands for none.
const START: usize = 4;

/// The file without its rows of these numbers, and its footer. None where it cannot be made of the old one's parts.
///
/// # Errors
/// Where the file is damaged.
pub(super) fn without_rows(file: &Bytes, gone: &RoaringTreemap) -> Result<Option<(Vec<u8>, ParquetMetaData)>> {
    let options = ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Optional)
        .with_encoding_stats_as_mask(false);
    let source = Source {
        file: file.clone(),
        metadata: ArrowReaderMetadata::load(file, options)?,
    };
    let footer = source.metadata.metadata().clone();
    let all: Vec<u64> = gone.iter().collect();
    let mut first = 0_u64;
    let mut groups = Vec::new();
    for (group, metadata) in footer.row_groups().iter().enumerate() {
        let rows = count(metadata.num_rows())?;
        let start = all.partition_point(|row| *row < first);
        let end = all.partition_point(|row| *row < first + rows as u64);
        let gone = all.get(start..end).unwrap_or_default().iter();
        let gone: Vec<usize> = gone.filter_map(|row| usize::try_from(row - first).ok()).collect();
        first += rows as u64;
        if gone.len() < rows {
            groups.push(Group { group, rows, gone });
        }
    }
    let Some(mut chunks) = source.changed(&groups)? else {
        return Ok(None);
    };
    let properties = WriterProperties::builder()
        .set_created_by(format!("posixlake version {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(footer.file_metadata().key_value_metadata().cloned())
        .build();
    let schema = footer.file_metadata().schema_descr().root_schema_ptr();
    let indexed = footer.offset_index().is_some();
    let mut bytes = Vec::with_capacity(file.len());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))?;
    for group in &groups {
        let mut row_group = writer.next_row_group()?;
        for leaf in 0..footer.file_metadata().schema_descr().num_columns() {
            let (pages, mut close) = match chunks.pop() {
                Some(Some(chunk)) if !group.gone.is_empty() => (chunk.pages, chunk.close),
                _ => (file.clone(), source.copied(group, leaf)?),
            };
            // A file has an index of all its pages, or of none.
            if !indexed {
                close.column_index = None;
                close.offset_index = None;
            }
            row_group.append_column(&pages, close)?;
        }
        row_group.close()?;
    }
    let footer = writer.close()?;
    Ok(Some((bytes, footer)))
}

/// A row group of which rows go.
struct Group {
    group: usize,
    rows: usize,
    /// Counted from the group's first row.
    gone: Vec<usize>,
}

/// A column of a row group, made anew.
struct Chunk {
    pages: Bytes,
    close: ColumnCloseResult,
}

/// Where a page lies, and the rows of its group that are in it.
type Page = (PageLocation, Range<usize>);

/// The bounds of a page's values.
struct PageBounds {
    null: bool,
    min: Vec<u8>,
    max: Vec<u8>,
    nulls: i64,
}

struct Source {
    file: Bytes,
    metadata: ArrowReaderMetadata,
}

fn missing(what: &str) -> ParquetError {
    ParquetError::General(format!("the footer lacks {what}"))
}

fn count(number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| ParquetError::General(format!("a footer says {number} rows or bytes")))
}

impl Source {
    fn chunk(&self, group: usize, leaf: usize) -> Result<&ColumnChunkMetaData> {
        let groups = self.metadata.metadata().row_groups();
        let chunk = groups.get(group).and_then(|group| group.columns().get(leaf));
        chunk.ok_or_else(|| missing("a column"))
    }

    fn offsets(&self, group: usize, leaf: usize) -> Option<&OffsetIndexMetaData> {
        self.metadata.metadata().offset_index()?.get(group)?.get(leaf)
    }

    fn bounds(&self, group: usize, leaf: usize) -> Option<&ColumnIndexMetaData> {
        self.metadata.metadata().column_index()?.get(group)?.get(leaf)
    }

    /// A column of a row group as it is.
    fn copied(&self, group: &Group, leaf: usize) -> Result<ColumnCloseResult> {
        let chunk = self.chunk(group.group, leaf)?;
        let index = self.bounds(group.group, leaf).cloned();
        Ok(ColumnCloseResult {
            bytes_written: u64::try_from(chunk.compressed_size()).unwrap_or_default(),
            rows_written: group.rows as u64,
            metadata: chunk.clone(),
            bloom_filter: None,
            column_index: index.filter(|index| !matches!(index, ColumnIndexMetaData::NONE)),
            offset_index: self.offsets(group.group, leaf).cloned(),
        })
    }

    /// The columns of all groups, last one first: those that lose rows made anew, by as many threads as there are; none
    /// where one does not fit into the file that it comes from.
    fn changed(&self, groups: &[Group]) -> Result<Option<Vec<Option<Chunk>>>> {
        let leaves = self.metadata.parquet_schema().num_columns();
        let total = groups.len() * leaves;
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Result<Option<Chunk>>)>> = Mutex::new(Vec::new());
        let work = || {
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                let Some(group) = groups.get(task / leaves.max(1)).filter(|_| task < total) else {
                    break;
                };
                if !group.gone.is_empty() {
                    let chunk = self.make(group, task % leaves);
                    done.lock().push((task, chunk));
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(total);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut chunks: Vec<Option<Chunk>> = (0..total).map(|_| None).collect();
        for (task, chunk) in done.into_inner() {
            let Some(chunk) = chunk? else { return Ok(None) };
            if let Some(slot) = chunks.get_mut(total - 1 - task) {
                *slot = Some(chunk);
            }
        }
        Ok(Some(chunks))
    }

    fn make(&self, group: &Group, leaf: usize) -> Result<Option<Chunk>> {
        match self.pages(group, leaf)? {
            Some(pages) => self.patched(group, leaf, &pages),
            None => self.whole(group, leaf),
        }
    }

    /// The pages of a column with the rows in each, where they can be copied one by one and few of them lose rows.
    fn pages(&self, group: &Group, leaf: usize) -> Result<Option<Vec<Page>>> {
        let column = self.metadata.parquet_schema().column(leaf);
        let ordered = match column.physical_type() {
            Type::INT32 | Type::INT64 | Type::FLOAT | Type::DOUBLE => column.sort_order() == SortOrder::SIGNED,
            Type::BOOLEAN => true,
            Type::BYTE_ARRAY => column.sort_order() == SortOrder::UNSIGNED,
            _ => false,
        };
        let index = self.bounds(group.group, leaf);
        let (Some(offsets), Some(index)) = (self.offsets(group.group, leaf), index) else {
            return Ok(None);
        };
        let locations = &offsets.page_locations;
        let chunk = self.chunk(group.group, leaf)?;
        // Some writers do not say that a dictionary comes before the first page.
        let first = locations.first().map(|page| page.offset);
        let starts = chunk.dictionary_page_offset().is_some() || first == Some(chunk.data_page_offset());
        if !ordered || !starts || column.max_rep_level() > 0 || index.num_pages() != locations.len() as u64 {
            return Ok(None);
        }
        let mut pages = Vec::with_capacity(locations.len());
        for (place, location) in locations.iter().enumerate() {
            let end = match locations.get(place + 1) {
                Some(next) => count(next.first_row_index)?,
                None => group.rows,
            };
            pages.push((location.clone(), count(location.first_row_index)?..end));
        }
        let touched = pages
            .iter()
            .filter(|(_, rows)| !lost(&group.gone, rows).is_empty())
            .count();
        let known = (0..locations.len()).all(|page| page_bounds(index, page).is_some());
        Ok((touched * FEW <= pages.len() && known).then_some(pages))
    }

    /// A column without the rows, all of it encoded again.
    fn whole(&self, group: &Group, leaf: usize) -> Result<Option<Chunk>> {
        let rows = 0..group.rows;
        let Some(made) = self.encoded(group, leaf, &[rows], true)? else {
            return Ok(None);
        };
        let chunk = made.chunk(0, 0)?;
        let (start, length) = chunk.byte_range();
        let metadata = self.like(group, leaf, chunk)?.build()?;
        Ok(Some(Chunk {
            close: ColumnCloseResult {
                bytes_written: length,
                rows_written: (group.rows - group.gone.len()) as u64,
                metadata: shifted(metadata, i64::try_from(start).unwrap_or_default())?,
                bloom_filter: None,
                column_index: made.bounds(0, 0).cloned(),
                offset_index: made.offsets(0, 0).map(|offsets| {
                    let mut offsets = offsets.clone();
                    for location in &mut offsets.page_locations {
                        location.offset = location.offset - i64::try_from(start).unwrap_or_default() + START as i64;
                    }
                    offsets
                }),
            },
            pages: padded(&[slice(&made.file, start, length)?]),
        }))
    }

    /// A column without the rows, of which only the pages that had such rows are encoded again.
    fn patched(&self, group: &Group, leaf: usize, pages: &[Page]) -> Result<Option<Chunk>> {
        let touched: Vec<Range<usize>> = pages
            .iter()
            .map(|(_, rows)| rows.clone())
            .filter(|rows| !lost(&group.gone, rows).is_empty())
            .collect();
        let Some(made) = self.encoded(group, leaf, &touched, false)? else {
            return Ok(None);
        };
        let old = self.chunk(group.group, leaf)?;
        let mut patch = Patch::new(old.column_type());
        if let (Some(start), Some((first, _))) = (old.dictionary_page_offset(), pages.first()) {
            let start = u64::try_from(start).unwrap_or_default();
            let end = u64::try_from(first.offset).unwrap_or_default();
            patch.dictionary(slice(&self.file, start, end.saturating_sub(start))?)?;
        }
        let old_bounds = self
            .bounds(group.group, leaf)
            .ok_or_else(|| missing("bounds of pages"))?;
        let mut next = 0;
        for (place, (location, rows)) in pages.iter().enumerate() {
            let lost = lost(&group.gone, rows).len();
            if lost == 0 {
                let bounds = page_bounds(old_bounds, place).ok_or_else(|| missing("bounds of a page"))?;
                patch.page(page(&self.file, location)?, rows.len(), bounds)?;
                continue;
            }
            if lost == rows.len() {
                continue;
            }
            let offsets = made.offsets(next, 0).ok_or_else(|| missing("an index of pages"))?;
            let bounds = made.bounds(next, 0).ok_or_else(|| missing("bounds of pages"))?;
            let kept = rows.len() - lost;
            for (at, location) in offsets.page_locations.iter().enumerate() {
                let end = offsets
                    .page_locations
                    .get(at + 1)
                    .map_or(kept as i64, |next| next.first_row_index);
                let Some(bounds) = page_bounds(bounds, at) else {
                    return self.whole(group, leaf);
                };
                patch.page(
                    page(&made.file, location)?,
                    count(end - location.first_row_index)?,
                    bounds,
                )?;
            }
            next += 1;
        }
        patch.close(old, group.rows - group.gone.len()).map(Some)
    }

    /// The metadata of a column that was made anew, in the place of the old one.
    fn like(
        &self,
        group: &Group,
        leaf: usize,
        made: &ColumnChunkMetaData,
    ) -> Result<parquet::file::metadata::ColumnChunkMetaDataBuilder> {
        let old = self.chunk(group.group, leaf)?;
        let mut builder = ColumnChunkMetaData::builder(old.column_descr_ptr())
            .set_compression_codec(made.compression_codec())
            .set_encodings_mask(*made.encodings_mask())
            .set_total_compressed_size(made.compressed_size())
            .set_total_uncompressed_size(made.uncompressed_size())
            .set_num_values(made.num_values())
            .set_data_page_offset(made.data_page_offset())
            .set_dictionary_page_offset(made.dictionary_page_offset())
            .set_unencoded_byte_array_data_bytes(made.unencoded_byte_array_data_bytes());
        if let Some(statistics) = made.statistics() {
            builder = builder.set_statistics(statistics.clone());
        }
        if let Some(statistics) = made.page_encoding_stats() {
            builder = builder.set_page_encoding_stats(statistics.clone());
        }
        Ok(builder)
    }

    /// Ranges of a column's rows as a file of its own, a row group for each range of which rows stay. None where its values
    /// would not be laid out as those of the old file are.
    fn encoded(&self, group: &Group, leaf: usize, ranges: &[Range<usize>], whole: bool) -> Result<Option<Self>> {
        let old = self.chunk(group.group, leaf)?;
        let mut selectors = Vec::new();
        let mut at = 0;
        let mut wanted = Vec::new();
        for range in ranges {
            let lost = lost(&group.gone, range);
            wanted.push(range.len() - lost.len());
            for row in lost.iter().copied().chain([range.end]) {
                let start = at.max(range.start);
                selectors.push(RowSelector::skip(start - at));
                selectors.push(RowSelector::select(row - start));
                at = (row + 1).min(range.end);
                selectors.push(RowSelector::skip(at - row));
            }
        }
        selectors.push(RowSelector::skip(group.rows - at));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
            .with_row_groups(vec![group.group])
            .with_projection(ProjectionMask::leaves(self.metadata.parquet_schema(), [leaf]))
            .with_row_selection(RowSelection::from(selectors))
            .with_batch_size(BATCH)
            .build()?;
        let properties = WriterProperties::builder()
            .set_compression(old.compression())
            .set_dictionary_enabled(whole)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_max_row_group_row_count(None);
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), reader.schema(), options)?;
        let mut wanted = wanted.into_iter().filter(|rows| *rows > 0);
        let mut left = wanted.next().unwrap_or(0);
        for batch in reader {
            let mut batch: RecordBatch = batch?;
            while batch.num_rows() > left {
                writer.write(&batch.slice(0, left))?;
                writer.flush()?;
                batch = batch.slice(left, batch.num_rows() - left);
                left = wanted.next().ok_or_else(|| missing("rows"))?;
            }
            left -= batch.num_rows();
            writer.write(&batch)?;
        }
        let file = Bytes::from(writer.into_inner()?);
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::try_new(Arc::new(reader.parse_and_finish(&file)?), Default::default())?;
        let made = metadata.parquet_schema();
        let (before, after) = (old.column_descr(), (made.num_columns() == 1).then(|| made.column(0)));
        let fits = after.is_some_and(|after| {
            before.physical_type() == after.physical_type()
                && before.max_def_level() == after.max_def_level()
                && before.max_rep_level() == after.max_rep_level()
                && (before.physical_type() != Type::FIXED_LEN_BYTE_ARRAY || before.type_length() == after.type_length())
        });
        Ok(fits.then_some(Self { file, metadata }))
    }
}

/// A column that is put together of pages.
struct Patch {
    pages: Vec<Bytes>,
    length: usize,
    uncompressed: i64,
    has_dictionary: bool,
    locations: Vec<PageLocation>,
    rows: usize,
    index: ColumnIndexBuilder,
    kind: Type,
    bounds: Vec<PageBounds>,
}

impl Patch {
    fn new(kind: Type) -> Self {
        Self {
            pages: Vec::new(),
            length: START,
            uncompressed: 0,
            has_dictionary: false,
            locations: Vec::new(),
            rows: 0,
            index: ColumnIndexBuilder::new(kind),
            kind,
            bounds: Vec::new(),
        }
    }

    fn push(&mut self, page: Bytes) -> Result<()> {
        self.uncompressed += uncompressed_size(&page)?;
        self.length += page.len();
        self.pages.push(page);
        Ok(())
    }

    fn dictionary(&mut self, page: Bytes) -> Result<()> {
        self.has_dictionary = true;
        self.push(page)
    }

    fn page(&mut self, page: Bytes, rows: usize, bounds: PageBounds) -> Result<()> {
        self.locations.push(PageLocation {
            offset: self.length as i64,
            compressed_page_size: i32::try_from(page.len()).map_err(|_| missing("a page of a size that can be"))?,
            first_row_index: self.rows as i64,
        });
        self.rows += rows;
        self.index
            .append(bounds.null, bounds.min.clone(), bounds.max.clone(), bounds.nulls);
        self.bounds.push(bounds);
        self.push(page)
    }

    fn close(self, old: &ColumnChunkMetaData, rows: usize) -> Result<Chunk> {
        if self.rows != rows {
            return Err(ParquetError::General(format!(
                "{} rows of pages where {rows} stay",
                self.rows
            )));
        }
        let encodings: Vec<Encoding> = old.encodings().chain([Encoding::PLAIN, Encoding::RLE]).collect();
        let first = self.locations.first().map_or(START as i64, |page| page.offset);
        let mut builder = ColumnChunkMetaData::builder(old.column_descr_ptr())
            .set_compression_codec(old.compression_codec())
            .set_encodings(encodings)
            .set_total_compressed_size((self.length - START) as i64)
            .set_total_uncompressed_size(self.uncompressed)
            .set_num_values(rows as i64)
            .set_data_page_offset(first)
            .set_dictionary_page_offset(self.has_dictionary.then_some(START as i64));
        if let Some(statistics) = statistics(self.kind, &self.bounds, old.statistics()) {
            builder = builder.set_statistics(statistics);
        }
        Ok(Chunk {
            close: ColumnCloseResult {
                bytes_written: (self.length - START) as u64,
                rows_written: rows as u64,
                metadata: builder.build()?,
                bloom_filter: None,
                column_index: Some(self.index.build()?),
                offset_index: Some(OffsetIndexMetaData {
                    page_locations: self.locations,
                    unencoded_byte_array_data_bytes: None,
                }),
            },
            pages: padded(&self.pages),
        })
    }
}

/// The rows of a range that go.
fn lost<'a>(gone: &'a [usize], range: &Range<usize>) -> &'a [usize] {
    let start = gone.partition_point(|row| *row < range.start);
    let end = gone.partition_point(|row| *row < range.end);
    gone.get(start..end).unwrap_or_default()
}

fn slice(file: &Bytes, start: u64, length: u64) -> Result<Bytes> {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
    if end > file.len() {
        return Err(ParquetError::General(
            "a page lies behind the end of the file".to_string(),
        ));
    }
    Ok(file.slice(start..end))
}

fn page(file: &Bytes, location: &PageLocation) -> Result<Bytes> {
    let size = u64::try_from(location.compressed_page_size).unwrap_or_default();
    slice(file, u64::try_from(location.offset).unwrap_or_default(), size)
}

fn padded(pages: &[Bytes]) -> Bytes {
    let mut all = Vec::with_capacity(START + pages.iter().map(Bytes::len).sum::<usize>());
    all.resize(START, 0);
    for page in pages {
        all.extend_from_slice(page);
    }
    Bytes::from(all)
}

/// Metadata of a column that starts at `start`, for a buffer that has it behind its own start.
fn shifted(metadata: ColumnChunkMetaData, start: i64) -> Result<ColumnChunkMetaData> {
    let shift = |offset: i64| offset - start + START as i64;
    let (data, dictionary) = (metadata.data_page_offset(), metadata.dictionary_page_offset());
    metadata
        .into_builder()
        .set_data_page_offset(shift(data))
        .set_dictionary_page_offset(dictionary.map(shift))
        .build()
}

/// The size of a page as its header has it, and of the header (Parquet format, `PageHeader`: the type, then this size, are its
/// first fields, in Thrift's compact protocol).
fn uncompressed_size(page: &Bytes) -> Result<i64> {
    let mut bytes = page.iter().copied();
    let mut number = || -> Option<u64> {
        // A 32-bit number in the field behind the last one.
        (bytes.next()? == 0x15).then_some(())?;
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes.next()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((value >> 1) ^ (value & 1).wrapping_neg());
            }
            shift += 7;
            (shift < 35).then_some(())?;
        }
    };
    let sizes = number().and_then(|_| Some((number()?, number()?)));
    let (uncompressed, compressed) = sizes.ok_or_else(|| missing("the header of a page"))?;
    let header = (page.len() as u64).saturating_sub(compressed);
    i64::try_from(uncompressed + header).map_err(|_| missing("the header of a page"))
}

/// The bounds of a page; none where they are not known.
fn page_bounds(index: &ColumnIndexMetaData, page: usize) -> Option<PageBounds> {
    let nulls = index.null_count(page)?;
    if index.is_null_page(page) {
        return Some(PageBounds {
            null: true,
            min: Vec::new(),
            max: Vec::new(),
            nulls,
        });
    }
    let (min, max) = match index {
        ColumnIndexMetaData::BOOLEAN(index) => (
            vec![u8::from(*index.min_value(page)?)],
            vec![u8::from(*index.max_value(page)?)],
        ),
        ColumnIndexMetaData::INT32(index) => (
            index.min_value(page)?.to_le_bytes().to_vec(),
            index.max_value(page)?.to_le_bytes().to_vec(),
        ),
        ColumnIndexMetaData::INT64(index) => (
            index.min_value(page)?.to_le_bytes().to_vec(),
            index.max_value(page)?.to_le_bytes().to_vec(),
        ),
        ColumnIndexMetaData::FLOAT(index) => (
            index.min_value(page)?.to_le_bytes().to_vec(),
            index.max_value(page)?.to_le_bytes().to_vec(),
        ),
        ColumnIndexMetaData::DOUBLE(index) => (
            index.min_value(page)?.to_le_bytes().to_vec(),
            index.max_value(page)?.to_le_bytes().to_vec(),
        ),
        ColumnIndexMetaData::BYTE_ARRAY(index) => (index.min_value(page)?.to_vec(), index.max_value(page)?.to_vec()),
        _ => return None,
    };
    Some(PageBounds {
        null: false,
        min,
        max,
        nulls,
    })
}

/// The least and greatest of pages' bounds.
fn extremes<T: PartialOrd + Copy, const N: usize>(
    pages: &[PageBounds],
    of: impl Fn([u8; N]) -> T,
) -> (Option<T>, Option<T>) {
    let value = |bytes: &Vec<u8>| <[u8; N]>::try_from(bytes.as_slice()).ok().map(&of);
    let known = || pages.iter().filter(|page| !page.null);
    let least = known().filter_map(|page| value(&page.min));
    let greatest = known().filter_map(|page| value(&page.max));
    (
        least.reduce(|a, b| if b < a { b } else { a }),
        greatest.reduce(|a, b| if b > a { b } else { a }),
    )
}

/// The statistics of a column by those of its pages. Texts keep the old bounds, which hold for what stays.
fn statistics(kind: Type, pages: &[PageBounds], old: Option<&Statistics>) -> Option<Statistics> {
    let nulls = pages.iter().map(|page| page.nulls).sum::<i64>();
    let nulls = u64::try_from(nulls).ok();
    Some(match kind {
        Type::BOOLEAN => {
            let (min, max) = extremes(pages, |[byte]: [u8; 1]| byte != 0);
            Statistics::boolean(min, max, None, nulls, false)
        }
        Type::INT32 => {
            let (min, max) = extremes(pages, i32::from_le_bytes);
            Statistics::int32(min, max, None, nulls, false)
        }
        Type::INT64 => {
            let (min, max) = extremes(pages, i64::from_le_bytes);
            Statistics::int64(min, max, None, nulls, false)
        }
        Type::FLOAT => {
            let (min, max) = extremes(pages, f32::from_le_bytes);
            Statistics::float(min, max, None, nulls, false)
        }
        Type::DOUBLE => {
            let (min, max) = extremes(pages, f64::from_le_bytes);
            Statistics::double(min, max, None, nulls, false)
        }
        _ => match old? {
            Statistics::ByteArray(old) => {
                let bounds = ValueStatistics::new(old.min_opt().cloned(), old.max_opt().cloned(), None, nulls, false);
                Statistics::ByteArray(bounds.with_min_is_exact(false).with_max_is_exact(false))
            }
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests;
