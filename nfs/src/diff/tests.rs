//! Against a model that holds everything in memory.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use proptest::prelude::*;

use super::*;
use crate::lake::{Kind, LakeError};

/// A record as the model sees it: its text, where it begins, and on which line.
type Seen = (Vec<u8>, u64, u64);

/// Cuts a CSV text byte by byte.
fn split(text: &[u8]) -> Vec<Seen> {
    let mut records = Vec::new();
    let (mut start, mut line, mut first_line) = (0, 1, 1);
    let (mut quoted, mut field_start) = (false, true);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            // Two quotes inside quotes close and open: the second one does not stand at a field's start, but behind a quote.
            b'"' if quoted => quoted = false,
            b'"' if field_start || closed_before(text, start, at) => quoted = true,
            b'\n' => {
                line += 1;
                if !quoted {
                    let content = text[start..at].strip_suffix(b"\r").unwrap_or(&text[start..at]);
                    records.push((content.to_vec(), start as u64, first_line));
                    (start, first_line) = (at + 1, line);
                }
            }
            _ => {}
        }
        field_start = !quoted && (*byte == b',' || start == at + 1);
    }
    if start < text.len() {
        records.push((text[start..].to_vec(), start as u64, first_line));
    }
    records
}

/// Whether the byte before `at` is a quote that closed a field (so that another one is the second of two).
fn closed_before(text: &[u8], start: usize, at: usize) -> bool {
    let (mut quoted, mut field_start, mut closed) = (false, true, false);
    for byte in &text[start..at] {
        closed = false;
        match byte {
            b'"' if quoted => (quoted, closed) = (false, true),
            b'"' if field_start => quoted = true,
            _ => {}
        }
        field_start = !quoted && *byte == b',';
    }
    closed
}

fn file(text: &[u8]) -> Arc<std::fs::File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    Arc::new(file)
}

fn new_text(text: &[u8], format: Format) -> NewText {
    let end = text.len() as u64;
    NewText {
        file: file(text),
        format,
        start: 0,
        end,
        line: 1,
        order: Order::Same,
        skip_blank: false,
    }
}

