//! Where statements typed at the prompt are kept, readable by their owner alone.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::tokens;
use crate::system::folder;

/// The file, in a folder that exists.
///
/// # Errors
/// Where there is no home, or the folder cannot be made.
pub(crate) fn file() -> io::Result<PathBuf> {
    let no_home = || io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME is set");
    let folder = folder("XDG_STATE_HOME", ".local/state").ok_or_else(no_home)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    Ok(folder.join("history"))
}

/// Whether a statement may be kept: one that sets a password or holds credentials may not.
pub(crate) fn may_keep(statement: &str) -> bool {
    !tokens::makes_secret(statement)
        && !tokens::tokenize(statement)
            .iter()
            .any(|token| token.is_word("password"))
}
