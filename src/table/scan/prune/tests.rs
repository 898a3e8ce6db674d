use std::collections::HashMap;

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use datafusion::common::ToDFSchema;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::SessionContext;
use delta_kernel::schema::{DataType, StructField, StructType};
use deltalake_core::kernel::{Add, Protocol, new_metadata};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::Selected;
use super::*;
use crate::log::{DataFile, Files};
use crate::plan::with_both_zeros;
use crate::table::Definition;

type Row = (Option<i64>, Option<f64>, Option<String>);

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-4..5_i32).prop_map(f64::from),
        1 => Just(-0.0),
        1 => Just(f64::NAN),
        1 => Just(-f64::NAN),
        1 => Just(f64::INFINITY),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    (
        prop::option::weighted(0.8, -4..5_i64),
        prop::option::weighted(0.8, numbers()),
        prop::option::weighted(0.8, "[ab]{0,2}"),
    )
}

fn comparison(left: Expr, kind: u8, right: Expr) -> Expr {
    match kind % 6 {
        0 => left.eq(right),
        1 => left.not_eq(right),
        2 => left.lt(right),
        3 => left.lt_eq(right),
        4 => left.gt(right),
        _ => left.gt_eq(right),
    }
}

fn condition() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        (any::<u8>(), -5..6_i64).prop_map(|(kind, value)| comparison(col("i"), kind, lit(value))),
        (any::<u8>(), numbers()).prop_map(|(kind, value)| comparison(col("f"), kind, lit(value))),
        (any::<u8>(), numbers()).prop_map(|(kind, value)| comparison(lit(value), kind, col("f"))),
        (any::<u8>(), "[abc]{0,2}").prop_map(|(kind, value)| comparison(col("t"), kind, lit(value))),
        (numbers(), numbers()).prop_map(|(low, high)| col("f").between(lit(low), lit(high))),
        (prop::collection::vec(numbers(), 1..4), any::<bool>())
            .prop_map(|(list, negated)| col("f").in_list(list.into_iter().map(lit).collect(), negated))
            .prop_map(|list| with_both_zeros(list).unwrap().data),
        (0..3_usize).prop_map(|place| col(["i", "f", "t"][place]).is_null()),
        (0..3_usize).prop_map(|place| col(["i", "f", "t"][place]).is_not_null()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(|a| !a),
        ]
    })
}

/// What a writer says of rows: bounds leave NaN out, as Parquet does, and may be missing.
fn statistics(rows: &[Row], bounds: bool) -> String {
    let mut least = Map::new();
    let mut greatest = Map::new();
    let mut both = |name: &str, range: Option<(Value, Value)>| {
        if let (Some((low, high)), true) = (range, bounds) {
            least.insert(name.to_string(), low);
            greatest.insert(name.to_string(), high);
        }
    };
    let integers = || rows.iter().filter_map(|row| row.0);
    both(
        "i",
        integers()
            .min()
            .zip(integers().max())
            .map(|(a, b)| (json!(a), json!(b))),
    );
    let floats = || rows.iter().filter_map(|row| row.1).filter(|value| value.is_finite());
    // Infinity has no form in JSON: a writer can only leave the bound out.
    let endless = rows.iter().any(|row| row.1.is_some_and(f64::is_infinite));
    let range = (floats().reduce(f64::min))
        .zip(floats().reduce(f64::max))
        .filter(|_| !endless);
    both("f", range.map(|(a, b)| (json!(a), json!(b))));
    let texts = || rows.iter().filter_map(|row| row.2.clone());
    both("t", texts().min().zip(texts().max()).map(|(a, b)| (json!(a), json!(b))));
    let nulls = json!({
        "i": rows.iter().filter(|row| row.0.is_none()).count(),
        "f": rows.iter().filter(|row| row.1.is_none()).count(),
        "t": rows.iter().filter(|row| row.2.is_none()).count(),
    });
    json!({ "numRecords": rows.len(), "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("i", ArrowType::Int64, true),
        Field::new("f", ArrowType::Float64, true),
        Field::new("t", ArrowType::Utf8, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.2.clone()).collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn definition() -> Definition {
    let field = |name: &str, data_type: DataType| StructField::new(name, data_type, true);
    let schema = StructType::try_new([
        field("i", DataType::LONG),
        field("f", DataType::DOUBLE),
        field("t", DataType::STRING),
    ])
    .unwrap();
    let metadata = new_metadata(&schema, Vec::<String>::new(), HashMap::<String, String>::new()).unwrap();
    let protocol: Protocol = serde_json::from_value(json!({ "minReaderVersion": 1, "minWriterVersion": 2 })).unwrap();
    Definition::new(metadata, protocol).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_file_with_a_matching_row_is_left_out(
        files in prop::collection::vec((prop::collection::vec(row(), 1..6), any::<bool>()), 1..6),
        conditions in prop::collection::vec(condition(), 1..3),
        as_version: bool,
    ) {
        let state = SessionContext::new().state();
        let definition = definition();
        let layout = Layout::new(&definition, false).unwrap();
        let data: Vec<Arc<DataFile>> = files
            .iter()
            .map(|(rows, bounds)| {
                let stats = Some(statistics(rows, *bounds));
                Arc::new(DataFile::new(Add { stats, ..Add::default() }))
            })
            .collect();
        let list: Vec<Selected> = data.iter().cloned().map(|file| Selected { file, hidden: None }).collect();
        let version = Files::new(data);
        let candidates = match as_version {
            true => Candidates::all(&definition, &layout, &version),
            false => Candidates::of(&definition, &layout, &list),
        };
        let pruner = Pruner::new(&state, &conditions, &layout).unwrap();
        let kept = pruner.keep(candidates).unwrap();
        let schema = batch(&[]).schema().to_dfschema().unwrap();
        let condition = conjunction(conditions.clone()).unwrap();
        let condition = state.create_physical_expr(condition, &schema).unwrap();
        for (place, (rows, _)) in files.iter().enumerate() {
            let matches = condition.evaluate(&batch(rows)).unwrap().into_array(rows.len()).unwrap();
            if matches.as_boolean().true_count() > 0 {
                let kept = kept.as_ref().is_none_or(|kept| kept[place]);
                prop_assert!(kept, "{:?} in {:?}", conditions, rows);
            }
        }
    }
}
