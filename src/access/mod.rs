//! Users, roles, rights and the audit trail: who may do what, asked in one place for every statement.
//!
//! The lake's users are a Delta table below `_posixlake/`. A session that a lake has users for belongs to one of them; what
//! its statements touch is checked here on the plan ([`Access::check_plan`]), when a table is opened ([`Access::check_open`]),
//! and once more on every file that is read or written ([`Guarded`]).

mod audit;
mod change;
mod guard;
mod lent;
mod login;
mod password;
mod place;
mod plan;
mod rights;
mod table;
mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use posixlake_sql::{Privilege, quote_identifier};
use url::Url;

use crate::catalog::{DEFAULT_SCHEMA, SnapshotCache};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Snapshot;
use crate::store::{Stores, folder_url};
pub(crate) use audit::{Audit, AuditPlanner, Ticket, audit_table};
pub(crate) use guard::{Guarded, check_read};
use lent::Lent;
pub use login::Door;
pub(crate) use login::{Credentials, Proof};
pub(crate) use password::hash;
use place::Home;
pub(crate) use place::{FOLDER, MARK, Place};
pub(crate) use plan::touched;
pub(crate) use rights::Privileges;
use rights::Rights;
pub(crate) use users::{Object, READY, Users};

/// How long the users are believed without another look: after this, what was granted or revoked elsewhere holds here.
const BELIEVED: Duration = Duration::from_secs(1);

/// Something that a statement reads or changes, and the right that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touch {
    /// The table in this folder.
    Table(Url, Privilege),
    /// A schema as a whole.
    Schema(String, Privilege),
    /// Files by path or URL, wherever they are.
    Files(String),
    /// Users, roles, rights, or the settings that guard them.
    Users,
}

/// Who a session is for, and what that allows.
#[derive(Debug)]
pub(crate) struct Access {
    home: Option<Home>,
    state: RwLock<Arc<State>>,
    looked: Mutex<Option<Instant>>,
    users: Option<SnapshotCache>,
    audit: Audit,
    lent: Lent,
}

#[derive(Debug)]
pub(crate) enum State {
    /// The lake has no users.
    Off,
    On(Who),
    /// The lake has users, and who they are cannot be told.
    Broken(String),
}

/// A session's user.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) user: String,
    pub(crate) rights: Rights,
    /// What tells the lake's users from those of other lakes.
    pub(crate) id: String,
    version: u64,
}

impl Access {
    /// Looks who the lake's users are, and whether the credentials are one's.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] where the lake has users and the credentials are none of theirs, or are not given; where
    /// its users cannot be read; where credentials are given and the lake has no users.
    pub(crate) async fn open(
        root: Option<&Url>,
        stores: &Arc<Stores>,
        credentials: Option<Credentials>,
        door: Door,
    ) -> Result<Arc<Self>> {
        let home = match root {
            Some(root) => Some(Home::open(root, stores).await?),
            None => None,
        };
        let access = Self {
            users: home.as_ref().map(|_| SnapshotCache::new(stores.clone())),
            audit: Audit::new(home.as_ref(), door),
            home,
            state: RwLock::new(Arc::new(State::Off)),
            looked: Mutex::default(),
            lent: Lent::default(),
        };
        access.log_in(credentials).await?;
        Ok(Arc::new(access))
    }

