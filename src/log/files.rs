//! The live files of a version: a list that the next version shares but for what its commit changed.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{concat, filter};
use chrono::Utc;
use deltalake_core::kernel::{Add, DeletionVectorDescriptor, Remove};
use hashbrown::HashTable;
use parking_lot::Mutex;
use roaring::RoaringTreemap;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Result;

/// From how many changes on a list is written anew, as a share of the whole.
const SHARE: usize = 8;
/// Changes that are always kept beside the list.
const FEW: usize = 1024;
/// The bytes that the columns of one list may take.
const COLUMN_BYTES: usize = 64 << 20;

/// A data file of a version, with what the log says of it.
#[derive(Debug)]
pub(crate) struct DataFile {
    /// The action that the file stands by.
    pub(crate) add: Add,
    statistics: OnceLock<Map<String, Value>>,
    /// The rows in the file, where they could be told without parsing the statistics.
    records: Option<u64>,
    /// The rows that the deletion vector hides, once they were read.
    pub(crate) hidden: OnceLock<Arc<RoaringTreemap>>,
}

/// What tells two states of a file apart: its path and its deletion vector (Delta protocol, "Action Reconciliation").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileKey {
    pub(crate) path: String,
    /// The unique id of the deletion vector.
    pub(crate) vector: Option<String>,
}

impl FileKey {
    pub(crate) fn new(path: &str, vector: Option<&DeletionVectorDescriptor>) -> Self {
        Self {
            path: path.to_string(),
            vector: vector.map(vector_id),
        }
    }

    pub(crate) fn of_remove(remove: &Remove) -> Self {
        Self::new(&remove.path, remove.deletion_vector.as_ref())
    }
}

/// The unique id of a deletion vector (Delta protocol, "Deletion Vector Descriptor Schema", derived fields).
fn vector_id(vector: &DeletionVectorDescriptor) -> String {
    let kind = vector.storage_type.as_ref();
    match vector.offset {
        Some(offset) => format!("{kind}{}@{offset}", vector.path_or_inline_dv),
        None => format!("{kind}{}", vector.path_or_inline_dv),
    }
}

/// The action that takes a file away.
pub(crate) fn remove(add: &Add, data_change: bool) -> Remove {
    Remove {
        path: add.path.clone(),
        data_change,
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        extended_file_metadata: Some(true),
        partition_values: Some(add.partition_values.clone()),
        size: Some(add.size),
        deletion_vector: add.deletion_vector.clone(),
        tags: add.tags.clone(),
        base_row_id: add.base_row_id,
        default_row_commit_version: add.default_row_commit_version,
    }
}

/// The tag of a file that was written anew in the place of another: where that one stood among the table's files.
const POSITION: &str = "posixlake.position";

/// A file's statistics, of which only the count is read.
#[derive(Deserialize)]
struct Counted {
    #[serde(rename = "numRecords")]
    records: Option<u64>,
}

impl DataFile {
    /// Where the file's rows stand among those of other files: texts that sort in that order. Files that come later stand behind, unless they were written
    /// in the place of another.
    pub(crate) fn position(&self) -> String {
        let tag = self
            .add
            .tags
            .as_ref()
            .and_then(|tags| tags.get(POSITION))
            .cloned()
            .flatten();
        tag.unwrap_or_else(|| format!("{:020} {}", self.add.modification_time.max(0), self.add.path))
    }

    /// Tags of a file that takes this one's place.
    pub(crate) fn successor_tags(&self) -> Option<HashMap<String, Option<String>>> {
        Some(HashMap::from([(POSITION.to_string(), Some(self.position()))]))
    }

    pub(crate) fn new(add: Add) -> Self {
        Self {
            records: add.stats.as_deref().and_then(leading_records),
            add,
            statistics: OnceLock::new(),
            hidden: OnceLock::new(),
        }
    }

    pub(crate) fn key(&self) -> FileKey {
        FileKey::new(&self.add.path, self.add.deletion_vector.as_ref())
    }

