//! A bounded map that forgets what was not used for longest.

use std::collections::HashMap;

/// Values by inode.
pub(super) struct Cache<V> {
    entries: HashMap<u64, (V, u64)>,
    capacity: usize,
    tick: u64,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity: capacity.max(1),
            tick: 0,
        }
    }

    pub(super) fn get(&mut self, inode: u64) -> Option<V> {
        self.tick += 1;
        let (value, used) = self.entries.get_mut(&inode)?;
        *used = self.tick;
        Some(value.clone())
    }

    /// Keeps `value`, and returns what had to go for it.
    pub(super) fn insert(&mut self, inode: u64, value: V) -> Option<(u64, V)> {
        self.tick += 1;
        let mut gone = None;
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&inode) {
            // A scan of some hundred entries costs less than the open that made the caller come here.
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(inode, _)| *inode) {
                gone = self.entries.remove(&oldest).map(|(value, _)| (oldest, value));
            }
        }
        self.entries.insert(inode, (value, self.tick));
        gone
    }

    pub(super) fn remove(&mut self, inode: u64) -> Option<V> {
        self.entries.remove(&inode).map(|(value, _)| value)
    }
}