fn cut(text: &[u8], size: usize) -> Vec<crate::lake::Result<Bytes>> {
    text.chunks(size.max(1))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

fn compare_with(base: &str, new: &str, memory: usize) -> Result<Changes> {
    let options = Options {
        memory,
        ..Options::default()
    };
    run(diff(
        stream::iter(cut(base.as_bytes(), 7)),
        new_text(new.as_bytes(), Format::Csv),
        options,
    ))
}

fn compare(base: &str, new: &str) -> Changes {
    compare_with(base, new, 64 << 20).unwrap()
}

/// The changes in short: `-3` a removed record, `+text`, `3=text` a changed one.
fn shown(changes: &Changes) -> Vec<String> {
    let mut walk = changes.walk();
    let mut shown = Vec::new();
    while let Some(change) = walk.advance().unwrap() {
        let text = String::from_utf8_lossy(walk.text());
        shown.push(match change {
            Change::Removed { ordinal } => format!("-{ordinal}"),
            Change::Added(place) => format!("+{}:{text}", place.line),
            Change::Changed { ordinal, new } => format!("{ordinal}={}:{text}", new.line),
        });
    }
    shown
}

#[test]
fn equal_texts_have_no_changes() {
    for (base, new) in [
        ("", ""),
        ("a\nb\n", "a\nb\n"),
        ("a\nb\n", "a\r\nb\r\n"),
        ("a\nb\n", "\u{feff}a\nb"),
        ("a,\"1\n2\"\n", "a,\"1\n2\"\n"),
    ] {
        let changes = compare(base, new);
        assert!(changes.is_empty(), "{base:?} {new:?}");
        assert_eq!(changes.counts().unchanged, changes.base_records());
        assert_eq!(changes.ends_with_newline(), new.is_empty() || new.ends_with('\n'));
    }
}

#[test]
fn records_are_paired_where_they_stand() {
    let base = "1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n";
    for (new, expected) in [
        ("1,a\n2,B\n3,c\n4,d\n5,e\n6,f\n", vec!["1=2:2,B"]),
        ("1,a\n3,c\n4,d\n5,e\n6,f\n", vec!["-1"]),
        ("1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n7,g\n", vec!["+7:7,g"]),
        ("0,z\n1,a\n2,b\n3,c\n4,d\n5,e\n6,F\n", vec!["+1:0,z", "5=7:6,F"]),
        ("1,a\n2,x\n5,e\n6,f\n", vec!["1=2:2,x", "-2", "-3"]),
        (
            "1,a\n2,b\n3,C\n3,D\n3,E\n4,d\n5,e\n6,f\n",
            vec!["2=3:3,C", "+4:3,D", "+5:3,E"],
        ),
        ("", vec!["-0", "-1", "-2", "-3", "-4", "-5"]),
        ("6,f\n5,e\n4,d\n3,c\n2,b\n1,a\n", vec![]),
        (
            "1,a\n\"2\n2\",b\n3,c\n4,d\n5,e\n6,Z\n",
            vec!["1=2:\"2\n2\",b", "5=7:6,Z"],
        ),
    ] {
        assert_eq!(shown(&compare(base, new)), expected, "{new:?}");
    }
    assert_eq!(shown(&compare("", "a\nb")), ["+1:a", "+2:b"]);
}

#[test]
fn one_of_three_equal_records_can_go() {
    for memory in [64 << 20, 100] {
        let changes = compare_with("x\nx\ny\nx\n", "x\ny\nx\n", memory).unwrap();
        let counts = Counts {
            removed: 1,
            added: 0,
            changed: 0,
            unchanged: 3,
        };
        assert_eq!(changes.counts(), counts);
        let changes = compare_with("x\ny\nx\n", "x\nx\nx\n", memory).unwrap();
        assert_eq!(changes.counts().unchanged, 2);
    }
}

#[test]
fn an_open_quote_is_told_where_it_opens() {
    let error = compare_with("a\n", "a\nb,\"x\n\ny\n", 1 << 20).unwrap_err();
    assert!(
        matches!(error, DiffError::UnclosedQuote { line: 2, offset: 4 }),
        "{error}"
    );
    let options = Options {
        record_limit: 1000,
        ..Options::default()
    };
    let long = format!("a\n\"{}", "b\n".repeat(300_000));
    let error = run(diff(stream::empty(), new_text(long.as_bytes(), Format::Csv), options)).unwrap_err();
    assert!(
        matches!(
            error,
            DiffError::RecordTooLong {
                line: 2,
                limit: 1000,
                quote_line: Some(2)
            }
        ),
        "{error}"
    );
}

#[test]
fn a_failing_base_is_an_error() {
    let failure = LakeError {
        kind: Kind::Storage,
        message: "no disk".to_owned(),
    };
    let base = stream::iter([Ok(Bytes::from_static(b"a\n")), Err(failure)]);
    let error = run(diff(base, new_text(b"a\n", Format::Csv), Options::default())).unwrap_err();
    assert!(
        matches!(&error, DiffError::Base(error) if error.kind == Kind::Storage),
        "{error}"
    );
}

#[tokio::test]
async fn dropping_the_comparison_ends_it() {
    let text = new_text(b"a\n", Format::Csv);
    let watched = Arc::clone(&text.file);
    let base = stream::iter([Ok(Bytes::from_static(b"a\n"))]).chain(stream::pending());
    let comparison = diff(base, text, Options::default());
    tokio::time::timeout(std::time::Duration::from_millis(50), comparison)
        .await
        .unwrap_err();
    while Arc::strong_count(&watched) > 1 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[test]
fn json_lines_know_no_quotes_and_no_blank_lines() {
    let text = NewText::json_lines(file(b"\xEF\xBB\xBF{\"a\":\"x\"}\r\n\r\n  \n{\"a\":\"y\"}")).unwrap();
    let base = stream::iter(cut(b"{\"a\":\"x\"}\n{\"a\":\"\n", 3));
    let changes = run(diff(base, text, Options::default())).unwrap();
    assert_eq!(shown(&changes), ["1=4:{\"a\":\"y\"}"]);
}

#[test]
fn a_csv_text_begins_with_the_columns() {
    let columns = ["id", "na,me", "x"];
    let header = |text: &str| NewText::csv(file(text.as_bytes()), &columns);
    let text = header("\u{feff}id,\"na,me\",x\r\n1,2,3\n").unwrap();
    assert_eq!(
        (text.start, text.line, text.order, text.skip_blank),
        (17, 2, Order::Same, true)
    );
    assert_eq!(header("x,id,\"na,me\"").unwrap().order, Order::Other(vec![1, 2, 0]));
    for (text, message) in [
        (
            "",
            "the first line names no column of the table: it must be id,\"na,me\",x",
        ),
        (
            "1,2,3\n",
            "the first line names no column of the table: it must be id,\"na,me\",x",
        ),
        (
            "id,y,x\n",
            "line 1: there is no column y in the table: the first line must be id,\"na,me\",x",
        ),
        (
            "id,x,x\n",
            "line 1: the column x is there twice: the first line must be id,\"na,me\",x",
        ),
        (
            "id,x\n",
            "line 1: the column na,me is missing: the first line must be id,\"na,me\",x",
        ),
    ] {
        assert_eq!(header(text).unwrap_err().to_string(), message, "{text:?}");
    }
}

#[test]
fn columns_in_another_order_are_read_by_name() {
    let text = NewText::csv(file(b"c,a,b\n3,1,\"2,\n\"\n6,4,5\n\n9,7\n"), &["a", "b", "c"]).unwrap();
    let base = stream::iter(cut(b"1,\"2,\n\",3\n4,5,7\n7,8,9\n", 4));
    let changes = run(diff(base, text, Options::default())).unwrap();
    assert_eq!(shown(&changes), ["1=4:6,4,5", "2=6:9,7"]);
}

/// `count` records in an order that has nothing to do with their numbers, every `edited`-th another than it was.
fn shuffled(count: u64, edited: u64) -> String {
    let number = |at: u64| at * 7919 % count;
    let edit = |number: u64| if number.is_multiple_of(edited) { "new" } else { "old" };
    (0..count)
        .map(number)
        .map(|number| format!("{number},\"\n\",{}\n", edit(number)))
        .collect()
}

#[test]
fn records_far_apart_are_found_again() {
    let base: String = (0..50_000).map(|number| format!("{number},\"\n\",old\n")).collect();
    let edited = [0, 8191, 8192, 8193, 24_576, 49_999];
    let text = |number: u64| if edited.contains(&number) { "new" } else { "old" };
    let new: String = (0..50_000)
        .map(|number| format!("{number},\"\n\",{}\n", text(number)))
        .collect();
    let expected: Vec<_> = edited
        .iter()
        .map(|number| format!("{number}={}:{number},\"\n\",new", 2 * number + 1))
        .collect();
    assert_eq!(shown(&compare(&base, &new)), expected);
}

#[test]
fn a_large_part_can_go_or_come() {
    let lines = |range: std::ops::Range<u64>| -> String { range.map(|number| format!("{number},x\n")).collect() };
    let (whole, rest) = (lines(0..20_000), lines(0..20) + &lines(15_000..20_000));
    for memory in [10_000, 64 << 20] {
        let changes = compare_with(&whole, &rest, memory).unwrap();
        assert!(changes.gone().iter().eq(20..15_000), "{memory}");
        assert_eq!(changes.counts().changed + changes.counts().added, 0);
        let changes = compare_with(&rest, &whole, memory).unwrap();
        assert_eq!(
            changes.counts(),
            Counts {
                removed: 0,
                added: 14_980,
                changed: 0,
                unchanged: 5020
            }
        );
    }
}

#[test]
fn what_is_spilled_is_found_like_what_is_not() {
    let base: String = (0..50_000).map(|number| format!("{number},\"\n\",old\n")).collect();
    assert!(
        compare_with(
            &base,
            &shuffled(50_000, u64::MAX).replacen("0,\"\n\",new", "0,\"\n\",old", 1),
            10_000
        )
        .unwrap()
        .is_empty()
    );
    let new = shuffled(50_000, 100);
    let gone: Vec<u64> = (0..500).map(|number| number * 100).collect();
    for memory in [10_000, 300_000, 64 << 20] {
        let changes = compare_with(&base, &new, memory).unwrap();
        assert_eq!(changes.gone().iter().collect::<Vec<_>>(), gone, "{memory}");
        let mut found: Vec<u64> = Vec::new();
        let unpaired = changes.unpaired();
        let mut walk = unpaired.walk();
        while let Some(change) = walk.advance().unwrap() {
            if let Change::Added(_) = change {
                let text = String::from_utf8_lossy(walk.text()).into_owned();
                found.push(text.strip_suffix(",\"\n\",new").unwrap().parse().unwrap());
            }
        }
        found.sort_unstable();
        assert_eq!(found, gone, "{memory}");
    }
}

fn by_key(base: &str, new: &str, limit: u64) -> Result<Changes> {
    let again = stream::iter(cut(base.as_bytes(), 5));
    run(pair_by_key(
        compare(base, new),
        again,
        csv_key(vec![0]),
        csv_key(vec![0]),
        limit,
    ))
}

#[test]
fn a_key_pairs_records_wherever_they_stand() {
    let base = "1,a\n2,b\n3,c\n4,d\n,n\n";
    let changes = by_key(base, "\"4\",D\n1,a\n3,C\n9,x\n,N\n", 100).unwrap();
    assert_eq!(
        shown(&changes),
        ["3=1:\"4\",D", "-1", "-4", "2=3:3,C", "+4:9,x", "+5:,N"]
    );
    assert_eq!(
        changes.counts(),
        Counts {
            removed: 2,
            added: 2,
            changed: 2,
            unchanged: 1
        }
    );
    let error = by_key(base, "1,a\n2,b\n3,x\n\n4,d\n3,y\n", 100).unwrap_err();
    assert_eq!(error.to_string(), "lines 3 and 6 have the same key (3)");
    assert!(matches!(
        by_key(base, "", 4),
        Err(DiffError::TooManyChanges { changes: 5, limit: 4 })
    ));
}

#[test]
fn fields_are_cut_where_commas_are_not_quoted() {
    let cut = |record: &str| -> Vec<(String, bool, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields(record.as_bytes())
            .map(|field| (text(field.raw), field.quoted, field.text().map(|all| text(&all))))
            .collect()
    };
    let field = |raw: &str, quoted, value: Option<&str>| (raw.to_owned(), quoted, value.map(str::to_owned));
    assert_eq!(cut(""), [field("", false, Some(""))]);
    assert_eq!(
        cut("a,,b\"c"),
        [
            field("a", false, Some("a")),
            field("", false, Some("")),
            field("b\"c", false, Some("b\"c"))
        ]
    );
    assert_eq!(
        cut("\"a,\"\"b\"\"\n\",\"\","),
        [
            field("\"a,\"\"b\"\"\n\"", true, Some("a,\"b\"\n")),
            field("\"\"", true, Some("")),
            field("", false, Some(""))
        ]
    );
    assert_eq!(
        cut("\"a\"b,\"c"),
        [field("\"a\"b", true, None), field("\"c", true, None)]
    );
}

fn records() -> impl Strategy<Value = Vec<String>> {
    let field = prop::sample::select(vec![
        "a",
        "b",
        "",
        "\"\"",
        "\"x\ny\"",
        "\"q\"\"\n\"",
        "é",
        "a\"b",
        "\"c\"d",
        "\"\r\n,\"",
    ]);
    prop::collection::vec(
        prop::collection::vec(field, 1..4).prop_map(|fields| fields.join(",")),
        0..80,
    )
}

fn numbered() -> impl Strategy<Value = Vec<String>> {
    (0..600usize).prop_map(|count| (0..count).map(|number| format!("{number},x")).collect())
}

/// A base and what became of it: pieces taken out, doubled, moved, and records changed.
fn edited() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let edit = (
        0..4u8,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    );
    let base = prop_oneof![records(), numbered()];
    (base, prop::collection::vec(edit, 0..8)).prop_map(|(base, edits)| {
        let mut new = base.clone();
        for (kind, from, len, to) in edits {
            if new.is_empty() {
                break;
            }
            let from = from.index(new.len());
            let end = from + len.index(new.len() - from) + 1;
            let part: Vec<String> = match kind {
                0 | 1 => new.drain(from..end).collect(),
                2 => new[from..end].to_vec(),
                _ => std::iter::once(format!("{},new", new[from])).collect(),
            };
            let to = to.index(new.len() + 1);
            match kind {
                0 => {}
                3 => new[from] = part[0].clone(),
                _ => drop(new.splice(to..to, part)),
            }
        }
        (base, new)
    })
}

fn counted<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> BTreeMap<Vec<u8>, i64> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(record.to_vec()).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn records_do_not_depend_on_pieces(records in records(), size in 1..20usize, crlf: bool, bom: bool, last: bool) {
        let mut text = records.join(if crlf { "\r\n" } else { "\n" });
        if last {
            text.push('\n');
        }
        let shift = if bom { 3 } else { 0 };
        let expected: Vec<Seen> =
            split(text.as_bytes()).into_iter().map(|(text, offset, line)| (text, offset + shift, line)).collect();
        if bom {
            text.insert(0, '\u{feff}');
        }
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let mut read = Records::new(TestPieces { pieces, at: 0 }, Format::Csv, 0, 1, 1 << 20);
        let mut found = Vec::new();
        while let Some(place) = read.advance().unwrap() {
            prop_assert_eq!(place.ordinal, found.len() as u64);
            prop_assert_eq!(place.len, read.text().len() as u64);
            found.push((read.text().to_vec(), place.offset, place.line));
        }
        // A byte order mark alone is a record without text.
        if bom && expected.is_empty() {
            found.clear();
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn changes_make_the_new_text_of_the_base(
        (base, new) in edited(), sized: bool, size in 1..5000usize, crlf: bool, last: bool, memory in prop::sample::select(vec![100usize, 4096, 1 << 26]),
    ) {
        let base: String = base.iter().map(|record| format!("{record}\n")).collect();
        let mut new = new.join(if crlf { "\r\n" } else { "\n" });
        if last {
            new.push('\n');
        }
        let (old, now) = (split(base.as_bytes()), split(new.as_bytes()));
        let base_size = sized.then_some(base.len() as u64);
        let options = Options { memory, base_size, ..Options::default() };
        let text = new_text(new.as_bytes(), Format::Csv);
        let changes = run(diff(stream::iter(cut(base.as_bytes(), size)), text, options)).unwrap();

        let mut result = counted(old.iter().map(|(text, ..)| text.as_slice()));
        let counts = counted(now.iter().map(|(text, ..)| text.as_slice()));
        let gone: i64 = result.iter().map(|(text, count)| (count - counts.get(text).unwrap_or(&0)).max(0)).sum();
        prop_assert_eq!(changes.gone().len() as i64, gone);
        prop_assert_eq!(changes.base_records(), old.len() as u64);
        prop_assert_eq!(changes.new_records(), now.len() as u64);

        let (mut last_old, mut last_new) = (None, None);
        let mut walk = changes.walk();
        let mut seen = Counts { unchanged: changes.counts().unchanged, ..Counts::default() };
        while let Some(change) = walk.advance().unwrap() {
            let (removed, added) = match change {
                Change::Removed { ordinal } => (Some(ordinal), None),
                Change::Added(place) => (None, Some(place)),
                Change::Changed { ordinal, new } => (Some(ordinal), Some(new)),
            };
            match (removed, added) {
                (Some(_), Some(_)) => seen.changed += 1,
                (Some(_), None) => seen.removed += 1,
                _ => seen.added += 1,
            }
            if let Some(ordinal) = removed {
                prop_assert!(last_old < Some(ordinal));
                last_old = Some(ordinal);
                *result.get_mut(&old[ordinal as usize].0).unwrap() -= 1;
            }
            if let Some(place) = added {
                prop_assert!(last_new < Some(place.ordinal));
                last_new = Some(place.ordinal);
                let (text, offset, line) = &now[place.ordinal as usize];
                prop_assert_eq!((walk.text(), place.offset, place.line), (text.as_slice(), *offset, *line));
                *result.entry(text.clone()).or_default() += 1;
            }
        }
        result.retain(|_, count| *count != 0);
        prop_assert_eq!(result, counts);
        prop_assert_eq!(seen, changes.counts());
    }

    #[test]
    fn ranges_are_a_set(edits in prop::collection::vec((any::<bool>(), 0..60u64, 0..20u64), 0..30), from in 0..70u64, len in 0..30u64) {
        let mut ranges = Ranges::new();
        let mut model = std::collections::BTreeSet::new();
        for (insert, start, len) in edits {
            if insert {
                ranges.insert(start..start + len);
                model.extend(start..start + len);
            } else {
                ranges.remove(start..start + len);
                model.retain(|at| !(start..start + len).contains(at));
            }
        }
        let part = from..from + len;
        prop_assert_eq!(ranges.iter().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(ranges.total(), model.len() as u64);
        prop_assert_eq!(ranges.end(), model.last().map_or(0, |last| last + 1));
        prop_assert_eq!(ranges.covers(part.clone()), part.clone().all(|at| model.contains(&at)));
        prop_assert!(ranges.within(part.clone()).flatten().eq(part.clone().filter(|at| model.contains(at))));
        prop_assert!(ranges.gaps(part.clone()).flatten().eq(part.filter(|at| !model.contains(at))));
        prop_assert!(ranges.iter().zip(ranges.iter().skip(1)).all(|(one, next)| one.end < next.start));
        let stored = serde_json::to_string(&ranges).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ranges>(&stored).unwrap(), ranges);
    }

    #[test]
    fn differing_bytes_are_found(base in prop::collection::vec(0..2u8, 0..600), flips in prop::collection::vec(any::<prop::sample::Index>(), 0..6), len in 0..600usize, join in 1..9usize) {
        let mut new = base.clone();
        new.resize(len, 7);
        for flip in flips {
            if !new.is_empty() {
                let at = flip.index(new.len());
                new[at] = 9;
            }
        }
        let differs = |at: usize| base.get(at) != new.get(at);
        let exact = differing(&base, &new, 1);
        prop_assert!(exact.iter().cloned().flatten().eq((0..new.len()).filter(|at| differs(*at))));
        let joined = differing(&base, &new, join);
        prop_assert!(joined.iter().all(|range| differs(range.start) && differs(range.end - 1)));
        prop_assert!(joined.iter().zip(joined.iter().skip(1)).all(|(one, next)| next.start - one.end >= join));
        prop_assert!((0..new.len()).filter(|at| differs(*at)).all(|at| joined.iter().any(|range| range.contains(&at))));
    }
}

struct TestPieces<'a> {
    pieces: Vec<&'a [u8]>,
    at: usize,
}

impl Pieces for TestPieces<'_> {
    fn advance(&mut self) -> Result<bool> {
        self.at += 1;
        Ok(self.at <= self.pieces.len())
    }

    fn piece(&self) -> &[u8] {
        self.at
            .checked_sub(1)
            .and_then(|at| self.pieces.get(at))
            .copied()
            .unwrap_or_default()
    }
}
