//! Single values as text, the same in CSV and in JSON.

use arrow::datatypes::TimeUnit;

/// Appends `number` in digits, with zeros in front up to `width`.
fn padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}

/// The two digits of a number below 100.
fn two(number: u64) -> [u8; 2] {
    [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// The text of a float: the shortest that reads back as the same, with a point or an exponent.
pub(super) fn float<F: zmij::Float>(number: F, out: &mut Vec<u8>) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
}

/// The text of a decimal with `scale` digits after the point.
pub(super) fn decimal(number: i128, scale: i8, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number.unsigned_abs()).as_bytes();
    let Ok(fraction) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        if number != 0 {
            out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        }
        return;
    };
    if fraction == 0 {
        out.extend_from_slice(digits);
        return;
    }
    match digits.len().checked_sub(fraction).filter(|whole| *whole > 0) {
        Some(whole) => {
            let (whole, fraction) = digits.split_at_checked(whole).unwrap_or((digits, &[]));
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        None => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', fraction.saturating_sub(digits.len())));
            out.extend_from_slice(digits);
        }
    }
}

/// A date by days since 1970: `2026-11-22`; years beyond four digits carry a sign.
pub(super) fn date(days: i64, out: &mut Vec<u8>) {
    const DAYS_PER_ERA: i64 = 146_097;
    // In years that begin in March, the leap day is the last, and months have a regular pattern.
    let from_march = days + 719_468;
    let era = from_march.div_euclid(DAYS_PER_ERA);
    let day_of_era = from_march.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    if year < 0 {
        out.push(b'-');
    } else if year > 9_999 {
        out.push(b'+');
    }
    let (year, month, day) = (year.unsigned_abs(), two(month.unsigned_abs()), two(day.unsigned_abs()));
    if year > 9_999 {
        padded(year, 4, out);
    } else {
        let ([a, b], [c, d]) = (two(year / 100), two(year % 100));
        out.extend_from_slice(&[a, b, c, d]);
    }
    let ([a, b], [c, d]) = (month, day);
    out.extend_from_slice(&[b'-', a, b, b'-', c, d]);
}

/// A moment by its distance from 1970: `2026-11-22T10:00:00.5`, the fraction without zeros at its end, `Z` after an
/// instant.
pub(super) fn timestamp(value: i64, unit: TimeUnit, instant: bool, out: &mut Vec<u8>) {
    let (per_second, width) = match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, 3),
        TimeUnit::Microsecond => (1_000_000, 6),
        TimeUnit::Nanosecond => (1_000_000_000, 9),
    };
    const SECONDS_PER_DAY: i64 = 86_400;
    let seconds = value.div_euclid(per_second);
    date(seconds.div_euclid(SECONDS_PER_DAY), out);
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY).unsigned_abs();
    let ([a, b], [c, d], [e, f]) = (two(of_day / 3_600), two(of_day / 60 % 60), two(of_day % 60));
    out.extend_from_slice(&[b'T', a, b, b':', c, d, b':', e, f]);
    let fraction = value.rem_euclid(per_second).unsigned_abs();
    if fraction != 0 {
        out.push(b'.');
        padded(fraction, width, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    if instant {
        out.push(b'Z');
    }
}

/// Bytes as hexadecimal digits, lower case.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(*byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_932_897, "+10000-01-01"),
            (i64::from(i32::MAX), "+5881580-07-11"),
            (i64::from(i32::MIN), "-5877641-06-23"),
        ] {
            assert_eq!(text(|out| date(days, out)), expected);
        }
    }

    #[test]
    fn timestamps() {
        let micros = |value, instant| text(|out| timestamp(value, TimeUnit::Microsecond, instant, out));
        assert_eq!(micros(0, true), "1970-01-01T00:00:00Z");
        assert_eq!(micros(-1, false), "1969-12-31T23:59:59.999999");
        assert_eq!(micros(1_500_000, false), "1970-01-01T00:00:01.5");
        assert_eq!(micros(86_399_000_100, true), "1970-01-01T23:59:59.0001Z");
        let nanos = text(|out| timestamp(-1, TimeUnit::Nanosecond, false, out));
        assert_eq!(nanos, "1969-12-31T23:59:59.999999999");
        assert_eq!(
            text(|out| timestamp(10, TimeUnit::Second, false, out)),
            "1970-01-01T00:00:10"
        );
    }

    #[test]
    fn decimals() {
        for (number, scale, expected) in [
            (0, 2, "0.00"),
            (5, 2, "0.05"),
            (-5, 2, "-0.05"),
            (150, 2, "1.50"),
            (-12_345, 3, "-12.345"),
            (7, 0, "7"),
            (7, -2, "700"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
        ] {
            assert_eq!(text(|out| decimal(number, scale, out)), expected);
        }
    }

    #[test]
    fn floats() {
        for (number, expected) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e300, "1e+300"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ] {
            assert_eq!(text(|out| float(number, out)), expected);
        }
        assert_eq!(text(|out| float(0.1f32, out)), "0.1");
        assert_eq!(text(|out| hex(&[0, 255, 16], out)), "00ff10");
    }
}
