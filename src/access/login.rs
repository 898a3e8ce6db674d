//! Who comes in.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::password::verify;
use super::table::has_marker;
use super::users::Users;
use super::{Access, FOLDER, State, gone};
use crate::error::{Error, Result};

/// How long an attempt with a wrong password takes at least; each further one in the process takes twice as long.
const PENALTY: Duration = Duration::from_millis(500);
/// What it takes at most.
const LONGEST: Duration = Duration::from_secs(30);

/// Wrong passwords in this process.
static FAILURES: AtomicU32 = AtomicU32::new(0);

/// A user's name, with what proves it.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) proof: Proof,
}

#[derive(Clone)]
pub(crate) enum Proof {
    Password(String),
    /// An admin's session vouches for the user: a mount for many accounts.
    Vouched,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// By which way statements come in, as the audit trail calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    /// The command line.
    Cli,
    /// A mount.
    Mount,
    /// The Python package.
    Python,
    /// A program.
    #[default]
    Library,
}

impl Door {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Mount => "mount",
            Self::Python => "python",
            Self::Library => "library",
        }
    }
}

impl Access {
    /// Lets a user in, or anyone where the lake has no users.
    pub(super) async fn log_in(&self, credentials: Option<Credentials>) -> Result<()> {
        let Some(home) = self.home() else {
            return match credentials {
                Some(_) => Err(Error::invalid("a user was named, and there is no lake")),
                None => Ok(()),
            };
        };
        let Some(snapshot) = self.snapshot().await? else {
            if has_marker(home).await? {
                return Err(gone());
            }
            return match credentials {
                Some(credentials) => Err(Error::invalid(format!(
                    "the lake has no users, so nobody can be {}; CREATE USER makes the first one, who becomes its admin",
                    credentials.user
                ))),
                None => Ok(()),
            };
        };
        let Some(Credentials { user, proof }) = credentials else {
            return Err(Error::permission(
                "the lake has users: say who you are, with --user NAME (and a password at the prompt, in --password-file or \
                 POSIXLAKE_PASSWORD), or in a program with SessionBuilder::user",
            ));
        };
        let users = Users::read(&snapshot).await?;
        let known = match &proof {
            Proof::Vouched => users.has_user(&user),
            Proof::Password(password) => {
                let (password, hash) = (password.clone(), users.password(&user).map(str::to_string));
                let checked = tokio::task::spawn_blocking(move || verify(&password, hash.as_deref()));
                checked.await.map_err(|error| Error::internal(error.to_string()))??
            }
        };
        if known {
            let who = self.who(&snapshot, &user).await?;
            *self.state.write() = Arc::new(State::On(who));
            return Ok(());
        }
        self.audit().refused_login(&user).await;
        let failures = FAILURES.fetch_add(1, Ordering::Relaxed).min(16);
        tokio::time::sleep(PENALTY.saturating_mul(1 << failures).min(LONGEST)).await;
        Err(Error::permission(format!(
            "the lake lets nobody in as {user} with this password"
        )))
    }

    /// What lets another user in, for whom this one's admin vouches.
    ///
    /// # Errors
    /// Where this session's user is no admin.
    pub(crate) fn vouch(&self, user: &str) -> Result<Credentials> {
        match self.state().as_ref() {
            State::Off => Err(Error::invalid(format!(
                "the lake has no users, so nobody can be {user}"
            ))),
            State::On(who) if who.rights.admin() || who.user == user => Ok(Credentials {
                user: user.to_string(),
                proof: Proof::Vouched,
            }),
            State::On(who) => Err(Error::permission(format!(
                "only an admin opens a lake for others, and {} is none",
                who.user
            ))),
            State::Broken(reason) => Err(Error::permission(format!("{reason} ({FOLDER})"))),
        }
    }
}
