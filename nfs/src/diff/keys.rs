//! Pairs of a removed and an added record that have the same key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use futures::Stream;
use roaring::RoaringTreemap;

use super::changes::{Change, Changes, Pairing};
use super::compare::BASE_OFFSET;
use super::fields::fields;
use super::pieces::with_stream;
use super::records::Records;
use super::{DiffError, Result};
use crate::lake;

/// Pairs removed and added records with equal keys, wherever they stand; a record without a partner stays removed or added.
///
/// `base` streams the same records as before. The functions write the key of a record of the base, and of the new text (whose fields
/// may have another order), and say whether the record has one: a record without a key has no partner. Keys are equal where
/// their bytes are.
///
/// # Errors
/// Where two added records have the same key, there are more than `limit` changes (each takes up to 100 bytes of memory and its key),
/// a function fails, or either text cannot be read.
pub async fn pair_by_key<S, R, A>(
    changes: Changes,
    base: S,
    removed_key: R,
    added_key: A,
    limit: u64,
) -> Result<Changes>
where
    S: Stream<Item = lake::Result<Bytes>> + Send,
    R: FnMut(&[u8], &mut Vec<u8>) -> Result<bool, String> + Send + 'static,
    A: FnMut(&[u8], &mut Vec<u8>) -> Result<bool, String> + Send + 'static,
{
    let count = changes.removed.len() + changes.added.len();
    if count > limit {
        return Err(DiffError::TooManyChanges { changes: count, limit });
    }
    let changes = changes.unpaired();
    let (changes, added) = with_thread(move || added_keys(&changes, added_key).map(|added| (changes, added))).await?;
    let state = (removed_key, added, HashMap::new(), RoaringTreemap::new(), Vec::new());
    let (_, _, pairs, paired, _) = visit_removed(&changes, base, state, |state, ordinal, text| {
        let (removed_key, added, pairs, paired, key) = state;
        key.clear();
        let line = ordinal + 1;
        if removed_key(text, key).map_err(|message| DiffError::NoKey { line, message })?
            && let Some((new, _)) = added.remove(key.as_slice())
        {
            pairs.insert(new, ordinal);
            paired.insert(ordinal);
        }
        Ok(())
    })
    .await?;
    Ok(changes.paired(Pairing::Key(pairs, paired)))
}

async fn with_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    with_stream(futures::stream::empty(), move |_, _| work()).await
}

/// Added records by key: their ordinal and line.
type Keys = HashMap<Box<[u8]>, (u64, u64)>;

fn added_keys<A>(changes: &Changes, mut added_key: A) -> Result<Keys>
where
    A: FnMut(&[u8], &mut Vec<u8>) -> Result<bool, String>,
{
    let mut added = Keys::new();
    let mut key = Vec::new();
    let mut walk = changes.walk();
    while let Some(change) = walk.advance()? {
        let Change::Added(place) = change else { continue };
        key.clear();
        if !added_key(walk.text(), &mut key).map_err(|message| DiffError::NoKey {
            line: place.line,
            message,
        })? {
            continue;
        }
        match added.entry(key.as_slice().into()) {
            Entry::Vacant(free) => {
                free.insert((place.ordinal, place.line));
            }
            Entry::Occupied(taken) => {
                let (_, first) = taken.get();
                let key = String::from_utf8_lossy(&key).chars().take(SHOWN).collect();
                return Err(DiffError::DuplicateKey {
                    first: *first,
                    second: place.line,
                    key,
                });
            }
        }
    }
    Ok(added)
}

/// Characters of a key that an error shows.
const SHOWN: usize = 100;

/// Calls `visit` with the ordinal and the text of each record of the base that does not stand any more, in order, and gives back `state`.
/// `base` streams the same records as before.
///
/// # Errors
/// Where the base cannot be read, or `visit` fails.
pub async fn visit_removed<S, T, F>(changes: &Changes, base: S, mut state: T, mut visit: F) -> Result<T>
where
    S: Stream<Item = lake::Result<Bytes>> + Send,
    T: Send + 'static,
    F: FnMut(&mut T, u64, &[u8]) -> Result<()> + Send + 'static,
{
    let removed = changes.removed.clone();
    let (format, limit) = (changes.new.format, changes.record_limit);
    with_stream(base, move |pieces, cancel| {
        let mut records = Records::new(pieces, format, BASE_OFFSET, 1, limit);
        for ordinal in &removed {
            cancel.check()?;
            loop {
                match records.advance()? {
                    Some(place) if place.ordinal < ordinal => {}
                    Some(_) => break visit(&mut state, ordinal, records.text())?,
                    None => {
                        let shorter = "the base has become shorter between two readings";
                        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, shorter).into());
                    }
                }
            }
        }
        Ok(state)
    })
    .await
}

/// Writes the fields of a CSV record at `columns` (numbers from 0) as a key: their text, quoted again where it must be. A record
/// in which one of them is NULL has no key.
pub fn csv_key(columns: Vec<usize>) -> impl FnMut(&[u8], &mut Vec<u8>) -> Result<bool, String> + Send + 'static {
    move |record, key| {
        let all: Vec<_> = fields(record).collect();
        for (number, column) in columns.iter().enumerate() {
            let count = all.len();
            let field = all
                .get(*column)
                .ok_or_else(|| format!("there are only {count} fields"))?;
            let text = field
                .text()
                .ok_or_else(|| format!("field {}: text follows the closing quote", column + 1))?;
            if text.is_empty() && !field.quoted {
                return Ok(false);
            }
            if number > 0 {
                key.push(b',');
            }
            if text.is_empty() || text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
                key.push(b'"');
                for byte in text.iter() {
                    key.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
                }
                key.push(b'"');
            } else {
                key.extend_from_slice(&text);
            }
        }
        Ok(true)
    }
}
