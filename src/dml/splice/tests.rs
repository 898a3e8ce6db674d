use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, ListBuilder, StringArray,
    StringBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Fields};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Compression;
use proptest::prelude::*;

use super::*;

/// A batch of every kind of column, with NULLs, whose values follow from the number of the row.
fn rows(count: usize) -> RecordBatch {
    let is_null = |row: usize, every: usize| row % every == every - 1;
    let numbers = || 0..count;
    let texts: Vec<Option<String>> = numbers()
        .map(|row| (!is_null(row, 5)).then(|| format!("text {}", row * 7919 % 1000)))
        .collect();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in numbers() {
        for item in 0..row % 4 {
            lists.values().append_value(format!("{row}/{item}"));
        }
        lists.append(!is_null(row, 6));
    }
    let inner: ArrayRef = Arc::new(
        numbers()
            .map(|row| (!is_null(row, 3)).then_some(row as i32))
            .collect::<Int32Array>(),
    );
    let inner_field = Arc::new(Field::new("inner", DataType::Int32, true));
    let nested = StructArray::new(Fields::from(vec![inner_field]), vec![inner], None);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(numbers().map(|row| row as i64))),
        ),
        (
            "small",
            Arc::new(
                numbers()
                    .map(|row| (!is_null(row, 4)).then_some((row * 31 % 50) as i32))
                    .collect::<Int32Array>(),
            ),
        ),
        (
            "flag",
            Arc::new(
                numbers()
                    .map(|row| (!is_null(row, 9)).then_some(row % 3 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "value",
            Arc::new(
                numbers()
                    .map(|row| (!is_null(row, 8)).then_some(row as f64 / 3.0))
                    .collect::<Float64Array>(),
            ),
        ),
        ("text", Arc::new(StringArray::from(texts))),
        ("none", Arc::new(Int64Array::from(vec![None; count]))),
        (
            "exact",
            Arc::new(
                Decimal128Array::from_iter_values(numbers().map(|row| row as i128 * 11 - 300))
                    .with_precision_and_scale(25, 2)
                    .unwrap(),
            ),
        ),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                numbers().map(|row| row as i64 * 1_000_003),
            )),
        ),
        ("list", Arc::new(lists.finish())),
        ("nested", Arc::new(nested)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn file(rows: &RecordBatch, page: usize, group: usize, dictionary: bool, index: bool) -> Bytes {
    let statistics = if index {
        EnabledStatistics::Page
    } else {
        EnabledStatistics::Chunk
    };
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(page)
        .set_write_batch_size(page.min(64))
        .set_max_row_group_row_count(Some(group))
        .set_dictionary_enabled(dictionary)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(!index)
        .set_compression(Compression::SNAPPY);
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties.build())).unwrap();
    writer.write(rows).unwrap();
    Bytes::from(writer.into_inner().unwrap())
}

