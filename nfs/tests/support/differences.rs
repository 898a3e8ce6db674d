//! What must hold of the comparison of any two texts. A fuzz target and a seeded run in the tests feed it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use posixlake_nfs::diff::{Change, FilePieces, Format, NewText, Options, Order, Place, Records, diff};

const LIMIT: usize = 1 << 16;

fn file(text: &[u8]) -> Arc<std::fs::File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    Arc::new(file)
}

/// The records of a text that begins at `offset`, one by one; nothing where it cannot be cut.
fn cut(text: &[u8], format: Format, offset: u64) -> Option<Vec<(Vec<u8>, Place)>> {
    let pieces = FilePieces::new(file(text), 0, text.len() as u64);
    let mut records = Records::new(pieces, format, offset, 1, LIMIT);
    let mut all = Vec::new();
    while let Some(place) = records.advance().ok()? {
        all.push((records.text().to_vec(), place));
    }
    Some(all)
}

/// What a comparison tells makes the new text of the base, and says rightly where it stands. The first byte says in which pieces the base
/// comes, the second the format; 0xff parts the texts.
pub(crate) fn differences(data: &[u8]) {
    let [size, kind, texts @ ..] = data else { return };
    let (base, new) = match texts.iter().position(|byte| *byte == 0xff) {
        Some(at) => (&texts[..at], &texts[at + 1..]),
        None => (texts, texts),
    };
    let format = if kind % 4 == 0 { Format::JsonLines } else { Format::Csv };
    let text = NewText {
        file: file(new),
        format,
        start: 0,
        end: new.len() as u64,
        line: 1,
        order: Order::Same,
        skip_blank: false,
    };
    let options = Options {
        memory: if kind % 2 == 0 { 100 } else { 1 << 20 },
        record_limit: LIMIT,
        ..Options::default()
    };
    let pieces = base
        .chunks(usize::from(*size).max(1))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(diff(stream::iter(pieces.collect::<Vec<_>>()), text, options));
    let (old, now) = (cut(base, format, 1), cut(new, format, 0));
    let (Some(old), Some(now)) = (old, now) else {
        assert!(found.is_err(), "a text that cannot be cut was compared");
        return;
    };
    let changes = found.unwrap();
    assert_eq!(
        (changes.base_records(), changes.new_records()),
        (old.len() as u64, now.len() as u64)
    );
    let mut left: BTreeMap<&[u8], i64> = BTreeMap::new();
    for (text, _) in &old {
        *left.entry(text).or_default() += 1;
    }
    let mut walk = changes.walk();
    while let Some(change) = walk.advance().unwrap() {
        let (gone, come) = match change {
            Change::Removed { ordinal } => (Some(ordinal), None),
            Change::Added(place) => (None, Some(place)),
            Change::Changed { ordinal, new } => (Some(ordinal), Some(new)),
        };
        if let Some(ordinal) = gone {
            *left.entry(&old[ordinal as usize].0).or_default() -= 1;
        }
        if let Some(place) = come {
            let (text, at) = &now[place.ordinal as usize];
            assert_eq!((walk.text(), place), (text.as_slice(), *at));
            *left.entry(text).or_default() += 1;
        }
    }
    for (text, _) in &now {
        *left.entry(text).or_default() -= 1;
    }
    assert!(
        left.values().all(|count| *count == 0),
        "the changes do not make the new text"
    );
}