    /// The statistics as the log has them (Delta protocol, "Per-file Statistics"); empty where it has none that can be read.
    pub(crate) fn statistics(&self) -> &Map<String, Value> {
        self.statistics.get_or_init(|| {
            let parsed = self.add.stats.as_deref().map(serde_json::from_str);
            match parsed {
                Some(Ok(Value::Object(statistics))) => statistics,
                _ => Map::new(),
            }
        })
    }

    /// The rows in the file, deleted ones included.
    pub(crate) fn records(&self) -> Option<u64> {
        if let Some(statistics) = self.statistics.get() {
            return self
                .records
                .or_else(|| statistics.get("numRecords").and_then(Value::as_u64));
        }
        // Of 100,000 files one often wants the count alone: the bounds beside it are not made into values for it.
        let counted = || {
            serde_json::from_str::<Counted>(self.add.stats.as_deref()?)
                .ok()?
                .records
        };
        self.records.or_else(counted)
    }

    /// The rows that the file's deletion vector hides.
    pub(crate) fn deleted(&self) -> u64 {
        let vector = self.add.deletion_vector.as_ref();
        vector.map_or(0, |vector| u64::try_from(vector.cardinality).unwrap_or_default())
    }

    /// The rows that a query sees.
    pub(crate) fn live_records(&self) -> Option<u64> {
        self.records().map(|records| records.saturating_sub(self.deleted()))
    }

    /// The action that takes the file away.
    pub(crate) fn remove(&self, data_change: bool) -> Remove {
        remove(&self.add, data_change)
    }

    /// The file's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        u64::try_from(self.add.size).unwrap_or_default()
    }
}

/// The number of rows, where statistics begin with it, as most writers have it.
fn leading_records(statistics: &str) -> Option<u64> {
    let rest = statistics.strip_prefix("{\"numRecords\":")?;
    let end = rest.find([',', '}'])?;
    rest.get(..end)?.parse().ok()
}

/// The live files of one version.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    base: Arc<Base>,
    /// Places in the base that are gone.
    gone: Arc<HashSet<usize>>,
    /// Files that came since, oldest first.
    added: Arc<Vec<Arc<DataFile>>>,
}

#[derive(Debug, Default)]
struct Base {
    files: Vec<Arc<DataFile>>,
    places: OnceLock<Places>,
    bytes: OnceLock<u64>,
    /// Values of each file, by what they are.
    columns: Mutex<HashMap<String, ArrayRef>>,
}

/// Where files stand in a list. Tables have many files, so their keys are not written down once more.
#[derive(Debug)]
struct Places {
    hasher: RandomState,
    table: HashTable<usize>,
}

impl Places {
    fn of(files: &[Arc<DataFile>]) -> Self {
        let hasher = RandomState::new();
        let mut table = HashTable::with_capacity(files.len());
        for (place, file) in files.iter().enumerate() {
            let again = |place: &usize| hasher.hash_one(files.get(*place).map_or("", |file| &file.add.path));
            table.insert_unique(hasher.hash_one(file.add.path.as_str()), place, again);
        }
        Self { hasher, table }
    }

    fn get(&self, files: &[Arc<DataFile>], key: &FileKey) -> Option<usize> {
        let hash = self.hasher.hash_one(key.path.as_str());
        let is_it = |place: &usize| {
            let file = files.get(*place);
            file.is_some_and(|file| file.add.path == key.path && file.key() == *key)
        };
        self.table.find(hash, is_it).copied()
    }
}

impl Base {
    fn new(files: Vec<Arc<DataFile>>) -> Self {
        Self {
            files,
            ..Self::default()
        }
    }

    fn place(&self, key: &FileKey) -> Option<usize> {
        let places = self.places.get_or_init(|| Places::of(&self.files));
        places.get(&self.files, key)
    }

    fn bytes(&self) -> u64 {
        *self
            .bytes
            .get_or_init(|| self.files.iter().map(|file| file.size()).sum())
    }

