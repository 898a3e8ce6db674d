//! How long a comparison takes: `diff [records] [edit]`, where `edit` is `remove` (10,000 records scattered over the text), `change`
//! (every tenth record), `half` (every second one), `head` (the first third is gone), `all` (every record) or `shuffle`.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use posixlake_nfs::diff::{FilePieces, Format, NewText, Options, Order, Records, diff};

fn record(out: &mut impl Write, number: u64, edited: u64) {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    writeln!(
        out,
        "{number},name{},{}.{:02}",
        mixed >> 44,
        edited + mixed % 100_000,
        mixed % 97
    )
    .unwrap();
}

fn pieces(mut file: File) -> impl Iterator<Item = posixlake_nfs::lake::Result<Bytes>> + Send {
    std::iter::from_fn(move || {
        let mut piece = vec![0; 256 * 1024];
        let read = file.read(&mut piece).unwrap();
        piece.truncate(read);
        (read > 0).then(|| Ok(Bytes::from(piece)))
    })
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("VmHWM: ?")
        .to_owned()
}

/// Time in seconds by the clock, and what this process computed meanwhile: they differ on a busy machine.
struct Timer(Instant, f64);

impl Timer {
    fn start() -> Self {
        Self(Instant::now(), Self::computed())
    }

    /// User and system time so far, from ticks of which Linux has a hundred in a second.
    fn computed() -> f64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let ticks = stat
            .split(' ')
            .skip(13)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok());
        ticks.sum::<f64>() / 100.0
    }
}

impl std::fmt::Display for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} s ({:.2} s of a core)",
            self.0.elapsed().as_secs_f64(),
            Self::computed() - self.1
        )
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let records: u64 = arguments.get(1).map_or(1_000_000, |text| text.parse().unwrap());
    let edit = arguments.get(2).map_or("remove", String::as_str);
    let every = (records / 10_000).max(2);
    let mut base = BufWriter::new(tempfile::tempfile().unwrap());
    let mut new = BufWriter::new(tempfile::tempfile().unwrap());
    for number in 0..records {
        record(&mut base, number, 0);
        match edit {
            "remove" if number % every == 1 => {}
            "head" if number < records / 3 => {}
            "change" => record(&mut new, number, u64::from(number % 10 == 1)),
            "half" => record(&mut new, number, number % 2),
            "all" => record(&mut new, number, 1),
            // Any odd number that does not share a factor goes through all of them.
            "shuffle" => record(&mut new, number * 7_368_787 % records, 0),
            _ => record(&mut new, number, 0),
        }
    }
    let mut base = base.into_inner().unwrap();
    let new = Arc::new(new.into_inner().unwrap());
    base.rewind().unwrap();
    let size = base.metadata().unwrap().len();
    println!("{records} records, {:.2} GB, {edit}", size as f64 / 1e9);

    let start = Timer::start();
    let end = new.metadata().unwrap().len();
    let mut split = Records::new(FilePieces::new(Arc::clone(&new), 0, end), Format::Csv, 0, 1, 1 << 20);
    let mut count = 0;
    while split.advance().unwrap().is_some() {
        count += 1;
    }
    println!("splitting: {count} records in {start}");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let text = NewText {
        file: new,
        format: Format::Csv,
        start: 0,
        end,
        line: 1,
        order: Order::Same,
        skip_blank: true,
    };
    let options = Options {
        base_size: Some(size),
        ..Options::default()
    };
    let start = Timer::start();
    let changes = runtime
        .block_on(diff(futures::stream::iter(pieces(base)), text, options))
        .unwrap();
    println!("diff: {start}, {:?}, {}", changes.counts(), peak_memory());
    let start = Timer::start();
    let mut walk = changes.walk();
    let (mut found, mut bytes) = (0, 0);
    while walk.advance().unwrap().is_some() {
        found += 1;
        bytes += walk.text().len();
    }
    println!("walk: {start}, {found} changes, {bytes} bytes of new records");
}
