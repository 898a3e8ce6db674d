//! Walks both texts side by side: equal records cancel where they face each other, and where they do not, the next place where both go
//! on alike is looked for nearby. Whatever cancels is right, since equal records are as good as each other; what does not is left.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::Result;
use super::fields::fields;
use super::header::Order;
use super::leftovers::{Digest, DigestMap, Leftovers, Side};
use super::pieces::{Cancel, Pieces};
use super::records::Records;

/// Records read at a time.
const BATCH: usize = 1024;
/// The same where both texts went on alike until a piece of one ended.
const FEW: usize = 4;
/// Bytes compared at a time.
const STEP: usize = 256;
/// Records around a difference in which any equal pair is taken for the place where both texts go on alike.
const NEAR: usize = 8;
/// The first window in which such a place is looked for farther away; each one after it is four times as wide.
const NARROW: usize = 32;
/// Equal records in a row that show such a place farther away.
const ROW: usize = 4;

/// Where a record begins, told for one in [`MARK_EVERY`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) line: u64,
}

/// How many records apart marks are.
pub(super) const MARK_EVERY: u64 = 8192;

/// One text as digests of its records, read ahead as far as wanted.
pub(super) struct Ahead<P> {
    records: Records<P>,
    /// Where the text ends, as far as known.
    end: Option<u64>,
    side: Side,
    seed: u64,
    order: Order,
    scratch: Vec<u8>,
    digests: VecDeque<Digest>,
    /// Records before the first digest.
    passed: u64,
    marks: Vec<Mark>,
    done: bool,
}

/// What is known of a text once it is read.
pub(super) struct Read {
    pub(super) records: u64,
    pub(super) ended: bool,
    pub(super) marks: Vec<Mark>,
}

impl<P: Pieces> Ahead<P> {
    pub(super) fn new(records: Records<P>, end: Option<u64>, side: Side, order: Order, seed: u64) -> Self {
        Self {
            records,
            end,
            side,
            seed,
            order,
            scratch: Vec::new(),
            digests: VecDeque::new(),
            passed: 0,
            marks: Vec::new(),
            done: false,
        }
    }

    /// Reads until `want` digests are there, or all.
    fn fill(&mut self, want: usize) -> Result<()> {
        while self.digests.len() < want && !self.done {
            let (offset, line) = self.records.position();
            let Some(place) = self.records.advance()? else {
                self.done = true;
                break;
            };
            if place.ordinal.is_multiple_of(MARK_EVERY) {
                self.marks.push(Mark { offset, line });
            }
            let digest = self.digest();
            self.digests.push_back(digest);
        }
        Ok(())
    }

    #[inline]
    fn digest(&mut self) -> Digest {
        let mut text = self.records.text();
        if let Order::Other(order) = &self.order
            && reorder(text, order, &mut self.scratch)
        {
            text = &self.scratch;
        }
        xxh3_128_with_seed(text, self.seed).into()
    }

    /// Goes behind a record that needs no digest.
    fn pass_unread(&mut self, length: usize, lines: u64) {
        if self.records.ordinal().is_multiple_of(MARK_EVERY) {
            let (offset, line) = self.records.position();
            self.marks.push(Mark { offset, line });
        }
        self.records.pass(length, lines);
        self.passed += 1;
    }

    fn pass(&mut self, count: usize) {
        self.digests.drain(..count.min(self.digests.len()));
        self.passed += count as u64;
    }

    /// Gives up on the first `count` records here.
    fn leave(&mut self, count: usize, leftovers: &mut Leftovers) -> Result<()> {
        for digest in self.digests.drain(..count.min(self.digests.len())) {
            leftovers.push(self.side, digest, self.passed)?;
            self.passed += 1;
        }
        Ok(())
    }

    /// Bytes that are not read yet.
    fn unread(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.records.position().0))
    }

    fn read(self) -> Read {
        Read {
            records: self.passed,
            ended: self.records.ended(),
            marks: self.marks,
        }
    }
}

/// Puts the fields of a record into the order of the base. `false` where their number is another: such a record is none of the base's.
fn reorder(record: &[u8], order: &[usize], into: &mut Vec<u8>) -> bool {
    let all: Vec<_> = fields(record).map(|field| field.raw).collect();
    into.clear();
    for number in order {
        into.extend_from_slice(all.get(*number).copied().unwrap_or_default());
        into.push(b',');
    }
    into.pop();
    all.len() == order.len()
}