    /// The columns of these names; what is missing is made in one go.
    fn columns(&self, names: &[String], make: &MakeColumns<'_>) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<Option<ArrayRef>> = {
            let known = self.columns.lock();
            names.iter().map(|name| known.get(name).cloned()).collect()
        };
        let missing: Vec<usize> = (0..names.len())
            .filter(|place| columns.get(*place).is_some_and(Option::is_none))
            .collect();
        if !missing.is_empty() {
            let made = make(&missing, &self.files)?;
            let mut known = self.columns.lock();
            let held: usize = known
                .values()
                .chain(&made)
                .map(|column| column.get_array_memory_size())
                .sum();
            if held > COLUMN_BYTES {
                known.clear();
            }
            for (place, column) in missing.into_iter().zip(made) {
                if let (Some(name), Some(slot)) = (names.get(place), columns.get_mut(place)) {
                    known.insert(name.clone(), column.clone());
                    *slot = Some(column);
                }
            }
        }
        Ok(columns.into_iter().flatten().collect())
    }
}

/// Makes some of the columns that are wanted, by their places among these, of a list of files.
pub(crate) type MakeColumns<'a> = dyn Fn(&[usize], &[Arc<DataFile>]) -> Result<Vec<ArrayRef>> + 'a;

impl Files {
    pub(crate) fn new(files: Vec<Arc<DataFile>>) -> Self {
        Self {
            base: Arc::new(Base::new(files)),
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.base.files.len() - self.gone.len() + self.added.len()
    }

    /// The files, in the order in which they came into the log as far as it is known.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        let base = self.base.files.iter().enumerate();
        base.filter(|(place, _)| !self.gone.contains(place))
            .map(|(_, file)| file)
            .chain(self.added.iter())
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let gone = self.gone.iter().filter_map(|place| self.base.files.get(*place));
        let added: u64 = self.added.iter().map(|file| file.size()).sum();
        self.base.bytes() + added - gone.map(|file| file.size()).sum::<u64>()
    }

    /// Columns with a value for each file, in the order of [`Files::iter`]. What versions share of them is made once, as long
    /// as it is not more than memory should hold.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn columns(&self, names: &[String], make: &MakeColumns<'_>) -> Result<Vec<ArrayRef>> {
        let mut columns = self.base.columns(names, make)?;
        if !self.gone.is_empty() {
            let places = 0..self.base.files.len();
            let stays: BooleanArray = places.map(|place| Some(!self.gone.contains(&place))).collect();
            for column in &mut columns {
                *column = filter(column, &stays)?;
            }
        }
        if !self.added.is_empty() {
            let all: Vec<usize> = (0..names.len()).collect();
            for (column, added) in columns.iter_mut().zip(make(&all, &self.added)?) {
                *column = concat(&[column.as_ref(), added.as_ref()])?;
            }
        }
        Ok(columns)
    }

    /// The files after commits that removed and added some. A file that is added again replaces what stood under its key.
    pub(crate) fn after(&self, removed: &HashSet<FileKey>, added: Vec<Arc<DataFile>>) -> Self {
        let mut gone = self.gone.as_ref().clone();
        let mut kept: Vec<Arc<DataFile>> = self.added.as_ref().clone();
        let again: HashSet<FileKey> = added.iter().map(|file| file.key()).collect();
        let ending = || removed.iter().chain(&again);
        gone.extend(ending().filter_map(|key| self.base.place(key)));
        let paths: HashSet<&str> = ending().map(|key| key.path.as_str()).collect();
        kept.retain(|file| {
            // A key is made only where it can be one of those that end.
            let ends = || {
                let key = file.key();
                removed.contains(&key) || again.contains(&key)
            };
            !paths.contains(file.add.path.as_str()) || !ends()
        });
        kept.extend(added);
        let next = Self {
            base: self.base.clone(),
            gone: Arc::new(gone),
            added: Arc::new(kept),
        };
        if next.gone.len() + next.added.len() > FEW + next.base.files.len() / SHARE {
            Self::new(next.iter().cloned().collect())
        } else {
            next
        }
    }
}
