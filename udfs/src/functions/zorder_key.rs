//! `zorder_key(a, b, …)`: one binary key whose byte order follows the Z-order curve through its columns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// How many bytes of a column's sort key take part. Keys that differ only behind them are equal in that column.
const KEY_BYTES: usize = 16;

/// The function. Arguments may be of any type that can be sorted. A value counts by the first 16 bytes of its sort key
/// (NULL first), and the bits of all columns are interleaved, highest first. The result has 16 bytes a column and is
/// never NULL.
///
/// Interleaving takes bits as they are: columns share the curve evenly if their values are spread alike over their
/// ranges, as ranks are.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ZOrderKey {
    signature: Signature,
}

impl ZOrderKey {
    pub(crate) fn new() -> Self {
        let signature = TypeSignature::VariadicAny;
        Self {
            signature: Signature::new(signature, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ZOrderKey {
    fn name(&self) -> &'static str {
        "zorder_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.is_empty() {
            return plan_err!("zorder_key wants at least one column");
        }
        match arguments
            .iter()
            .find(|data_type| !RowConverter::supports_fields(&[SortField::new((*data_type).clone())]))
        {
            Some(data_type) => plan_err!("zorder_key: values of type {data_type} have no order"),
            None => Ok(DataType::Binary),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let keys = arrays
            .iter()
            .map(|array| sort_keys(array, rows))
            .collect::<Result<Vec<_>>>()?;
        let width = keys.len() * KEY_BYTES;
        let mut builder = BinaryBuilder::with_capacity(rows, rows * width);
        let mut key = vec![0u8; width];
        for row in 0..rows {
            let at_row: Vec<u128> = keys
                .iter()
                .map(|column| column.get(row).copied().unwrap_or_default())
                .collect();
            interleave(&at_row, &mut key);
            builder.append_value(&key);
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

/// The first bytes of each value's sort key, as a number that sorts alike.
fn sort_keys(array: &ArrayRef, rows: usize) -> Result<Vec<u128>> {
    if array.len() != rows && array.len() != 1 {
        return exec_err!("zorder_key: columns of different lengths");
    }
    let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
    let sorted = converter.convert_columns(std::slice::from_ref(array))?;
    let mut keys: Vec<u128> = sorted
        .iter()
        .map(|row| {
            let mut first = [0u8; KEY_BYTES];
            first.iter_mut().zip(row.as_ref()).for_each(|(to, from)| *to = *from);
            u128::from_be_bytes(first)
        })
        .collect();
    if keys.len() == 1 {
        keys.resize(rows, keys.first().copied().unwrap_or_default());
    }
    Ok(keys)
}

/// Writes the bits of `columns` by turns into `key`, the highest ones first.
fn interleave(columns: &[u128], key: &mut [u8]) {
    let mut bits = (0..128)
        .rev()
        .flat_map(|bit| columns.iter().map(move |column| (column >> bit) as u8 & 1));
    for byte in key {
        *byte = bits.by_ref().take(8).fold(0, |byte, bit| byte << 1 | bit);
    }
}
