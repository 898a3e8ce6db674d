//! What an optimization did, as its result and the table's history say it.

use std::collections::{BTreeMap, BTreeSet};

use deltalake_core::kernel::Add;
use serde_json::{Value, json};

use super::bins::{Bin, Partition};

/// Sums over all that was committed.
#[derive(Debug, Default, Clone)]
pub(super) struct Report {
    added: Vec<i64>,
    removed: Vec<i64>,
    vectors_removed: u64,
    partitions: BTreeSet<Partition>,
    batches: u64,
    /// The files that were looked at.
    pub(super) considered: usize,
}

impl Report {
    /// Takes note of a bin that was written anew.
    pub(super) fn note(&mut self, bin: &Bin, adds: &[Add], batches: u64) {
        self.added.extend(adds.iter().map(|add| add.size));
        self.removed.extend(bin.files.iter().map(|file| file.add.size));
        self.vectors_removed += bin.files.iter().filter(|file| file.deleted() > 0).count() as u64;
        self.partitions.insert(bin.partition.clone());
        self.batches += batches;
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.added.extend(other.added);
        self.removed.extend(other.removed);
        self.vectors_removed += other.vectors_removed;
        self.partitions.extend(other.partitions);
        self.batches += other.batches;
    }

    /// The result's metrics, named as Databricks names them.
    pub(super) fn metrics(&self) -> Value {
        fn summary(sizes: &[i64]) -> Value {
            let total: i64 = sizes.iter().sum();
            json!({
                "min": sizes.iter().min().copied().unwrap_or_default(),
                "max": sizes.iter().max().copied().unwrap_or_default(),
                "avg": if sizes.is_empty() { 0.0 } else { total as f64 / sizes.len() as f64 },
                "totalFiles": sizes.len(),
                "totalSize": total,
            })
        }
        json!({
            "numFilesAdded": self.added.len(),
            "numFilesRemoved": self.removed.len(),
            "filesAdded": summary(&self.added),
            "filesRemoved": summary(&self.removed),
            "partitionsOptimized": self.partitions.len(),
            "numBatches": self.batches,
            "totalConsideredFiles": self.considered,
            "totalFilesSkipped": self.considered.saturating_sub(self.removed.len()),
        })
    }

    /// The metrics that Spark writes into the history.
    pub(super) fn history(&self) -> BTreeMap<String, String> {
        let metrics = [
            ("numRemovedFiles", self.removed.len().to_string()),
            ("numRemovedBytes", self.removed.iter().sum::<i64>().to_string()),
            ("numAddedFiles", self.added.len().to_string()),
            ("numAddedBytes", self.added.iter().sum::<i64>().to_string()),
            (
                "minFileSize",
                self.added.iter().min().copied().unwrap_or_default().to_string(),
            ),
            (
                "maxFileSize",
                self.added.iter().max().copied().unwrap_or_default().to_string(),
            ),
            ("numDeletionVectorsRemoved", self.vectors_removed.to_string()),
        ];
        metrics.map(|(name, value)| (name.to_string(), value)).into()
    }
}
