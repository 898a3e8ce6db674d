//! What a comparison found.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::iter::Peekable;

use roaring::RoaringTreemap;

use super::Result;
use super::align::{MARK_EVERY, Mark, Read};
use super::compare::NewText;
use super::leftovers::Unmatched;
use super::pieces::FilePieces;
use super::records::{Place, Records};

/// One difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A record of the base is gone.
    Removed {
        /// How many records are before it in the base.
        ordinal: u64,
    },
    /// A record of the new text is not in the base.
    Added(Place),
    /// A record of the new text stands for one of the base.
    Changed {
        /// How many records are before the old one in the base.
        ordinal: u64,
        /// Where the new one is.
        new: Place,
    },
}

/// How many records there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Gone.
    pub removed: u64,
    /// Come.
    pub added: u64,
    /// Replaced by another.
    pub changed: u64,
    /// The same in both.
    pub unchanged: u64,
}

/// Which removed record goes with which added one.
#[derive(Debug, Clone)]
pub(super) enum Pairing {
    /// Those that stand at the same place between the same unchanged records.
    Position,
    /// These: the removed one of an added one.
    Key(HashMap<u64, u64>, RoaringTreemap),
}

/// The differences between a base and a new text. Small whatever their number: the added records stay in the file.
#[derive(Debug, Clone)]
pub struct Changes {
    pub(super) new: NewText,
    pub(super) removed: RoaringTreemap,
    pub(super) added: RoaringTreemap,
    pairing: Pairing,
    counts: Counts,
    marks: Vec<Mark>,
    base_records: u64,
    new_records: u64,
    ended: bool,
    pub(super) record_limit: usize,
}

impl Changes {
    pub(super) fn new(new: NewText, unmatched: Unmatched, base_records: u64, read: Read, record_limit: usize) -> Self {
        let changes = Self {
            new,
            removed: unmatched.removed,
            added: unmatched.added,
            pairing: Pairing::Position,
            counts: Counts::default(),
            marks: read.marks,
            base_records,
            new_records: read.records,
            ended: read.ended,
            record_limit,
        };
        changes.paired(Pairing::Position)
    }

    pub(super) fn paired(mut self, pairing: Pairing) -> Self {
        self.pairing = pairing;
        let changed = self.steps().filter(|step| matches!(step, Step::Changed(..))).count() as u64;
        self.counts = Counts {
            removed: self.removed.len() - changed,
            added: self.added.len() - changed,
            changed,
            unchanged: self.base_records - self.removed.len(),
        };
        self
    }

    /// The same differences without pairs: each record that changed is one removed and one added.
    #[must_use]
    pub fn unpaired(self) -> Self {
        self.paired(Pairing::Key(HashMap::new(), RoaringTreemap::new()))
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether both texts have the same records.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Records of the base.
    pub fn base_records(&self) -> u64 {
        self.base_records
    }

    /// Records of the new text.
    pub fn new_records(&self) -> u64 {
        self.new_records
    }

    /// Whether the new text's last record is complete: it ends with a newline, or there is none.
    pub fn ends_with_newline(&self) -> bool {
        self.ended
    }

    /// The new text that was compared.
    pub fn new_text(&self) -> &NewText {
        &self.new
    }

    /// The records of the base that do not stand any more, removed ones and changed ones.
    pub fn gone(&self) -> &RoaringTreemap {
        &self.removed
    }

    /// Reads the differences in order.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            changes: self,
            steps: self.steps(),
            records: None,
            at: 0,
            shown: false,
        }
    }

    fn steps(&self) -> Steps<'_> {
        Steps {
            pairing: &self.pairing,
            removed: self.removed.iter().peekable(),
            added: self.added.iter().peekable(),
            removed_seen: 0,
            added_seen: 0,
        }
    }
}

/// A difference by ordinals.
enum Step {
    Removed(u64),
    Added(u64),
    Changed(u64, u64),
}

