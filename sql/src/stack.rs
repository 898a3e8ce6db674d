//! Room on the stack for deep trees.

/// Room for the deepest tree that the limits let through, also in a build without optimisation.
const ROOM: usize = 32 << 20;

/// Runs on a stack that is large enough, whatever thread this is: workers of asynchronous runtimes have 2 MiB.
pub(crate) fn with_room<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(ROOM / 2, ROOM, run)
}
