//! Which rows of a file are read: those whose place meets the conditions on `_row`, but for hidden ones.

use std::ops::Range;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;

use super::ROW;
use crate::error::{Error, Result};

/// Places of rows in a file: ranges in order, with gaps between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places(Vec<Range<u64>>);

impl Places {
    /// The places that a condition leaves, where it is about `_row` and numbers alone.
    pub(super) fn of(condition: &Expr) -> Option<Self> {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And => Some(Self::of(left)?.and(&Self::of(right)?)),
                Operator::Or => Some(Self::of(left)?.or(Self::of(right)?)),
                _ => match (is_row(left), is_row(right)) {
                    (true, false) => Self::compared(*op, number(right)?),
                    (false, true) => Self::compared(op.swap()?, number(left)?),
                    _ => None,
                },
            },
            Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            }) if is_row(expr) => {
                let low = Self::compared(Operator::GtEq, number(low)?)?;
                let within = low.and(&Self::compared(Operator::LtEq, number(high)?)?);
                Some(if *negated { within.not() } else { within })
            }
            Expr::InList(InList { expr, list, negated }) if is_row(expr) => {
                let numbers = list.iter().map(number).collect::<Option<Vec<i64>>>()?;
                let listed = numbers.into_iter().filter_map(|number| u64::try_from(number).ok());
                let listed = Self::joined(listed.map(|place| place..place + 1).collect());
                Some(if *negated { listed.not() } else { listed })
            }
            _ => None,
        }
    }

    /// The places that all conditions together leave, of those that are about places; none where none is.
    pub(super) fn of_all(conditions: &[Expr]) -> Option<Self> {
        let places = conditions.iter().filter_map(Self::of);
        places.reduce(|all, places| all.and(&places))
    }

    fn compared(op: Operator, number: i64) -> Option<Self> {
        // No row stands before the first.
        let place = u64::try_from(number).unwrap_or(0);
        let behind = u64::try_from(number.saturating_add(1)).unwrap_or(0);
        Some(match op {
            Operator::Lt => Self::between(0, place),
            Operator::LtEq => Self::between(0, behind),
            Operator::Gt => Self::between(behind, u64::MAX),
            Operator::GtEq => Self::between(place, u64::MAX),
            Operator::Eq => Self::between(place, behind),
            Operator::NotEq => Self::between(place, behind).not(),
            _ => return None,
        })
    }

    fn between(start: u64, end: u64) -> Self {
        Self::joined(std::iter::once(start..end).collect())
    }

    fn joined(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.retain(|range| !range.is_empty());
        ranges.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    fn or(self, mut other: Self) -> Self {
        other.0.extend(self.0);
        Self::joined(other.0)
    }

    fn and(&self, other: &Self) -> Self {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
            both.push(our.start.max(their.start)..our.end.min(their.end));
            if our.end < their.end {
                ours.next();
            } else {
                theirs.next();
            }
        }
        Self::joined(both)
    }

    fn not(&self) -> Self {
        let starts = std::iter::once(0).chain(self.0.iter().map(|range| range.end));
        let ends = self.0.iter().map(|range| range.start).chain(std::iter::once(u64::MAX));
        Self::joined(starts.zip(ends).map(|(start, end)| start..end).collect())
    }
}

fn is_row(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == ROW)
}

fn number(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(number), _) => *number,
        _ => None,
    }
}

/// # Errors
/// Where rows are hidden that a file with `rows` of them does not have.
pub(super) fn check_hidden(hidden: &RoaringTreemap, rows: u64) -> Result<()> {
    match hidden.max().filter(|row| *row >= rows) {
        None => Ok(()),
        Some(row) => Err(Error::corrupt(format!(
            "a deletion vector hides row {row} of a file that has {rows} rows"
        ))),
    }
}

/// The rows that are read of a file with `rows` of them, and how many they are.
///
/// # Errors
/// Where rows are hidden that the file does not have.
pub(super) fn selection(
    hidden: Option<&RoaringTreemap>,
    places: Option<&Places>,
    rows: u64,
) -> Result<(RowSelection, u64)> {
    if let Some(hidden) = hidden {
        check_hidden(hidden, rows)?;
    }
    let mut selected = Selected::default();
    let all = Places::between(0, rows);
    for range in &places.unwrap_or(&all).0 {
        let mut from = range.start;
        let end = range.end.min(rows);
        if let Some(hidden) = hidden {
            let mut hidden = hidden.iter();
            hidden.advance_to(from);
            for row in hidden.take_while(|row| *row < end) {
                selected.add(from..row)?;
                from = row + 1;
            }
        }
        selected.add(from..end)?;
    }
    selected.skip_to(rows)?;
    Ok((RowSelection::from(selected.selectors), selected.rows))
}