/// Goes through the differences of both sides at once. A difference stands behind as many unchanged records as its ordinal says
/// without the differences before it: that number orders the two sides against each other.
struct Steps<'a> {
    pairing: &'a Pairing,
    removed: Peekable<roaring::treemap::Iter<'a>>,
    added: Peekable<roaring::treemap::Iter<'a>>,
    removed_seen: u64,
    added_seen: u64,
}

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            let removed = self
                .removed
                .peek()
                .map(|ordinal| (ordinal - self.removed_seen, *ordinal));
            let added = self.added.peek().map(|ordinal| (ordinal - self.added_seen, *ordinal));
            let (old, new) = match (removed, added) {
                (None, None) => return None,
                (Some((_, old)), None) => (Some(old), None),
                (None, Some((_, new))) => (None, Some(new)),
                (Some((behind, old)), Some((added_behind, new))) => match (behind.cmp(&added_behind), self.pairing) {
                    (Ordering::Equal, Pairing::Position) => (Some(old), Some(new)),
                    (Ordering::Less | Ordering::Equal, _) => (Some(old), None),
                    (Ordering::Greater, _) => (None, Some(new)),
                },
            };
            if old.is_some() {
                self.removed.next();
                self.removed_seen += 1;
            }
            if new.is_some() {
                self.added.next();
                self.added_seen += 1;
            }
            return match (old, new, self.pairing) {
                (Some(old), Some(new), _) => Some(Step::Changed(old, new)),
                (Some(old), None, Pairing::Key(_, paired)) if paired.contains(old) => continue,
                (Some(old), None, _) => Some(Step::Removed(old)),
                (None, Some(new), Pairing::Key(olds, _)) => {
                    Some(olds.get(&new).map_or(Step::Added(new), |old| Step::Changed(*old, new)))
                }
                (None, Some(new), Pairing::Position) => Some(Step::Added(new)),
                (None, None, _) => None,
            };
        }
    }
}

/// Reads differences, with the text of the new records.
pub struct Walk<'a> {
    changes: &'a Changes,
    steps: Steps<'a>,
    records: Option<Records<FilePieces>>,
    /// The ordinal of the record that `records` reads next.
    at: u64,
    shown: bool,
}

impl Walk<'_> {
    /// Goes on to the next difference. Added and changed records come in the order of the new text, removed ones in that of the base,
    /// and so do changed ones unless they are paired by key.
    ///
    /// # Errors
    /// Where the new text cannot be read any more.
    pub fn advance(&mut self) -> Result<Option<Change>> {
        self.shown = false;
        let Some(step) = self.steps.next() else { return Ok(None) };
        let change = match step {
            Step::Removed(ordinal) => Change::Removed { ordinal },
            Step::Added(new) => Change::Added(self.seek(new)?),
            Step::Changed(ordinal, new) => Change::Changed {
                ordinal,
                new: self.seek(new)?,
            },
        };
        Ok(Some(change))
    }

    /// The text of the new record of the difference that [`advance`](Self::advance) told, with its fields as
    /// the new text has them ([`NewText::order`]); empty where there is no new record.
    pub fn text(&self) -> &[u8] {
        self.records.as_ref().filter(|_| self.shown).map_or(&[], Records::text)
    }

    fn seek(&mut self, ordinal: u64) -> Result<Place> {
        let marked = ordinal - ordinal % MARK_EVERY;
        if self.records.is_none() || self.at < marked {
            let number = usize::try_from(ordinal / MARK_EVERY).unwrap_or(usize::MAX);
            let mark = self.changes.marks.get(number).ok_or_else(cut_short)?;
            let new = &self.changes.new;
            let records = new.records_from(mark.offset, mark.line, self.changes.record_limit);
            self.records = Some(records.count_from(marked));
        }
        let records = self.records.as_mut().ok_or_else(cut_short)?;
        loop {
            let place = records.advance()?.ok_or_else(cut_short)?;
            self.at = place.ordinal + 1;
            if place.ordinal == ordinal {
                self.shown = true;
                return Ok(place);
            }
        }
    }
}

fn cut_short() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the text was cut while it was read")
}

impl Iterator for Walk<'_> {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        self.advance().transpose()
    }
}
