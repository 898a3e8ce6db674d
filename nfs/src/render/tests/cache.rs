//! What is kept, what a commit costs, and what a damaged cache does: nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::FakeLake;
use super::{FORMATS, Setting};
use crate::lake::{Kind, Version};
use crate::render::{CHUNK_ROWS, Format, Options, Renderer};

async fn whole(renderer: &Renderer, version: &Arc<Version>, format: Format) -> Vec<u8> {
    let rendering = renderer.open(Arc::clone(version), format).await.unwrap();
    let text = rendering.read(0, usize::MAX).await.unwrap();
    assert_eq!(text.len() as u64, rendering.size());
    text.to_vec()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_costs_nothing() {
    let setting = Setting::new(FakeLake::default());
    let large = setting.lake.add("large", 3 * CHUNK_ROWS);
    let holed = setting.lake.hide(&setting.lake.add("holed", 40_000), "v", [5, 39_999]);
    let small = setting.lake.add("small", 3);
    let version = FakeLake::version(7, &[large, holed, small]);
    let renderer = setting.renderer();
    for format in FORMATS {
        assert_eq!(
            whole(&renderer, &version, format).await,
            setting.expected(&version, format)
        );
    }
    // CSV and lines; the array is made of the lines.
    assert_eq!(renderer.statistics().rendered_chunks, 2 * 6);
    assert_eq!(renderer.statistics().misses, 0);
    drop(renderer);
    let calls = setting.lake.text_calls.load(Ordering::Relaxed);
    let renderer = setting.renderer();
    assert!(renderer.opened(&version, Format::Csv).is_none());
    for format in FORMATS {
        assert_eq!(
            whole(&renderer, &version, format).await,
            setting.expected(&version, format)
        );
    }
    assert_eq!(setting.lake.text_calls.load(Ordering::Relaxed), calls);
    assert_eq!(setting.lake.place_calls.load(Ordering::Relaxed), 0);
    let statistics = renderer.statistics();
    assert_eq!((statistics.rendered_chunks, statistics.indexes_built), (0, 0));
    assert_eq!(statistics.indexes_on_disk, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_costs_what_it_changed() {
    let setting = Setting::new(FakeLake::default());
    let renderer = setting.renderer();
    let rendered = || renderer.statistics().rendered_chunks;
    let file = setting.lake.add("first", 4 * CHUNK_ROWS);
    let check = async |number, files: &[_]| {
        let before = rendered();
        let version = FakeLake::version(number, files);
        assert_eq!(
            whole(&renderer, &version, Format::Csv).await,
            setting.expected(&version, Format::Csv)
        );
        rendered() - before
    };
    assert_eq!(check(0, std::slice::from_ref(&file)).await, 4);
    let appended = setting.lake.add("second", 10);
    assert_eq!(check(1, &[file.clone(), appended.clone()]).await, 1);
    // One row of one chunk is deleted, then one of another.
    let one = setting.lake.hide(&file, "one", [CHUNK_ROWS + 1]);
    assert_eq!(check(2, &[one.clone(), appended.clone()]).await, 1);
    let two = setting.lake.hide(&file, "two", [CHUNK_ROWS + 1, 3 * CHUNK_ROWS]);
    assert_eq!(check(3, &[two, appended.clone()]).await, 1);
    // A vector with another name that hides the same; the file as it was; an older version.
    let same = setting.lake.hide(&file, "same", [CHUNK_ROWS + 1]);
    assert_eq!(check(4, &[same, appended.clone()]).await, 0);
    assert_eq!(check(5, std::slice::from_ref(&file)).await, 0);
    assert_eq!(check(2, &[one, appended]).await, 0);
    let nothing = setting.lake.hide(&file, "nothing", []);
    assert_eq!(check(6, &[nothing]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_columns_are_other_texts() {
    let setting = Setting::new(FakeLake::default());
    let renderer = setting.renderer();
    let version = FakeLake::version(0, &[setting.lake.add("a", 1_000)]);
    whole(&renderer, &version, Format::Csv).await;
    let mut renamed = version.as_ref().clone();
    let fields: Vec<_> = renamed
        .schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_name(format!("{}2", field.name())))
        .collect();
    renamed.schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let text = whole(&renderer, &Arc::new(renamed), Format::JsonLines).await;
    assert!(text.starts_with(b"{\"id2\":"));
    assert_eq!(renderer.statistics().indexes_built, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_cache_is_made_anew() {
    let setting = Setting::new(FakeLake::default());
    let file = setting.lake.add("a", 2 * CHUNK_ROWS);
    let version = FakeLake::version(0, &[file, setting.lake.add("b", 5)]);
    let expected = setting.expected(&version, Format::Csv);
    let damages: [fn(&Path); 4] = [
        |path| fs::write(path, b"").unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        assert_eq!(whole(&setting.renderer(), &version, Format::Csv).await, expected);
        let files = files_below(setting.path());
        assert_eq!(files.len(), 4, "two indexes, two texts");
        files.iter().for_each(|path| damage(path));
        let renderer = setting.renderer();
        assert_eq!(whole(&renderer, &version, Format::Csv).await, expected);
        assert_eq!(renderer.statistics().rendered_chunks, 3);
    }
    // All files one another's.
    let files = files_below(setting.path());
    let contents: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, content) in files.iter().zip(contents.iter().cycle().skip(1)) {
        fs::write(path, content).unwrap();
    }
    assert_eq!(whole(&setting.renderer(), &version, Format::Csv).await, expected);
    // The folder goes while it is in use.
    let renderer = setting.renderer_with(&Options {
        memory: 0,
        index_memory: 0,
        ..Options::default()
    });
    let rendering = renderer.open(version, Format::Csv).await.unwrap();
    fs::remove_dir_all(setting.path()).unwrap();
    assert_eq!(rendering.read(0, usize::MAX).await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold() {
    let setting = Setting::new(FakeLake::default());
    let files: Vec<_> = (0..6).map(|n| setting.lake.add(&format!("f{n}"), CHUNK_ROWS)).collect();
    let version = FakeLake::version(0, &files);
    let options = Options {
        disk: 3 << 20,
        memory: 2 << 20,
        ..Options::default()
    };
    let renderer = setting.renderer_with(&options);
    let expected = setting.expected(&version, Format::Csv);
    for _ in 0..2 {
        assert_eq!(whole(&renderer, &version, Format::Csv).await, expected);
        let statistics = renderer.statistics();
        assert!(statistics.bytes_on_disk <= options.disk && statistics.bytes_in_memory <= options.memory);
        assert!(statistics.blocks_on_disk > 0 && statistics.blocks_in_memory > 0);
    }
    assert!(renderer.statistics().misses > 0);
    let on_disk: u64 = files_below(&setting.path().join("blocks"))
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(on_disk <= options.disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_thing_is_made_once() {
    let setting = Setting::new(FakeLake {
        delay: Duration::from_millis(100),
        ..FakeLake::default()
    });
    let version = FakeLake::version(0, &[setting.lake.add("a", CHUNK_ROWS)]);
    let renderer = Arc::new(setting.renderer_with(&Options {
        disk: 0,
        ..Options::default()
    }));
    let opens: Vec<_> = (0..10)
        .map(|_| {
            let (renderer, version) = (Arc::clone(&renderer), Arc::clone(&version));
            tokio::spawn(async move { renderer.open(version, Format::Csv).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let progress = renderer.progress(&version, Format::Csv).unwrap();
    assert_eq!(progress.rows(), (CHUNK_ROWS, 0));
    assert!(renderer.opened(&version, Format::Csv).is_none());
    let mut rendering = None;
    for open in opens {
        rendering = Some(open.await.unwrap());
    }
    let rendering = rendering.unwrap();
    assert_eq!(setting.lake.text_calls.load(Ordering::Relaxed), 1);
    assert_eq!(progress.rows(), (CHUNK_ROWS, CHUNK_ROWS));
    assert!(renderer.progress(&version, Format::Csv).is_none());
    assert!(
        renderer
            .opened(&version, Format::Csv)
            .is_some_and(|opened| opened.size() == rendering.size())
    );
    let reads = (0..10).map(|n| {
        let rendering = Arc::clone(&rendering);
        tokio::spawn(async move { rendering.read(n * 1_000, 1_000).await.unwrap() })
    });
    for read in reads.collect::<Vec<_>>() {
        assert_eq!(read.await.unwrap().len(), 1_000);
    }
    assert_eq!(setting.lake.text_calls.load(Ordering::Relaxed), 2);
    assert_eq!(renderer.statistics().misses, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_the_caller_gives_up() {
    let setting = Setting::new(FakeLake {
        delay: Duration::from_millis(50),
        ..FakeLake::default()
    });
    let version = FakeLake::version(0, &[setting.lake.add("a", 10)]);
    let renderer = setting.renderer();
    let open = renderer.open(Arc::clone(&version), Format::Csv);
    assert!(tokio::time::timeout(Duration::from_millis(1), open).await.is_err());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(renderer.opened(&version, Format::Csv).is_some());
    assert_eq!(setting.lake.text_calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_chunks_are_made_ahead() {
    let setting = Setting::new(FakeLake::default());
    let version = FakeLake::version(0, &[setting.lake.add("a", 5 * CHUNK_ROWS)]);
    let renderer = setting.renderer_with(&Options {
        disk: 0,
        ..Options::default()
    });
    let rendering = renderer.open(version, Format::Csv).await.unwrap();
    let piece = rendering.size() / 20;
    rendering.read(0, 100).await.unwrap();
    assert_eq!(renderer.statistics().misses, 1);
    for n in 0..4 {
        rendering.read(n * piece, piece as usize).await.unwrap();
    }
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if renderer.statistics().misses == 3 {
            break;
        }
    }
    assert_eq!(renderer.statistics().misses, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_lake_come_through_and_pass() {
    let setting = Setting::new(FakeLake::default());
    let file = setting.lake.add("a", 10);
    let mut gone = file.clone();
    gone.path = "gone".into();
    let renderer = setting.renderer();
    let version = FakeLake::version(0, &[gone]);
    let error = renderer.open(Arc::clone(&version), Format::Csv).await.err().unwrap();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(renderer.progress(&version, Format::Csv).is_none());
    setting.lake.add("gone", 10);
    assert!(renderer.open(version, Format::Csv).await.is_ok());
    // A log that tells of more rows than there are.
    let hidden = setting.lake.hide(&file, "v", [3]);
    let lying = crate::lake::DataFile { vector: None, ..hidden };
    setting.lake.add("a", 9);
    let error = renderer
        .open(FakeLake::version(1, &[lying]), Format::Csv)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, Kind::Internal);
}