    /// The session's state at this moment.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.read().clone()
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.audit
    }

    pub(crate) fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// The folders whose files the session may read, whatever its user may.
    pub(crate) fn lent(&self) -> &Lent {
        &self.lent
    }

    /// The session's user.
    pub(crate) fn user(&self) -> Option<String> {
        match self.state().as_ref() {
            State::On(who) => Some(who.user.clone()),
            _ => None,
        }
    }

    /// Whether the lake has users.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.state().as_ref(), State::Off)
    }

    /// Whether the session may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        match self.state().as_ref() {
            State::Off => true,
            State::On(who) => who.rights.admin(),
            State::Broken(_) => false,
        }
    }

    /// Takes over what was granted, revoked or removed since the last look. Free where the lake has no users.
    ///
    /// # Errors
    /// None: a lake whose users cannot be read any more refuses what comes.
    pub(crate) async fn refresh(&self) {
        let known = match self.state().as_ref() {
            State::Off => return,
            State::On(who) => Some((who.user.clone(), who.version)),
            State::Broken(_) => None,
        };
        {
            let mut looked = self.looked.lock();
            if looked.is_some_and(|last| last.elapsed() < BELIEVED) {
                return;
            }
            *looked = Some(Instant::now());
        }
        let Some((user, version)) = known else { return };
        let fresh = match self.snapshot().await {
            Ok(Some(snapshot)) if snapshot.version() == version => return,
            Ok(Some(snapshot)) => self.who(&snapshot, &user).await,
            Ok(None) => Err(gone()),
            // A store that does not answer says nothing about the users: what was known is believed.
            Err(error) if error.kind() == ErrorKind::Storage => return,
            Err(error) => Err(error),
        };
        *self.state.write() = Arc::new(match fresh {
            Ok(who) => State::On(who),
            Err(error) => State::Broken(error.message().to_string()),
        });
    }

    /// The users' table; none where the lake has none.
    async fn snapshot(&self) -> Result<Option<Snapshot>> {
        match (&self.users, &self.home) {
            (Some(cache), Some(home)) => cache.latest(&home.users).await,
            _ => Ok(None),
        }
    }

    async fn who(&self, snapshot: &Snapshot, user: &str) -> Result<Who> {
        let users = Users::read(snapshot).await?;
        if !users.has_user(user) {
            return Err(Error::permission(format!("the user {user} is not there any more")));
        }
        Ok(Who {
            user: user.to_string(),
            rights: users.rights(user),
            id: users.id().to_string(),
            version: snapshot.version(),
        })
    }

    /// Whether all of this may be done.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] with what is missing and how it is granted.
    pub(crate) fn check(&self, touches: &[Touch]) -> Result<()> {
        let state = self.state();
        let who = match state.as_ref() {
            State::Off => return Ok(()),
            State::Broken(reason) => return Err(Error::permission(reason.clone())),
            State::On(who) => who,
        };
        if who.rights.admin() && !touches.iter().any(|touch| self.is_internal(touch)) {
            return Ok(());
        }
        touches.iter().try_for_each(|touch| self.check_one(who, touch))
    }

    fn is_internal(&self, touch: &Touch) -> bool {
        match touch {
            Touch::Table(url, _) => self.place(url) == Place::Internal,
            Touch::Files(path) => folder_url(path, None).is_ok_and(|url| self.place(&url) == Place::Internal),
            Touch::Schema(..) | Touch::Users => false,
        }
    }

    fn check_one(&self, who: &Who, touch: &Touch) -> Result<()> {
        let user = quote_identifier(&who.user);
        let (granted, wanted, on) = match touch {
            Touch::Table(url, wanted) => match self.place(url) {
                Place::Table { schema, table } => {
                    let on = format!("TABLE {}", shown(&schema, &table));
                    (who.rights.on_table(&schema, &table), *wanted, on)
                }
                Place::Internal => return Err(own_folder()),
                Place::Outside => return outside(who, url.as_str()),
            },
            Touch::Schema(schema, wanted) => {
                let on = format!("SCHEMA {}", quote_identifier(schema));
                (who.rights.on_schema(schema), *wanted, on)
            }
            Touch::Files(_) if self.is_internal(touch) => return Err(own_folder()),
            Touch::Files(path) if self.lent.holds(path) => return Ok(()),
            Touch::Files(path) => return outside(who, path),
            Touch::Users if who.rights.admin() => return Ok(()),
            Touch::Users => {
                return Err(Error::permission(format!(
                    "only an admin may do this; an admin makes one by GRANT admin TO {user}"
                )));
            }
        };
        if granted.has(wanted) {
            return Ok(());
        }
        let needed = wanted.name();
        Err(Error::permission(format!(
            "user {user} has no {needed} on {on}; an admin gives it by GRANT {needed} ON {on} TO {user}"
        )))
    }

    /// Whether a table may be opened: by whom it is granted anything, in a lake that it belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`].
    pub(crate) fn check_open(&self, url: &Url) -> Result<()> {
        let state = self.state();
        let who = match state.as_ref() {
            State::Off => return Ok(()),
            State::Broken(reason) => return Err(Error::permission(reason.clone())),
            State::On(who) => who,
        };
        match self.place(url) {
            Place::Table { schema, table } if who.rights.on_table(&schema, &table).is_empty() => {
                let user = quote_identifier(&who.user);
                let table = shown(&schema, &table);
                Err(Error::permission(format!(
                    "user {user} has no right to table {table}; an admin gives one by GRANT SELECT ON TABLE {table} TO {user}"
                )))
            }
            Place::Table { .. } => Ok(()),
            _ => self.check_one(who, &Touch::Table(url.clone(), Privilege::Select)),
        }
    }

    /// Whether a table that carries the mark of a lake with users may be opened in this session.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] where the users it was made for are not this lake's.
    pub(crate) fn check_mark(&self, snapshot: &Snapshot) -> Result<()> {
        let Some(mark) = snapshot.property(MARK) else {
            return Ok(());
        };
        match self.state().as_ref() {
            State::On(who) if who.id == mark || who.rights.admin() => Ok(()),
            State::On(_) => Err(Error::permission(format!(
                "the table at '{}' belongs to a lake with other users; an admin takes it over with any ALTER TABLE",
                snapshot.url()
            ))),
            State::Broken(reason) => Err(Error::permission(reason.clone())),
            State::Off => Err(Error::permission(format!(
                "the table at '{}' belongs to a lake with users, and this session has none: open its lake with a user; where \
                 the folder {FOLDER} of the lake was lost, put it back from a backup",
                snapshot.url()
            ))),
        }
    }

    /// Whether a table is one that the user may know of.
    pub(crate) fn sees_table(&self, schema: &str, table: &str) -> bool {
        match self.state().as_ref() {
            State::Off => true,
            State::On(who) => !who.rights.on_table(schema, table).is_empty(),
            State::Broken(_) => false,
        }
    }

    /// Whether a schema is one that the user may know of.
    pub(crate) fn sees_schema(&self, schema: &str) -> bool {
        match self.state().as_ref() {
            State::Off => true,
            State::On(who) => schema == DEFAULT_SCHEMA || who.rights.within_schema(schema),
            State::Broken(_) => false,
        }
    }

    /// The lake's mark for a table of its that is written.
    pub(crate) fn mark_of(&self, url: &Url) -> Option<String> {
        match self.state().as_ref() {
            State::On(who) if matches!(self.place(url), Place::Table { .. }) => Some(who.id.clone()),
            _ => None,
        }
    }

    fn place(&self, url: &Url) -> Place {
        self.home.as_ref().map_or(Place::Outside, |home| home.place(url))
    }
}

/// A table's name as a statement has it.
pub(crate) fn shown(schema: &str, table: &str) -> String {
    match schema {
        DEFAULT_SCHEMA => quote_identifier(table),
        schema => format!("{}.{}", quote_identifier(schema), quote_identifier(table)),
    }
}

fn own_folder() -> Error {
    Error::permission(format!(
        "{FOLDER} is posixlake's own: users and rights are changed by their statements, and the audit trail is the table \
         system.audit"
    ))
}

/// Files and tables beside the lake's.
fn outside(who: &Who, place: &str) -> Result<()> {
    if who.rights.everything() {
        return Ok(());
    }
    let user = quote_identifier(&who.user);
    Err(Error::permission(format!(
        "user {user} may not read or write files and folders by path or URL ('{place}'); that takes ALL on the lake: GRANT ALL ON \
         LAKE TO {user}"
    )))
}

fn gone() -> Error {
    Error::permission(format!(
        "the lake's users are gone: the table below its folder {FOLDER} is not there, so nobody can be let in; put it back from a \
         backup"
    ))
}
