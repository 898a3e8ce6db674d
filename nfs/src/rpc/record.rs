//! Record marking (RFC 5531, section 11): a stream of fragments into records, within limits on memory.

use bytes::{Buf, Bytes, BytesMut};

use super::LARGEST_TRANSFER;

/// The largest record: a full WRITE with its header, credentials, handle and some room.
pub(crate) const LARGEST_RECORD: usize = LARGEST_TRANSFER as usize + (64 << 10);

/// The largest record on a connection from which no good call has come, unless the head of this one is good.
pub(crate) const LARGEST_FIRST_RECORD: usize = 4 << 10;

/// As much of a record as says who calls what: 24 bytes, two authenticators of at most 408.
const HEAD: usize = 1 << 10;

/// More fragments than a record of this size has reason to come in.
const MOST_FRAGMENTS: usize = 4096;

/// What is read at once where no record is under way.
const READ_AHEAD: usize = 8 << 10;

/// Room for a large record is made when this much of it has come.
const FIRST_ROOM: usize = 64 << 10;

/// Why a stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a record of {0} bytes or more, where {LARGEST_RECORD} are the most")]
    TooLong(usize),
    #[error("a first record of {0} bytes whose head is no call for this server")]
    Unproven(usize),
    #[error("a record in more than {MOST_FRAGMENTS} fragments")]
    TooManyFragments,
}

/// What the stream holds.
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole record.
    Record(Bytes),
    /// Nothing before this many bytes more have come.
    More(usize),
}

/// A stream on its way to records.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Bytes as they came.
    buffer: BytesMut,
    /// Earlier fragments of the record under way.
    record: Vec<u8>,
    fragments: usize,
    proven: bool,
}

impl Assembler {
    /// Lifts the small limit: a good call has come.
    pub(crate) fn prove(&mut self) {
        self.proven = true;
    }

    /// Whether no part of a record has come.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.fragments == 0
    }

    /// The next record. `vet` judges the head of a large one on a connection that has not proven itself: a client that connects anew may begin with a
    /// large WRITE.
    pub(crate) fn next(&mut self, mut vet: impl FnMut(&[u8]) -> bool) -> Result<Step, RecordError> {
        loop {
            let Some(mark) = self.buffer.first_chunk::<4>().copied().map(u32::from_be_bytes) else {
                if self.buffer.is_empty() {
                    // An idle connection keeps no buffer.
                    self.buffer = BytesMut::new();
                }
                return Ok(Step::More(4 - self.buffer.len()));
            };
            let last = mark >> 31 == 1;
            let length = usize::try_from(mark & 0x7fff_ffff).unwrap_or(usize::MAX);
            let total = self.record.len().saturating_add(length);
            if total > LARGEST_RECORD {
                return Err(RecordError::TooLong(total));
            }
            if self.fragments == MOST_FRAGMENTS {
                return Err(RecordError::TooManyFragments);
            }
            if !self.proven && total > LARGEST_FIRST_RECORD {
                let head = 4 + HEAD.min(length);
                if self.fragments == 0 && self.buffer.len() < head {
                    return Ok(Step::More(head - self.buffer.len()));
                }
                let good = self.fragments == 0 && self.buffer.get(4..head).is_some_and(&mut vet);
                if !good {
                    return Err(RecordError::Unproven(total));
                }
                self.proven = true;
            }
            if self.buffer.len() < 4 + length {
                return Ok(Step::More(4 + length - self.buffer.len()));
            }
            self.buffer.advance(4);
            let fragment = self.buffer.split_to(length);
            if last && self.fragments == 0 {
                return Ok(Step::Record(fragment.freeze()));
            }
            self.append(&fragment);
            if last {
                self.fragments = 0;
                return Ok(Step::Record(std::mem::take(&mut self.record).into()));
            }
        }
    }

    fn append(&mut self, fragment: &[u8]) {
        let length = self.record.len() + fragment.len();
        if length > self.record.capacity() {
            let room = length.max((2 * self.record.capacity()).min(LARGEST_RECORD));
            self.record.reserve_exact(room - self.record.len());
        }
        self.record.extend_from_slice(fragment);
        self.fragments += 1;
    }

    /// Where the next bytes go; there is room for at least one, and not for more than a record and its mark.
    pub(crate) fn room(&mut self, needed: usize) -> &mut BytesMut {
        let held = self.buffer.len();
        let wanted = if held + needed <= FIRST_ROOM || held >= FIRST_ROOM {
            held + needed
        } else {
            FIRST_ROOM
        };
        if self.buffer.capacity() < wanted || self.buffer.capacity() == held {
            let mut buffer = BytesMut::with_capacity(wanted.max(READ_AHEAD));
            buffer.extend_from_slice(&self.buffer);
            self.buffer = buffer;
        }
        &mut self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(last: bool, body: &[u8]) -> Vec<u8> {
        let mark = u32::try_from(body.len()).unwrap() | if last { 1 << 31 } else { 0 };
        [&mark.to_be_bytes()[..], body].concat()
    }

    /// Feeds `stream` in pieces of at most `piece` bytes.
    fn records(mut stream: &[u8], piece: usize, vet: bool) -> Result<Vec<Bytes>, RecordError> {
        let mut assembler = Assembler::default();
        let mut records = Vec::new();
        loop {
            match assembler.next(|_| vet)? {
                Step::Record(record) => records.push(record),
                Step::More(needed) => {
                    if stream.is_empty() {
                        return Ok(records);
                    }
                    assert!(needed > 0);
                    let room = assembler.room(needed);
                    let free = room.capacity() - room.len();
                    assert!(free > 0 && room.capacity() <= LARGEST_RECORD + 4);
                    let (now, later) = stream.split_at(piece.min(free).min(stream.len()));
                    room.extend_from_slice(now);
                    stream = later;
                }
            }
        }
    }

    #[test]
    fn records_are_the_same_however_they_are_cut() {
        let large = vec![5; 300_000];
        let stream = [
            fragment(true, b"one"),
            fragment(false, b"tw"),
            fragment(false, b""),
            fragment(true, b"o"),
            fragment(true, b""),
            fragment(true, &large),
            fragment(true, b"three"),
        ]
        .concat();
        for piece in [1, 3, 4, 5, 1000, 1 << 20] {
            let records = records(&stream, piece, true).unwrap();
            assert_eq!(records, [&b"one"[..], b"two", b"", &large, b"three"]);
        }
    }

    #[test]
    fn a_large_first_record_needs_a_good_head() {
        let stream = fragment(true, &vec![5; LARGEST_FIRST_RECORD + 1]);
        assert_eq!(
            records(&stream, 99, false).unwrap_err(),
            RecordError::Unproven(LARGEST_FIRST_RECORD + 1)
        );
        let split = [fragment(false, &[5; 4096]), fragment(true, &[5; 4096])].concat();
        assert_eq!(records(&split, 99, true).unwrap_err(), RecordError::Unproven(8192));
    }

    #[test]
    fn limits_hold_before_the_bytes_have_come() {
        assert_eq!(
            records(&[0xff; 4], 4, true).unwrap_err(),
            RecordError::TooLong(0x7fff_ffff)
        );
        let many: Vec<u8> = (0..=MOST_FRAGMENTS).flat_map(|_| fragment(false, b"")).collect();
        assert_eq!(records(&many, 4096, true).unwrap_err(), RecordError::TooManyFragments);
    }
}
