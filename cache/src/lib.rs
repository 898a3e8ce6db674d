//! Caches that may vanish at any time: in memory up to a limit, and on disk up to another.

mod folder;
mod hash;
mod lru;

pub use folder::Folder;
pub use hash::{Hash128, Hasher};
pub use lru::Lru;
