//! What was used last, up to a limit of costs.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    cost: u64,
    used: u64,
}

/// A map that drops what was used longest ago when the costs of its entries go beyond a limit.
#[derive(Debug)]
pub struct Lru<K, V> {
    entries: HashMap<K, Entry<V>>,
    by_use: BTreeMap<u64, K>,
    clock: u64,
    cost: u64,
    limit: u64,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    /// An empty map.
    pub fn new(limit: u64) -> Self {
        Self {
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            cost: 0,
            limit,
        }
    }

    /// The costs of all entries.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether an entry of this cost goes in at all.
    pub fn takes(&self, cost: u64) -> bool {
        cost <= self.limit
    }

    /// Whether an entry of this cost goes in without another having to go.
    pub fn has_room(&self, cost: u64) -> bool {
        self.cost.saturating_add(cost) <= self.limit
    }

    /// The value of a key, which has been used by this.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&entry.used);
        self.clock += 1;
        entry.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(&entry.value)
    }

    /// Puts a value in; the entries that had to go for it, itself where it alone is beyond the limit.
    pub fn insert(&mut self, key: K, value: V, cost: u64) -> Vec<(K, V)> {
        self.remove(&key);
        if cost > self.limit {
            return vec![(key, value)];
        }
        self.clock += 1;
        self.cost += cost;
        self.by_use.insert(self.clock, key.clone());
        let used = self.clock;
        self.entries.insert(key, Entry { value, cost, used });
        let mut gone = Vec::new();
        while self.cost > self.limit {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.cost -= entry.cost;
                gone.push((oldest, entry.value));
            }
        }
        gone
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.used);
        self.cost -= entry.cost;
        Some(entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_what_was_used_longest_ago() {
        let mut lru = Lru::new(10);
        assert!(lru.insert("a", 1, 4).is_empty());
        assert!(lru.insert("b", 2, 4).is_empty());
        assert_eq!(lru.get(&"a"), Some(&1));
        assert!(!lru.has_room(3));
        assert_eq!(lru.insert("c", 3, 4), vec![("b", 2)]);
        assert_eq!(lru.get(&"b"), None);
        assert_eq!((lru.cost(), lru.len()), (8, 2));
        assert_eq!(lru.insert("huge", 9, 11), vec![("huge", 9)]);
        assert_eq!(lru.insert("a", 5, 10), vec![("c", 3)]);
        assert_eq!(lru.remove(&"a"), Some(5));
        assert_eq!((lru.cost(), lru.len()), (0, 0));
    }
}