#[derive(Default)]
struct Selected {
    selectors: Vec<RowSelector>,
    /// Where the last selector ends.
    next: u64,
    rows: u64,
}

impl Selected {
    fn add(&mut self, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.skip_to(range.start)?;
        let rows = range.end - range.start;
        self.selectors.push(RowSelector::select(count(rows)?));
        self.rows += rows;
        self.next = range.end;
        Ok(())
    }

    fn skip_to(&mut self, row: u64) -> Result<()> {
        if row > self.next {
            self.selectors.push(RowSelector::skip(count(row - self.next)?));
            self.next = row;
        }
        Ok(())
    }
}

fn count(rows: u64) -> Result<usize> {
    usize::try_from(rows).map_err(|_| Error::corrupt("a row number is too large"))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "places are lists of ranges, some of one")]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    const END: u64 = u64::MAX;

    fn places(condition: Expr) -> Option<Vec<(u64, u64)>> {
        let places = Places::of(&condition)?.0;
        Some(places.into_iter().map(|range| (range.start, range.end)).collect())
    }

    #[test]
    fn conditions_on_places() {
        let row = || col(ROW);
        let range = |from: i64, to: i64| row().gt_eq(lit(from)).and(row().lt(lit(to)));
        assert_eq!(places(range(3, 7)), Some(vec![(3, 7)]));
        assert_eq!(places(lit(3_i64).lt(row())), Some(vec![(4, END)]));
        assert_eq!(places(row().lt_eq(lit(-1_i64))), Some(vec![]));
        assert_eq!(places(row().gt(lit(-5_i64))), Some(vec![(0, END)]));
        assert_eq!(places(row().not_eq(lit(4_i64))), Some(vec![(0, 4), (5, END)]));
        assert_eq!(places(range(3, 7).or(range(7, 9))), Some(vec![(3, 9)]));
        assert_eq!(
            places(range(0, 9).or(range(20, 30)).and(range(5, 25))),
            Some(vec![(5, 9), (20, 25)])
        );
        assert_eq!(places(row().between(lit(2_i64), lit(4_i64))), Some(vec![(2, 5)]));
        assert_eq!(
            places(row().not_between(lit(2_i64), lit(4_i64))),
            Some(vec![(0, 2), (5, END)])
        );
        let listed = vec![lit(7_i64), lit(1_i64), lit(2_i64), lit(-3_i64)];
        assert_eq!(places(row().in_list(listed.clone(), false)), Some(vec![(1, 3), (7, 8)]));
        assert_eq!(
            places(row().in_list(listed, true)),
            Some(vec![(0, 1), (3, 7), (8, END)])
        );
    }

    #[test]
    fn other_conditions_say_nothing_of_places() {
        for condition in [
            col("a").lt(lit(3_i64)),
            col(ROW).lt(col("a")),
            col(ROW).lt(lit(3_i64)).or(col("a").lt(lit(3_i64))),
            (col(ROW) % lit(2_i64)).eq(lit(0_i64)),
            col(ROW).eq(lit(ScalarValue::Int64(None))),
        ] {
            assert_eq!(places(condition.clone()), None, "{condition}");
        }
    }

    #[test]
    fn rows_that_are_read() {
        let rows_of = |hidden: &[u64], places: Option<Expr>, rows: u64| {
            let hidden: RoaringTreemap = hidden.iter().copied().collect();
            let places = places.and_then(|condition| Places::of(&condition));
            let (selection, count) = selection(Some(&hidden), places.as_ref(), rows).unwrap();
            assert_eq!(selection.row_count() as u64, count);
            assert_eq!((selection.row_count() + selection.skipped_row_count()) as u64, rows);
            let mut found = Vec::new();
            let mut at = 0;
            for selector in selection.iter() {
                let end = at + selector.row_count as u64;
                if !selector.skip {
                    found.extend(at..end);
                }
                at = end;
            }
            found
        };
        let range = |from: i64, to: i64| col(ROW).gt_eq(lit(from)).and(col(ROW).lt(lit(to)));
        assert_eq!(rows_of(&[0, 3, 4, 9], None, 10), vec![1, 2, 5, 6, 7, 8]);
        assert_eq!(rows_of(&[], None, 3), vec![0, 1, 2]);
        assert_eq!(rows_of(&[0, 3, 4, 9], Some(range(2, 6)), 10), vec![2, 5]);
        assert_eq!(rows_of(&[3], Some(range(8, 100)), 10), vec![8, 9]);
        assert_eq!(rows_of(&[3], Some(range(3, 4)), 10), Vec::<u64>::new());
        assert_eq!(rows_of(&[3], Some(range(10, 20)), 10), Vec::<u64>::new());
        assert!(selection(Some(&[10_u64].into_iter().collect()), None, 10).is_err());
    }
}