fn read(file: Bytes, page_index: PageIndexPolicy) -> RecordBatch {
    let options = ArrowReaderOptions::new().with_page_index_policy(page_index);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn nulls(footer: &ParquetMetaData, column: &str) -> u64 {
    let descriptor = footer.file_metadata().schema_descr();
    let schema = parquet_to_arrow_schema(descriptor, None).unwrap();
    let converter = StatisticsConverter::try_new(column, &schema, descriptor).unwrap();
    let counts = converter.row_group_null_counts(footer.row_groups().iter()).unwrap();
    counts.iter().flatten().sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_rows_but_those_that_go_are_there(
        count in 1..3000_usize,
        page in 10..400_usize,
        group in 100..2000_usize,
        dictionary: bool,
        index: bool,
        gone in prop::collection::vec(0..3000_usize, 1..12),
        run in prop::option::of((0..3000_usize, 1..900_usize)),
    ) {
        let before = rows(count);
        let mut gone: RoaringTreemap = gone.into_iter().map(|row| (row % count) as u64).collect();
        if let Some((start, length)) = run {
            gone.extend((start.min(count)..(start + length).min(count)).map(|row| row as u64));
        }
        let keeps: BooleanArray = (0..count).map(|row| Some(!gone.contains(row as u64))).collect();
        let expected = filter_record_batch(&before, &keeps).unwrap();
        let old = file(&before, page, group, dictionary, index);
        let (bytes, footer) = without_rows(&old, &gone).unwrap().unwrap();
        prop_assert_eq!(footer.file_metadata().num_rows() as usize, expected.num_rows());
        let bytes = Bytes::from(bytes);
        for policy in [PageIndexPolicy::Skip, PageIndexPolicy::Optional] {
            prop_assert_eq!(&read(bytes.clone(), policy), &expected);
        }
        // Bounds are those of the rows that stay.
        for (group, rows) in footer.row_groups().iter().zip(groups(&footer, &expected)) {
            let ids = rows.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            let statistics = group.column(0).statistics().unwrap();
            let Statistics::Int64(statistics) = statistics else { panic!("{statistics:?}") };
            prop_assert_eq!(statistics.min_opt(), Some(&ids.value(0)));
            prop_assert_eq!(statistics.max_opt(), Some(&ids.value(ids.len() - 1)));
        }
        for (place, column) in ["id", "small", "flag", "value", "text", "none", "exact", "at"].iter().enumerate() {
            prop_assert_eq!(nulls(&footer, column) as usize, expected.column(place).null_count(), "{}", column);
        }
    }

    #[test]
    fn rows_are_found_by_the_index_of_pages(
        page in 10..100_usize,
        gone in prop::collection::vec(0..2000_u64, 1..8),
        wanted in prop::collection::vec(0..2000_usize, 1..20),
    ) {
        let before = rows(2000);
        let gone: RoaringTreemap = gone.into_iter().collect();
        let keeps: BooleanArray = (0..2000).map(|row| Some(!gone.contains(row))).collect();
        let expected = filter_record_batch(&before, &keeps).unwrap();
        let (bytes, _) = without_rows(&file(&before, page, 5000, true, true), &gone).unwrap().unwrap();
        let wanted: std::collections::BTreeSet<usize> = wanted.into_iter().filter(|row| *row < expected.num_rows()).collect();
        let ranges = wanted.iter().map(|row| *row..*row + 1);
        let selection = RowSelection::from_consecutive_ranges(ranges, expected.num_rows());
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::from(bytes), options).unwrap();
        let batches: Vec<_> = reader.with_row_selection(selection).build().unwrap().map(Result::unwrap).collect();
        let found = concat_batches(&expected.schema(), &batches).unwrap();
        let mask: BooleanArray = (0..expected.num_rows()).map(|row| Some(wanted.contains(&row))).collect();
        prop_assert_eq!(found, filter_record_batch(&expected, &mask).unwrap());
    }
}

/// The rows of each row group.
fn groups(footer: &ParquetMetaData, rows: &RecordBatch) -> Vec<RecordBatch> {
    let mut start = 0;
    footer
        .row_groups()
        .iter()
        .map(|group| {
            let length = group.num_rows() as usize;
            start += length;
            rows.slice(start - length, length)
        })
        .collect()
}

#[test]
fn untouched_pages_are_the_same_bytes() {
    let before = rows(5000);
    let old = file(&before, 100, 10_000, true, true);
    let (bytes, footer) = without_rows(&old, &[2500].into_iter().collect()).unwrap().unwrap();
    assert!(
        bytes.len() < old.len() + old.len() / 10,
        "{} from {}",
        bytes.len(),
        old.len()
    );
    assert_eq!(footer.num_row_groups(), 1);
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    let footer = reader.parse_and_finish(&Bytes::from(bytes.clone())).unwrap();
    let first = footer.offset_index().unwrap()[0][0].page_locations[0].clone();
    let page = &bytes[first.offset as usize..first.offset as usize + first.compressed_page_size as usize];
    assert!(old.windows(page.len()).any(|window| window == page));
}

#[test]
fn a_file_whose_values_arrow_lays_out_otherwise_is_left_alone() {
    // Instants of 96 bits are read as nanoseconds, which are written as 64 bits.
    let message = "message schema { optional int96 at; }";
    let schema = Arc::new(parquet::schema::parser::parse_message_type(message).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let mut instant = parquet::data_type::Int96::new();
    instant.set_data(0, 0, 2_440_588);
    column
        .typed::<parquet::data_type::Int96Type>()
        .write_batch(&[instant, instant], Some(&[1, 1]), None)
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let bytes = Bytes::from(writer.into_inner().unwrap());
    assert!(without_rows(&bytes, &[0].into_iter().collect()).unwrap().is_none());
}
