//! How statements share the memory that a session grants them.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use parking_lot::Mutex;

/// A pool of so many bytes for consumers that mostly spill.
///
/// The first half goes to whoever comes first, so that one sort alone need not spill early. Of the rest, who can spill
/// gets an equal part of three quarters of the pool at most: the last quarter stays for those who cannot, the merges of
/// what was spilled above all. Without it, one sort may hold what the merge of another needs, and both fail.
#[derive(Debug)]
pub(crate) struct BalancedPool {
    limit: usize,
    held: Mutex<Held>,
}

/// How many spilled files a sort merges at once in a pool of so many bytes.
///
/// A merge takes as many as it gets memory for, and holds two batches of each, of some 1.5 MB where rows are wide and batches
/// small. A join sorts four inputs on two cores, and the merges of those that are done must leave half of the pool to the others.
pub(crate) fn merge_fan_in(pool: usize) -> usize {
    (pool / (24 << 20)).max(4)
}

#[derive(Debug, Default)]
struct Held {
    spillers: usize,
    by_spillers: usize,
    by_others: usize,
}

impl Held {
    fn of(&mut self, reservation: &MemoryReservation) -> &mut usize {
        match reservation.consumer().can_spill() {
            true => &mut self.by_spillers,
            false => &mut self.by_others,
        }
    }

    fn total(&self) -> usize {
        self.by_spillers + self.by_others
    }
}

impl BalancedPool {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Mutex::default(),
        }
    }

    /// The bytes that a consumer may still take.
    fn room(&self, held: &Held, reservation: &MemoryReservation) -> usize {
        let free = self.limit.saturating_sub(held.total());
        if !reservation.consumer().can_spill() {
            return free;
        }
        let first_come = (self.limit / 2).saturating_sub(held.total());
        let shared = (self.limit / 4 * 3).saturating_sub(held.by_others);
        let part = shared / held.spillers.max(1);
        first_come.max(part.saturating_sub(reservation.size()).min(free))
    }
}

impl Display for BalancedPool {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), human_readable_size(self.limit))
    }
}

impl MemoryPool for BalancedPool {
    fn name(&self) -> &str {
        "balanced"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.held.lock().spillers += usize::from(consumer.can_spill());
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut held = self.held.lock();
        held.spillers = held.spillers.saturating_sub(usize::from(consumer.can_spill()));
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.held.lock().of(reservation) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut held = self.held.lock();
        let held = held.of(reservation);
        *held = held.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held.lock();
        let room = self.room(&held, reservation);
        if additional > room {
            return Err(resources_datafusion_err!(
                "{} wants {} more than the {} that it holds, and {} of the pool's {} are left for it",
                reservation.consumer().name(),
                human_readable_size(additional),
                human_readable_size(reservation.size()),
                human_readable_size(room),
                human_readable_size(self.limit)
            ));
        }
        *held.of(reservation) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.held.lock().total()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

/// A pool in which exchanges between partitions are counted, but never refused.
///
/// An exchange that must spill can stand still for ever in DataFusion 55.2 (apache/datafusion#24883), and whatever it
/// feeds with it. What it holds is bounded by its channels, which wait for one another; sorts and aggregates give way in
/// its place.
#[derive(Debug)]
pub(crate) struct ExchangesPass(pub(crate) Arc<dyn MemoryPool>);

impl ExchangesPass {
    fn passes(consumer: &MemoryConsumer) -> bool {
        consumer.name().starts_with("RepartitionExec[") && consumer.can_spill()
    }
}

impl Display for ExchangesPass {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl MemoryPool for ExchangesPass {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.0.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.0.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.0.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.0.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if Self::passes(reservation.consumer()) {
            self.0.grow(reservation, additional);
            return Ok(());
        }
        self.0.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.0.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.0.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(limit: usize) -> Arc<dyn MemoryPool> {
        Arc::new(ExchangesPass(Arc::new(BalancedPool::new(limit))))
    }

    fn consumer(name: &str, spills: bool, pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(spills).register(pool)
    }

    #[test]
    fn one_spiller_gets_three_quarters() {
        let pool = pool(1000);
        let sort = consumer("sort", true, &pool);
        assert!(sort.try_grow(751).is_err());
        sort.try_grow(750).unwrap();
        let merge = consumer("merge", false, &pool);
        merge.try_grow(250).unwrap();
        assert!(merge.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 1000);
    }

    #[test]
    fn spillers_share_what_is_beyond_the_first_half() {
        let pool = pool(1000);
        let (first, second) = (consumer("first", true, &pool), consumer("second", true, &pool));
        first.try_grow(500).unwrap();
        assert!(
            first.try_grow(1).is_err(),
            "its part is 375, and the first half is gone"
        );
        second.try_grow(375).unwrap();
        assert!(second.try_grow(1).is_err());
        first.free();
        second.try_grow(125).unwrap();
        drop(first);
        second.try_grow(250).unwrap();
    }

    #[test]
    fn exchanges_are_counted_and_pass() {
        let pool = pool(100);
        let exchange = consumer("RepartitionExec[0]", true, &pool);
        exchange.try_grow(150).unwrap();
        assert_eq!(pool.reserved(), 150);
        let sort = consumer("ExternalSorter[0]", true, &pool);
        assert!(sort.try_grow(1).is_err());
        exchange.shrink(150);
        sort.try_grow(37).unwrap();
        assert_eq!(pool.reserved(), 37);
    }
}
