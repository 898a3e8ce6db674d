//! Which files are written together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::log::DataFile;

/// The share of deleted rows from which on a file is rewritten even alone.
const DELETED_SHARE: f64 = 0.05;
/// The share of the target size from which on a file is large enough: to add a few rows to it would cost its whole size.
const LARGE_SHARE: f64 = 0.75;

/// Partition values by column, in the columns' order.
pub(super) type Partition = Vec<(String, Option<String>)>;

/// Files of one partition whose rows are written anew, together.
#[derive(Debug, Clone)]
pub(super) struct Bin {
    pub(super) partition: Partition,
    pub(super) files: Vec<Arc<DataFile>>,
}

impl Bin {
    /// The rows that a query sees, where the log tells.
    pub(super) fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.live_records()).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size()).sum()
    }
}

/// What an optimization is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// Few files of the target size. `keeps_deleted`: files that hide few rows may stay.
    Compact { keeps_deleted: bool },
    /// No file that hides rows.
    Purge,
    /// Rows in the order of a curve: all files of a partition are written anew.
    Sort,
}

/// The bins of files, those of each partition in the order in which their files came.
pub(super) fn bins(files: Vec<Arc<DataFile>>, target: u64, aim: Aim) -> Vec<Bin> {
    let mut partitions: BTreeMap<Partition, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        let mut key: Partition = file.add.partition_values.clone().into_iter().collect();
        key.sort();
        partitions.entry(key).or_default().push(file);
    }
    let mut all = Vec::new();
    for (partition, mut files) in partitions {
        // Rows that came together are likely to be read together.
        files.sort_by(|a, b| (a.add.modification_time, &a.add.path).cmp(&(b.add.modification_time, &b.add.path)));
        let packed = match aim {
            Aim::Sort => vec![files],
            Aim::Purge => {
                files.retain(|file| file.deleted() > 0);
                packed(files, target, |file| file.deleted() > 0)
            }
            Aim::Compact { keeps_deleted } => {
                let hollow = |file: &DataFile| is_hollow(file, keeps_deleted);
                files.retain(|file| (file.size() as f64) < target as f64 * LARGE_SHARE || hollow(file));
                packed(files, target, hollow)
            }
        };
        all.extend(packed.into_iter().map(|files| Bin {
            partition: partition.clone(),
            files,
        }));
    }
    all
}

/// Whether so many rows of a file are hidden that it is worth while to write the others anew.
fn is_hollow(file: &DataFile, keeps_deleted: bool) -> bool {
    match file.records() {
        Some(records) if records > 0 && keeps_deleted => file.deleted() as f64 / records as f64 > DELETED_SHARE,
        _ => file.deleted() > 0,
    }
}

/// Files packed into bins of the target size, without those of one file that need not be written anew by itself.
///
/// Large files choose their bins first, and others fill the room that is left; each takes the first bin that has room for
/// it, so that files of like size which came together stay together.
fn packed(files: Vec<Arc<DataFile>>, target: u64, alone: impl Fn(&DataFile) -> bool) -> Vec<Vec<Arc<DataFile>>> {
    // What a file will take: hidden rows are not written.
    let size = |file: &DataFile| match (file.live_records(), file.records()) {
        (Some(live), Some(records)) if live < records => {
            (file.size() as f64 * live as f64 / records as f64).ceil() as u64
        }
        _ => file.size(),
    };
    let mut by_size: Vec<(usize, u64)> = files.iter().map(|file| size(file)).enumerate().collect();
    // In classes, within which the order stays.
    let class = |size: u64| (size.saturating_mul(8) / target.max(1)).min(8);
    by_size.sort_by_key(|(_, size)| std::cmp::Reverse(class(*size)));
    let least = by_size.iter().map(|(_, size)| *size).min().unwrap_or_default().max(1);
    let mut bins: Vec<(u64, Vec<usize>)> = Vec::new();
    let mut first_open = 0;
    for (place, size) in by_size {
        // Bins at the front fill up first: to look at them for each of many files would take long.
        while bins
            .get(first_open)
            .is_some_and(|(filled, _)| filled.saturating_add(least) > target)
        {
            first_open += 1;
        }
        let open = bins.iter_mut().skip(first_open);
        match open
            .into_iter()
            .find(|(filled, _)| filled.saturating_add(size) <= target)
        {
            Some((filled, places)) => {
                *filled += size;
                places.push(place);
            }
            None => bins.push((size, vec![place])),
        }
    }
    for (_, places) in &mut bins {
        places.sort_unstable();
    }
    bins.sort_by(|(_, a), (_, b)| a.cmp(b));
    let file = |place: &usize| files.get(*place).cloned();
    let bins = bins.iter().map(|(_, places)| places.iter().filter_map(file).collect());
    bins.filter(|bin: &Vec<Arc<DataFile>>| bin.len() > 1 || bin.iter().any(|file| alone(file)))
        .collect()
}

#[cfg(test)]
mod tests {
    use deltalake_core::kernel::Add;

    use super::*;

    fn sizes(files: &[i64], target: u64) -> Vec<Vec<i64>> {
        let file = |(place, size): (usize, &i64)| {
            Arc::new(DataFile::new(Add {
                path: format!("{place:03}"),
                size: *size,
                ..Add::default()
            }))
        };
        let files = files.iter().enumerate().map(file).collect();
        let bins = bins(files, target, Aim::Compact { keeps_deleted: true });
        let sizes = |bin: &Bin| bin.files.iter().map(|file| file.add.size).collect();
        bins.iter().map(sizes).collect()
    }

    #[test]
    fn bins_are_filled_from_anywhere() {
        assert_eq!(sizes(&[60, 70, 40, 30], 100), [vec![60, 40], vec![70, 30]]);
        assert_eq!(sizes(&[10, 200, 10], 100), [vec![10, 10]]);
        assert_eq!(sizes(&[10, 80], 100), Vec::<Vec<i64>>::new());
        assert_eq!(sizes(&[10], 100), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn files_of_like_size_stay_in_their_order() {
        assert_eq!(sizes(&[9; 13], 50), [vec![9; 5], vec![9; 5], vec![9; 3]]);
        assert_eq!(sizes(&[3, 4, 5, 1, 2, 6], 8), [vec![3, 5], vec![4, 1, 2]]);
    }
}