/// Cancels what stands in the same order in both texts, and leaves the rest to `leftovers`. `limit` is the memory for reading ahead.
pub(super) fn align<B: Pieces, N: Pieces>(
    mut base: Ahead<B>,
    mut new: Ahead<N>,
    limit: usize,
    leftovers: &mut Leftovers,
    cancel: &Cancel,
) -> Result<(Read, Read)> {
    // Two digests in the queues and one in the map that looks for them.
    let widest = (limit / 96).clamp(NARROW, 1 << 18);
    let mut lost = false;
    loop {
        cancel.check()?;
        if base.digests.is_empty() || new.digests.is_empty() {
            let alike = base.digests.is_empty() && new.digests.is_empty() && pass_alike(&mut base, &mut new);
            let batch = if alike { FEW } else { BATCH };
            base.fill(batch)?;
            new.fill(batch)?;
        }
        let same = base
            .digests
            .iter()
            .zip(&new.digests)
            .take_while(|(base, new)| base == new)
            .count();
        base.pass(same);
        new.pass(same);
        match (base.digests.is_empty(), new.digests.is_empty()) {
            (true, true) if base.done && new.done => return Ok((base.read(), new.read())),
            (false, true) if new.done => base.leave(BATCH, leftovers)?,
            (true, false) if base.done => new.leave(BATCH, leftovers)?,
            (false, false) => {
                let (removed, added) = resume(&mut base, &mut new, widest, &mut lost)?;
                base.leave(removed, leftovers)?;
                new.leave(added, leftovers)?;
            }
            _ => {}
        }
    }
}

/// Goes behind the records that are the same bytes in both texts, as far as pieces of both are there: nearly all of an edit's, so that
/// they are cut in one text alone, and have no digests. Whether there were any.
fn pass_alike<B: Pieces, N: Pieces>(base: &mut Ahead<B>, new: &mut Ahead<N>) -> bool {
    if !matches!(new.order, Order::Same) {
        return false;
    }
    let mut alike = common(base.records.rest(), new.records.rest());
    let mut any = false;
    while let Some((length, lines)) = base.records.within(alike) {
        base.pass_unread(length, lines);
        new.pass_unread(length, lines);
        alike -= length;
        any = true;
    }
    any
}

/// How many bytes two texts begin with alike.
fn common(one: &[u8], other: &[u8]) -> usize {
    let steps = one.chunks_exact(STEP).zip(other.chunks_exact(STEP));
    let start = steps.take_while(|(one, other)| one == other).count() * STEP;
    let rest = one.iter().zip(other).skip(start);
    start + rest.take_while(|(one, other)| one == other).count()
}

/// How many records to leave on each side so that both go on alike; where no such place is in sight, what was seen. `lost` remembers that
/// from one call to the next: nothing near is looked at again.
fn resume<B: Pieces, N: Pieces>(
    base: &mut Ahead<B>,
    new: &mut Ahead<N>,
    widest: usize,
    lost: &mut bool,
) -> Result<(usize, usize)> {
    base.fill(NEAR + 1)?;
    new.fill(NEAR + 1)?;
    for distance in 1..=NEAR {
        for removed in 0..=distance {
            let found = base.digests.get(removed);
            if found.is_some() && found == new.digests.get(distance - removed) {
                return Ok((removed, distance - removed));
            }
        }
    }
    let mut window = if *lost { widest } else { NARROW.min(widest) };
    let mut places = DigestMap::default();
    loop {
        base.fill(window)?;
        new.fill(window)?;
        if let Some(found) = anchor(&base.digests, &new.digests, window, &mut places) {
            *lost = false;
            return Ok(found);
        }
        let all_seen = base.done && new.done && window >= base.digests.len().max(new.digests.len());
        if window == widest || all_seen {
            *lost = true;
            return Ok(beyond(base, new, window));
        }
        window = (window * 4).min(widest);
    }
}

/// What to leave of the windows where both texts are different all over. If one text has much more to come, a large part of it is likely
/// to have no counterpart: only that text goes on, until as much is left of both.
fn beyond<B: Pieces, N: Pieces>(base: &Ahead<B>, new: &Ahead<N>, window: usize) -> (usize, usize) {
    let (Some(old_left), Some(new_left)) = (base.unread(), new.unread()) else {
        return (window, window);
    };
    // About the bytes of a window: the difference that was looked for already.
    let read = new.records.position().0 / (new.passed + new.digests.len() as u64).max(1) * window as u64;
    if old_left > new_left.saturating_add(read) {
        (window, 0)
    } else if new_left > old_left.saturating_add(read) {
        (0, window)
    } else {
        (window, window)
    }
}

/// The nearest place in the window from which [`ROW`] records are equal on both sides.
fn anchor(
    base: &VecDeque<Digest>,
    new: &VecDeque<Digest>,
    window: usize,
    places: &mut DigestMap<usize>,
) -> Option<(usize, usize)> {
    places.clear();
    for (at, digest) in base.iter().take(window).enumerate() {
        places.entry(*digest).or_insert(at);
    }
    let goes_on = |removed: usize, added: usize| {
        (1..ROW).all(
            |further| match (base.get(removed + further), new.get(added + further)) {
                (Some(base), Some(new)) => base == new,
                _ => true,
            },
        )
    };
    let mut best: Option<(usize, usize)> = None;
    for (added, digest) in new.iter().take(window).enumerate() {
        let nearest = best.map_or(usize::MAX, |(removed, added)| removed + added);
        if added >= nearest {
            break;
        }
        if let Some(removed) = places.get(digest)
            && removed + added < nearest
            && goes_on(*removed, added)
        {
            best = Some((*removed, added));
        }
    }
    best
}
