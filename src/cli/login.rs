//! Who opens the lake: a name, and a password from a file, the environment or the prompt.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, ErrorKind, Result};
use crate::session::SessionBuilder;

/// The variable that names the user where the command line does not.
pub(crate) const USER_VARIABLE: &str = "POSIXLAKE_USER";
/// The variable that holds the password.
pub(crate) const PASSWORD_VARIABLE: &str = "POSIXLAKE_PASSWORD";

/// The arguments that say who opens a lake that has users.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LoginArguments {
    /// Who opens the lake, where it has users [default: $POSIXLAKE_USER]
    #[arg(long = "user", visible_alias = "as", value_name = "USER")]
    pub(crate) user: Option<String>,

    /// The file that holds the password [default: $POSIXLAKE_PASSWORD, else it is asked for]
    #[arg(long = "password-file", value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

impl LoginArguments {
    /// The user's name with the password; none where nobody is named.
    ///
    /// # Errors
    /// Where there is a user and no password.
    pub(crate) fn credentials(&self) -> Result<Option<(String, String)>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(user) = self.user.clone().or_else(|| variable(USER_VARIABLE)) else {
            return match &self.password_file {
                Some(_) => Err(Error::invalid("--password-file is given, and no --user")),
                None => Ok(None),
            };
        };
        let password = match &self.password_file {
            Some(file) => read(file)?,
            None => match variable(PASSWORD_VARIABLE) {
                Some(password) => password,
                None => ask(&user)?,
            },
        };
        Ok(Some((user, password)))
    }

    /// Adds who opens the lake to what it is opened with.
    ///
    /// # Errors
    /// As [`LoginArguments::credentials`].
    pub(crate) fn apply(&self, builder: SessionBuilder) -> Result<SessionBuilder> {
        Ok(match self.credentials()? {
            Some((user, password)) => builder.user(user, password),
            None => builder,
        })
    }
}

/// The file's text without the end of its line.
fn read(file: &PathBuf) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Permission,
        };
        Error::new(kind, format!("--password-file {}: {error}", file.display())).with_source(error)
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

fn ask(user: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::permission(format!(
            "the password of {user} is needed, and there is no terminal to ask for it: give --password-file or set \
             {PASSWORD_VARIABLE}"
        )));
    }
    rpassword::prompt_password(format!("Password of {user}: "))
        .map_err(|error| Error::permission(format!("no password was given: {error}")).with_source(error))
}
