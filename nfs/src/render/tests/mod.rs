//! Renderings of a lake in memory against the same rows written at once.

mod cache;
mod fake;
mod reading;

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::text::RowWriter;
use super::{Format, Options, Renderer};
use crate::lake::{DataFile, Version};
use fake::FakeLake;

const FORMATS: [Format; 3] = [Format::Csv, Format::JsonLines, Format::Json];

struct Setting {
    lake: Arc<FakeLake>,
    folder: TempDir,
}

impl Setting {
    fn new(lake: FakeLake) -> Self {
        Self {
            lake: Arc::new(lake),
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn renderer(&self) -> Renderer {
        self.renderer_with(&Options::default())
    }

    fn renderer_with(&self, options: &Options) -> Renderer {
        let lake = Arc::clone(&self.lake);
        Renderer::new(lake, self.folder.path().into(), options).unwrap()
    }

    /// What the whole rendering must be.
    fn expected(&self, version: &Version, format: Format) -> Vec<u8> {
        let mut rows = Vec::new();
        let writer = RowWriter::new(Arc::clone(&version.schema), format);
        for file in &version.files {
            let (_, batch) = self.lake.live(file, 0..file.rows);
            writer.write(&batch, 0, 0..batch.num_rows(), &mut rows).unwrap();
        }
        match format {
            Format::Csv => [b"id,note\n".to_vec(), rows].concat(),
            Format::JsonLines => rows,
            Format::Json => {
                let lines = String::from_utf8(rows).unwrap();
                let lines: Vec<&str> = lines.lines().collect();
                let end = if lines.is_empty() { "" } else { "\n" };
                format!("[\n{}{end}]\n", lines.join(",\n")).into_bytes()
            }
        }
    }

    /// The file and place of each live row.
    fn places(&self, files: &[DataFile]) -> Vec<(usize, u64)> {
        let of_file = |(at, file): (usize, &DataFile)| {
            let (places, _) = self.lake.live(file, 0..file.rows);
            places.into_iter().map(move |place| (at, place))
        };
        files.iter().enumerate().flat_map(of_file).collect()
    }
}
