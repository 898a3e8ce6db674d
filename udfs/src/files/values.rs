//! Text into typed columns. One value that does not fit fails its column, by its row: never NULL, never rounded.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, LargeStringBuilder, PrimitiveBuilder, StringBuilder, StringViewBuilder,
};
use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, ArrowPrimitiveType};
use arrow::compute::kernels::cast_utils::{Parser, parse_decimal};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

use super::error::{FileError, Result};

/// How values are written, beyond the types' own spelling.
#[derive(Debug, Clone)]
pub(crate) struct ValueRules {
    pub(crate) date_format: Option<String>,
    pub(crate) timestamp_format: Option<String>,
    /// The zone of a TIMESTAMP that names none.
    pub(crate) zone: Tz,
}

impl ValueRules {
    /// # Errors
    /// A session time zone that is none.
    pub(crate) fn new(
        date_format: Option<String>,
        timestamp_format: Option<String>,
        zone: Option<&str>,
    ) -> Result<Self> {
        let zone = zone.unwrap_or("+00:00");
        let zone = Tz::from_str(zone)
            .map_err(|_| FileError::invalid(format!("datafusion.execution.time_zone: '{zone}' is not a time zone")))?;
        Ok(Self {
            date_format,
            timestamp_format,
            zone,
        })
    }
}

/// Whether text can be read as the type; nested types are read from JSON.
pub(crate) fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => Tz::from_str(zone).is_ok(),
        DataType::List(item) | DataType::Map(item, _) => is_readable(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_readable(field.data_type())),
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(_, _)
        | DataType::Timestamp(_, None) => true,
        _ => false,
    }
}

