//! Places between two steps that outlast the process, where tests stop it. Whoever runs the mount says what happens at them; by itself, nothing.

use std::io;
use std::sync::OnceLock;

/// What is done at a place, by its name.
pub type Hook = fn(&str) -> io::Result<()>;

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Sets what is done at places, once for the process. Release builds pass none.
pub fn set_hook(hook: Hook) {
    let _ = HOOK.set(hook);
}

/// Passes a place.
///
/// # Errors
/// Where the place is told to fail.
#[inline]
pub(crate) fn at(name: &str) -> io::Result<()> {
    match HOOK.get() {
        Some(hook) if cfg!(debug_assertions) => hook(name),
        _ => Ok(()),
    }
}
