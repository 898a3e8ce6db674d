//! Places between two steps that outlast the process, where tests stop, break or delay it. Release builds have none.
//!
//! `POSIXLAKE_FAILPOINT=NAME[:N]=abort|error|sleep(MILLISECONDS)` acts when the place NAME is passed for the Nth time, the
//! first unless said. `POSIXLAKE_FAILPOINTS=FILE` notes the places that are passed in a file, a name a line.

use std::io;

use object_store::path::Path;

/// Passes the place before or after a step of the store: `STEP.WHAT.WHERE`, such as `put.commit.staged`.
///
/// # Errors
/// Where the place is told to fail.
#[inline]
pub(crate) fn at_store(step: &str, path: &Path, place: &str) -> io::Result<()> {
    if cfg!(debug_assertions) {
        let what = what(path);
        return pass(&format!("{step}.{what}.{place}"));
    }
    Ok(())
}

/// Passes a place of this name.
///
/// # Errors
/// Where the place is told to fail.
#[inline]
pub(crate) fn at(name: &str) -> io::Result<()> {
    if cfg!(debug_assertions) { pass(name) } else { Ok(()) }
}

/// What a file is to a table.
fn what(path: &Path) -> &'static str {
    let path = path.as_ref();
    let name = path.rsplit('/').next().unwrap_or_default();
    match path.rsplit_once("_delta_log/").map(|(_, below)| below) {
        Some("_last_checkpoint") => "hint",
        Some(below) if below.starts_with("_sidecars/") => "sidecar",
        Some(_) if name.ends_with(".crc") => "checksum",
        Some(_) if name.contains(".checkpoint.") => "checkpoint",
        Some(_) if name.ends_with(".compacted.json") => "compaction",
        Some(_) if name.ends_with(".json") => "commit",
        Some(_) => "log",
        None if path.contains("_change_data/") => "change",
        None if name.contains("deletion_vector") => "vector",
        None => "data",
    }
}

#[cfg(not(debug_assertions))]
fn pass(_: &str) -> io::Result<()> {
    Ok(())
}

#[cfg(debug_assertions)]
fn pass(name: &str) -> io::Result<()> {
    use std::collections::HashMap;
    use std::io::Write;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static PASSED: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);
    static WANTED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("POSIXLAKE_FAILPOINT").ok());
    static NOTES: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("POSIXLAKE_FAILPOINTS").ok());

    if WANTED.is_none() && NOTES.is_none() {
        return Ok(());
    }
    let time = {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let time = passed.entry(name.to_string()).or_default();
        *time += 1;
        if let Some(file) = NOTES.as_ref() {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
            writeln!(file, "{name}")?;
        }
        *time
    };
    let Some((place, action)) = WANTED.as_deref().and_then(|wanted| wanted.split_once('=')) else {
        return Ok(());
    };
    let (wanted, nth) = match place.split_once(':') {
        Some((wanted, nth)) => (wanted, nth.parse().map_err(io::Error::other)?),
        None => (place, 1),
    };
    if wanted != name || nth != time {
        return Ok(());
    }
    let delay = action.strip_prefix("sleep(").and_then(|rest| rest.strip_suffix(')'));
    match (action, delay) {
        ("abort", _) => std::process::abort(),
        ("error", _) => Err(io::Error::other(format!("told to fail at {name}"))),
        (_, Some(delay)) => {
            let delay = delay.parse().map_err(io::Error::other)?;
            std::thread::sleep(std::time::Duration::from_millis(delay));
            Ok(())
        }
        _ => Err(io::Error::other(format!(
            "POSIXLAKE_FAILPOINT: '{action}' is not an action"
        ))),
    }
}
