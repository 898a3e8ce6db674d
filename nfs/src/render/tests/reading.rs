//! Ranges, rows and places.

use futures::TryStreamExt;
use proptest::prelude::*;

use super::fake::FakeLake;
use super::{FORMATS, Setting};
use crate::lake::{DataFile, Kind};
use crate::render::{CHUNK_ROWS, Format, Options};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// How rows of a file are hidden.
#[derive(Debug, Clone)]
enum Hidden {
    Nothing,
    Every(u64),
    Within(u64, u64),
    All,
}

fn hidden() -> impl Strategy<Value = Hidden> {
    prop_oneof![
        Just(Hidden::Nothing),
        (2..500u64).prop_map(Hidden::Every),
        (0..80_000u64, 0..80_000u64).prop_map(|(a, b)| Hidden::Within(a.min(b), a.max(b))),
        Just(Hidden::All),
    ]
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..5u64,
        30_000..80_000u64,
        Just(CHUNK_ROWS),
        Just(CHUNK_ROWS - 1),
        Just(CHUNK_ROWS + 1),
        Just(2 * CHUNK_ROWS),
    ]
}

fn add(setting: &Setting, files: &[(u64, Hidden)]) -> Vec<DataFile> {
    let add = |(at, (rows, hidden)): (usize, &(u64, Hidden))| {
        let file = setting.lake.add(&format!("file-{at}"), *rows);
        let name = format!("vector-{at}");
        match hidden {
            Hidden::Nothing => file,
            Hidden::Every(n) => setting.lake.hide(&file, &name, (0..*rows).step_by(*n as usize)),
            Hidden::Within(start, end) => setting.lake.hide(&file, &name, *start..*end),
            Hidden::All => setting.lake.hide(&file, &name, 0..*rows),
        }
    };
    files.iter().enumerate().map(add).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn ranges_are_those_of_the_whole(
        files in prop::collection::vec((sizes(), hidden()), 0..3),
        ranges in prop::collection::vec((0.0..1.1f64, 0..1_500_000usize), 1..6),
        small in any::<bool>(),
    ) {
        let setting = Setting::new(FakeLake::default());
        let files = add(&setting, &files);
        let version = FakeLake::version(1, &files);
        block_on(async {
            let options = if small {
                Options { disk: 0, memory: 0, index_memory: 0, parallel: 1 }
            } else {
                Options::default()
            };
            let renderer = setting.renderer_with(&options);
            for format in FORMATS {
                let expected = setting.expected(&version, format);
                let rendering = renderer.open(version.clone(), format).await.unwrap();
                prop_assert_eq!(rendering.size(), expected.len() as u64);
                prop_assert!(renderer.opened(&version, format).is_none_or(|opened| opened.size() == rendering.size()));
                let whole: Vec<bytes::Bytes> = rendering.text(0..rendering.size()).try_collect().await.unwrap();
                prop_assert!(whole.concat() == expected, "{:?} as a whole", format);
                for (start, length) in &ranges {
                    let start = (rendering.size() as f64 * start) as usize;
                    let got = rendering.read(start as u64, *length).await.unwrap();
                    let end = (start + length).min(expected.len());
                    let part = expected.get(start..end).unwrap_or_default();
                    prop_assert!(got == part, "{:?} {}..{}", format, start, end);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn rows_are_where_they_are(
        files in prop::collection::vec((sizes(), hidden()), 1..3),
        picks in prop::collection::vec(0.0..1.0f64, 1..12),
    ) {
        let setting = Setting::new(FakeLake::default());
        let files = add(&setting, &files);
        let version = FakeLake::version(1, &files);
        let places = setting.places(&files);
        block_on(async {
            let renderer = setting.renderer();
            let mut rows: Vec<u64> = picks.iter().map(|pick| (places.len() as f64 * pick) as u64).collect();
            rows.retain(|row| *row < places.len() as u64);
            rows.sort_unstable();
            let expected: Vec<(usize, u64)> = rows.iter().map(|row| places[*row as usize]).collect();
            for format in FORMATS {
                let whole = setting.expected(&version, format);
                let rendering = renderer.open(version.clone(), format).await.unwrap();
                prop_assert_eq!(rendering.rows(), places.len() as u64);
                prop_assert_eq!(&rendering.places(&rows).await.unwrap(), &expected);
                for row in rows.iter().take(6) {
                    prop_assert_eq!(rendering.place(*row).await.unwrap(), places[*row as usize]);
                    let bytes = rendering.bytes_of_row(*row).await.unwrap();
                    prop_assert_eq!(rendering.row_of_offset(bytes.start).await.unwrap(), Some(*row));
                    prop_assert_eq!(rendering.row_of_offset(bytes.end - 1).await.unwrap(), Some(*row));
                    let (file, place) = places[*row as usize];
                    prop_assert_eq!(rendering.chunk_at(bytes.start), Some((file, (place / CHUNK_ROWS) as usize)));
                    let (_, alone) = setting.lake.live(&files[file], place..place + 1);
                    let mut line = Vec::new();
                    let writer = crate::render::text::RowWriter::new(FakeLake::schema(), format);
                    writer.write(&alone, 0, 0..1, &mut line).unwrap();
                    let text = &whole[bytes.start as usize..bytes.end as usize];
                    line.pop();
                    prop_assert!(text.starts_with(&line));
                    let last = *row + 1 == rendering.rows();
                    prop_assert_eq!(text.len(), line.len() + if format == Format::Json && !last { 2 } else { 1 });
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn an_empty_table() {
    let setting = Setting::new(FakeLake::default());
    let version = FakeLake::version(0, &[]);
    let renderer = setting.renderer();
    for (format, text) in [
        (Format::Csv, "id,note\n"),
        (Format::JsonLines, ""),
        (Format::Json, "[\n]\n"),
    ] {
        let rendering = renderer.open(version.clone(), format).await.unwrap();
        assert_eq!(rendering.read(0, 100).await.unwrap(), text);
        assert_eq!(rendering.read(1, 1).await.unwrap(), text.get(1..2).unwrap_or_default());
        assert_eq!(rendering.row_of_offset(0).await.unwrap(), None);
        assert_eq!(rendering.place(0).await.unwrap_err().kind, Kind::Invalid);
    }
}

#[tokio::test]
async fn header_and_footer_are_no_rows() {
    let setting = Setting::new(FakeLake::default());
    let file = setting.lake.add("a", 10);
    let renderer = setting.renderer();
    let rendering = renderer
        .open(FakeLake::version(0, &[file]), Format::Json)
        .await
        .unwrap();
    assert_eq!(rendering.header().as_ref(), b"[\n");
    assert_eq!(rendering.row_of_offset(1).await.unwrap(), None);
    assert_eq!(rendering.row_of_offset(2).await.unwrap(), Some(0));
    assert_eq!(rendering.row_of_offset(rendering.size() - 3).await.unwrap(), Some(9));
    assert_eq!(rendering.row_of_offset(rendering.size() - 2).await.unwrap(), None);
    assert_eq!(rendering.row_of_offset(u64::MAX).await.unwrap(), None);
    assert!(rendering.places(&[3, 2]).await.is_err());
}
