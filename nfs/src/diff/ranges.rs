//! Sets of bytes of a file: which of them were written over.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of byte positions, kept as ranges that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Ranges {
    /// Start to end (exclusive).
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range. One without bytes adds nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // Every range that overlaps or touches becomes a part of the new one.
        while let Some((&other, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            start = start.min(other);
            end = end.max(other_end);
            self.ranges.remove(&other);
        }
        self.ranges.insert(start, end);
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.ranges.range(..range.end).next_back() {
            if end <= range.start {
                break;
            }
            self.ranges.remove(&start);
            if end > range.end {
                self.ranges.insert(range.end, end);
            }
            if start < range.start {
                self.ranges.insert(start, range.start);
            }
        }
    }

    /// Takes out everything from `end` on.
    pub fn truncate(&mut self, end: u64) {
        self.remove(end..u64::MAX);
    }

    /// Whether all of a range is in the set.
    pub fn covers(&self, range: Range<u64>) -> bool {
        range.is_empty()
            || self
                .ranges
                .range(..=range.start)
                .next_back()
                .is_some_and(|(_, end)| *end >= range.end)
    }

    /// The parts of a range that are in the set.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let before = self.ranges.range(..range.start).next_back();
        let from = before
            .filter(|(_, end)| **end > range.start)
            .map_or(range.start, |(start, _)| *start);
        let to = range.end.max(from);
        self.ranges
            .range(from..to)
            .map(move |(start, end)| *start.max(&range.start)..*end.min(&range.end))
    }

    /// The parts of a range that are not in the set.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut from = range.start;
        let end = range.end.max(range.start);
        self.within(range)
            .chain(std::iter::once(end..end))
            .map(move |part| std::mem::replace(&mut from, part.end)..part.start)
            .filter(|gap| !gap.is_empty())
    }

    /// The ranges in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// How many bytes are in the set.
    pub fn total(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// How many ranges it has.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether no byte is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The end of the last range; 0 without one.
    pub fn end(&self) -> u64 {
        self.ranges.last_key_value().map_or(0, |(_, end)| *end)
    }
}

impl From<Vec<(u64, u64)>> for Ranges {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        pairs.into_iter().map(|(start, end)| start..end).collect()
    }
}

impl From<Ranges> for Vec<(u64, u64)> {
    fn from(ranges: Ranges) -> Self {
        ranges.ranges.into_iter().collect()
    }
}

impl FromIterator<Range<u64>> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        ranges.into_iter().for_each(|range| set.insert(range));
        set
    }
}

/// Bytes compared at a time where they are equal.
const CHUNK: usize = 256;

/// Where `new` differs from `base`, both from the same offset: ranges in `new`, in order. What is beyond the end of `base` differs.
/// Two differences with fewer than `join` equal bytes between them are one (1: each on its own).
pub fn differing(base: &[u8], new: &[u8], join: usize) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut add = |start: usize, end: usize| match found.last_mut() {
        Some(last) if start - last.end < join.max(1) => last.end = end,
        _ => found.push(start..end),
    };
    let common = base.len().min(new.len());
    for (number, (old, now)) in base.chunks(CHUNK).zip(new.chunks(CHUNK)).enumerate() {
        if old != now {
            for (at, _) in old.iter().zip(now).enumerate().filter(|(_, (old, now))| old != now) {
                add(number * CHUNK + at, number * CHUNK + at + 1);
            }
        }
    }
    if new.len() > common {
        add(common, new.len());
    }
    found
}
