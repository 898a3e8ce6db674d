//! The type of a column out of a sample of its values.

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};

use super::super::types::UTC;
use super::super::values::{
    ValueRules, is_plain_number, parse_boolean, parse_date, parse_formatted_moment, parse_moment,
};

/// The kinds of values that a column has shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    const BOOLEAN: u8 = 1;
    const INTEGER: u8 = 1 << 1;
    const NUMBER: u8 = 1 << 2;
    const DATE: u8 = 1 << 3;
    const TIMESTAMP: u8 = 1 << 4;
    /// Finer than microseconds.
    const NANOSECONDS: u8 = 1 << 5;
    const ZONED: u8 = 1 << 6;
    const TEXT: u8 = 1 << 7;

    /// Notes a value.
    pub(crate) fn note(&mut self, value: &str, rules: &ValueRules) {
        if self.0 & Self::TEXT == 0 {
            self.0 |= kind_of(value.trim(), rules);
        }
    }

    /// Notes what another sample of the same column has shown.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The type that holds all values seen; text where there were none.
    pub(crate) fn data_type(self) -> DataType {
        const MOMENTS: u8 = Kinds::DATE | Kinds::TIMESTAMP | Kinds::NANOSECONDS | Kinds::ZONED;
        match self.0 {
            Self::BOOLEAN => DataType::Boolean,
            Self::INTEGER => DataType::Int64,
            kinds if kinds != 0 && kinds & !(Self::INTEGER | Self::NUMBER) == 0 => DataType::Float64,
            Self::DATE => DataType::Date32,
            kinds if kinds != 0 && kinds & !MOMENTS == 0 => {
                let unit = if kinds & Self::NANOSECONDS == 0 {
                    TimeUnit::Microsecond
                } else {
                    TimeUnit::Nanosecond
                };
                DataType::Timestamp(unit, (kinds & Self::ZONED != 0).then(|| UTC.into()))
            }
            _ => DataType::Utf8View,
        }
    }
}

fn kind_of(value: &str, rules: &ValueRules) -> u8 {
    if let Some(kind) = formatted(value, rules) {
        return kind;
    }
    match value.bytes().next() {
        Some(b'0'..=b'9' | b'-' | b'.') => {}
        Some(b't' | b'T' | b'f' | b'F') if parse_boolean(value, true).is_some() => return Kinds::BOOLEAN,
        Some(b'N' | b'n' | b'i') if matches!(value, "NaN" | "nan" | "inf") => return Kinds::NUMBER,
        _ => return Kinds::TEXT,
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // Zeros in front (a postcode) and more digits than a BIGINT has (an identifier) would be lost.
        let kept = is_plain_number(value) && value.parse::<i64>().is_ok();
        return if kept { Kinds::INTEGER } else { Kinds::TEXT };
    }
    let numeric = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if value == "-inf" || (numeric && is_plain_number(value) && Float64Type::parse(value).is_some()) {
        return Kinds::NUMBER;
    }
    if value.len() == 10 && rules.date_format.is_none() && parse_date(value, rules).is_some() {
        return Kinds::DATE;
    }
    if rules.timestamp_format.is_none() && value.len() > 10 {
        return parse_moment(value).map_or(Kinds::TEXT, |moment| moment_kind(&moment));
    }
    Kinds::TEXT
}

/// What a value is by a format that was given.
fn formatted(value: &str, rules: &ValueRules) -> Option<u8> {
    if rules.date_format.is_some() && parse_date(value, rules).is_some() {
        return Some(Kinds::DATE);
    }
    let moment = parse_formatted_moment(value, rules.timestamp_format.as_deref()?)?;
    Some(moment_kind(&moment))
}

fn moment_kind(moment: &super::super::values::Moment) -> u8 {
    let mut kind = Kinds::TIMESTAMP;
    if !moment.local.and_utc().timestamp_subsec_nanos().is_multiple_of(1_000) {
        kind |= Kinds::NANOSECONDS;
    }
    if moment.zone.is_some() {
        kind |= Kinds::ZONED;
    }
    kind
}