/// A column of `data_type` out of the texts of its values. With `inferred`, the type was found in a sample, and a number
/// is one only in the form in which it comes out again: `007` and `+5` are not.
///
/// # Errors
/// The row of the first value that is not of the type.
pub(crate) fn parse_column<'a>(
    values: impl Iterator<Item = Option<&'a str>>,
    rows: usize,
    data_type: &DataType,
    rules: &ValueRules,
    inferred: bool,
) -> Result<ArrayRef, usize> {
    let exact = |text: &str| !inferred || is_plain_number(text);
    match data_type {
        DataType::Boolean => {
            let mut builder = BooleanBuilder::with_capacity(rows);
            for (row, value) in values.enumerate() {
                match value {
                    None => builder.append_null(),
                    Some(text) => builder.append_value(parse_boolean(text.trim(), inferred).ok_or(row)?),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        DataType::Int8 => primitive::<Int8Type>(values, rows, data_type, |text| integer(text, inferred)),
        DataType::Int16 => primitive::<Int16Type>(values, rows, data_type, |text| integer(text, inferred)),
        DataType::Int32 => primitive::<Int32Type>(values, rows, data_type, |text| integer(text, inferred)),
        DataType::Int64 => primitive::<Int64Type>(values, rows, data_type, |text| integer(text, inferred)),
        DataType::Float32 => primitive::<Float32Type>(values, rows, data_type, |text| {
            Float32Type::parse(text).filter(|_| exact(text))
        }),
        DataType::Float64 => primitive::<Float64Type>(values, rows, data_type, |text| {
            Float64Type::parse(text).filter(|_| exact(text))
        }),
        DataType::Decimal128(precision, scale) => primitive::<Decimal128Type>(values, rows, data_type, |text| {
            parse_exact_decimal(text, *precision, *scale)
        }),
        DataType::Date32 => primitive::<Date32Type>(values, rows, data_type, |text| parse_date(text, rules)),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_deref().map(|_| rules.zone);
            let parse = |text: &str| parse_timestamp(text, *unit, zone, rules);
            match unit {
                TimeUnit::Second => primitive::<TimestampSecondType>(values, rows, data_type, parse),
                TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(values, rows, data_type, parse),
                TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(values, rows, data_type, parse),
                TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(values, rows, data_type, parse),
            }
        }
        DataType::Utf8 => {
            let mut builder = StringBuilder::with_capacity(rows, rows * 8);
            values.for_each(|value| builder.append_option(value));
            Ok(Arc::new(builder.finish()))
        }
        DataType::LargeUtf8 => {
            let mut builder = LargeStringBuilder::with_capacity(rows, rows * 8);
            values.for_each(|value| builder.append_option(value));
            Ok(Arc::new(builder.finish()))
        }
        DataType::Binary => {
            let mut builder = BinaryBuilder::with_capacity(rows, rows * 8);
            for (row, value) in values.enumerate() {
                match value {
                    None => builder.append_null(),
                    Some(text) => builder.append_value(parse_hexadecimal(text).ok_or(row)?),
                }
            }
            Ok(Arc::new(builder.finish()))
        }
        _ => {
            let mut builder = StringViewBuilder::with_capacity(rows);
            values.for_each(|value| builder.append_option(value));
            Ok(Arc::new(builder.finish()))
        }
    }
}

fn primitive<'a, T: ArrowPrimitiveType>(
    values: impl Iterator<Item = Option<&'a str>>,
    rows: usize,
    data_type: &DataType,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> Result<ArrayRef, usize> {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(rows).with_data_type(data_type.clone());
    for (row, value) in values.enumerate() {
        match value {
            None => builder.append_null(),
            Some(text) => builder.append_value(parse(text).ok_or(row)?),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Digits with an optional sign, spaces around them passed over. Unless the type was found in a sample, a fraction may follow that is all
/// zeros: so do programs write whole numbers that they hold as floating point, as pandas does with a column that has a NULL.
fn integer<N: TryFrom<i64>>(text: &str, inferred: bool) -> Option<N> {
    if inferred && !is_plain_number(text) {
        return None;
    }
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Eighteen digits cannot overflow.
    let plain = (1..=18).contains(&digits.len()).then(|| {
        digits.iter().try_fold(0i64, |value, byte| {
            let digit = byte.wrapping_sub(b'0');
            (digit <= 9).then(|| value * 10 + i64::from(digit))
        })
    });
    let value = match plain.flatten() {
        Some(value) if negative => -value,
        Some(value) => value,
        None => {
            let text = text.trim();
            let whole = text
                .split_once('.')
                .filter(|(_, fraction)| !inferred && is_zeros(fraction));
            whole.map_or(text, |(whole, _)| whole).parse().ok()?
        }
    };
    value.try_into().ok()
}

fn is_zeros(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')
}

/// Whether a number has neither a plus sign nor zeros in front.
pub(crate) fn is_plain_number(text: &str) -> bool {
    let text = text.trim_start();
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    !matches!(unsigned, [b'+', ..] | [b'0', b'0'..=b'9', ..])
}

pub(crate) fn parse_boolean(text: &str, strict: bool) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || (!strict && (is("t") || is("1") || is("yes") || is("y"))) {
        Some(true)
    } else if is("false") || (!strict && (is("f") || is("0") || is("no") || is("n"))) {
        Some(false)
    } else {
        None
    }
}

/// A decimal with all its digits, or nothing: what lies beyond the scale must be zeros.
fn parse_exact_decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let text = text.trim();
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'))
    {
        return None;
    }
    if let Some((_, fraction)) = text.split_once('.')
        && fraction.trim_end_matches('0').len() > usize::try_from(scale).unwrap_or(0)
    {
        return None;
    }
    parse_decimal::<Decimal128Type>(text, precision, scale).ok()
}

pub(crate) fn parse_date(text: &str, rules: &ValueRules) -> Option<i32> {
    let text = text.trim();
    match &rules.date_format {
        Some(format) => Date32Type::parse_formatted(text, format),
        // Of a longer text, only the signed years are dates; Arrow would drop the time of day of the others.
        None if text.len() <= 10 || text.starts_with(['+', '-']) => Date32Type::parse(text),
        None => None,
    }
}

/// A date and time of day as written, with the zone that the text names.
pub(crate) struct Moment {
    pub(crate) local: NaiveDateTime,
    pub(crate) zone: Option<Tz>,
}

/// Reads `2026-11-22[{T| }10:00[:00[.123456789]][zone]]`; the zone is `Z`, an offset or a name.
pub(crate) fn parse_moment(text: &str) -> Option<Moment> {
    let mut rest = text.trim().as_bytes();
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(digits(&mut rest, 4)?).ok()?,
        literal(&mut rest, b'-').and_then(|()| digits(&mut rest, 2))?,
        literal(&mut rest, b'-').and_then(|()| digits(&mut rest, 2))?,
    )?;
    if rest.is_empty() {
        return Some(Moment {
            local: date.and_time(NaiveTime::MIN),
            zone: None,
        });
    }
    literal(&mut rest, b' ')
        .or_else(|| literal(&mut rest, b'T'))
        .or_else(|| literal(&mut rest, b't'))?;
    let hour = digits(&mut rest, 2)?;
    let minute = literal(&mut rest, b':').and_then(|()| digits(&mut rest, 2))?;
    let (mut second, mut nanos) = (0, 0);
    if literal(&mut rest, b':').is_some() {
        second = digits(&mut rest, 2)?;
        if literal(&mut rest, b'.').is_some() {
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&length) {
                return None;
            }
            nanos = digits(&mut rest, length)? * 10u32.pow(9 - length as u32);
        }
    }
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?;
    let zone = match std::str::from_utf8(rest).ok()?.trim_start() {
        "" => None,
        "Z" | "z" | "UTC" => Some(Tz::from_str("+00:00").ok()?),
        name => Some(Tz::from_str(name).ok()?),
    };
    Some(Moment {
        local: date.and_time(time),
        zone,
    })
}

fn digits(rest: &mut &[u8], count: usize) -> Option<u32> {
    let (head, tail) = rest.split_at_checked(count)?;
    let mut value = 0u32;
    for byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    *rest = tail;
    Some(value)
}

fn literal(rest: &mut &[u8], byte: u8) -> Option<()> {
    let (first, tail) = rest.split_first()?;
    if *first != byte {
        return None;
    }
    *rest = tail;
    Some(())
}

pub(crate) fn parse_formatted_moment(text: &str, format: &str) -> Option<Moment> {
    let text = text.trim();
    if let Ok(instant) = DateTime::parse_from_str(text, format) {
        let zone = Tz::from_str(&instant.offset().to_string()).ok()?;
        return Some(Moment {
            local: instant.naive_local(),
            zone: Some(zone),
        });
    }
    let local = NaiveDateTime::parse_from_str(text, format)
        .or_else(|_| NaiveDate::parse_from_str(text, format).map(|date| date.and_time(NaiveTime::MIN)));
    Some(Moment {
        local: local.ok()?,
        zone: None,
    })
}

/// `zone` is set for a type that is an instant: a text without a zone is then in that one. A text with a zone is no
/// timestamp without one.
fn parse_timestamp(text: &str, unit: TimeUnit, zone: Option<Tz>, rules: &ValueRules) -> Option<i64> {
    let moment = match &rules.timestamp_format {
        Some(format) => parse_formatted_moment(text, format)?,
        None => parse_moment(text)?,
    };
    let instant: DateTime<Utc> = match (zone, moment.zone) {
        (None, None) => moment.local.and_utc(),
        (None, Some(_)) => return None,
        (Some(default), named) => named
            .unwrap_or(default)
            .from_local_datetime(&moment.local)
            .earliest()?
            .with_timezone(&Utc),
    };
    let (per_second, nanos_each) = match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    };
    let nanos = i64::from(instant.timestamp_subsec_nanos());
    if nanos % nanos_each != 0 {
        return None;
    }
    instant
        .timestamp()
        .checked_mul(per_second)?
        .checked_add(nanos / nanos_each)
}

/// Bytes from pairs of hexadecimal digits, with or without `0x` before them.
fn parse_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits).as_bytes();
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}
