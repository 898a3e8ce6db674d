//! Changes of users, roles and rights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::kernel::Action;

use super::table::{has_marker, lost, put_marker};
use super::users::Users;
use super::{Access, FOLDER, MARK, State, gone};
use crate::catalog::Lake;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Commit, Mode, check_writable, commit};

/// How often a change is made on newer users before it gives up.
const ATTEMPTS: u32 = 50;

impl Access {
    /// The users as they are.
    ///
    /// # Errors
    /// Where the lake has none.
    pub(crate) async fn users(&self) -> Result<Users> {
        match self.snapshot().await? {
            Some(snapshot) => Users::read(&snapshot).await,
            None if self.is_on() => Err(gone()),
            None => Err(no_users()),
        }
    }

    /// Changes the users in one commit, again on newer ones where others were first. `None` changes nothing.
    ///
    /// # Errors
    /// The change's own; where the lake has no users.
    pub(crate) async fn change(
        &self,
        operation: &'static str,
        statement: &str,
        change: impl Fn(&mut Users) -> Result<bool>,
    ) -> Result<()> {
        let home = self.home().ok_or_else(no_users)?;
        for attempt in 0..ATTEMPTS {
            let Some(snapshot) = self.snapshot().await? else {
                return Err(if self.is_on() { gone() } else { no_users() });
            };
            let mut users = Users::read(&snapshot).await?;
            if !change(&mut users)? {
                return Ok(());
            }
            match users
                .write(home, Some(&snapshot), operation, statement.to_string())
                .await
            {
                Ok(()) => {
                    // The loss of the marker shows, and is made good, at the next change.
                    put_marker(home, users.id()).await?;
                    self.look_again().await;
                    return Ok(());
                }
                Err(error) if lost(&error) => {
                    let most = 10 * u64::from(attempt + 1);
                    tokio::time::sleep(Duration::from_millis(rand::random_range(1..=most))).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(
            "users were changed by others all the time; run the statement again",
        ))
    }

    /// The first user: from here on, the lake has users, and this session is that one's.
    ///
    /// # Errors
    /// Where the lake had users, who are gone, or gets its first user from another session at this moment.
    pub(crate) async fn turn_on(&self, lake: &Lake, user: &str, hash: String, statement: &str) -> Result<()> {
        let home = self.home().ok_or_else(|| {
            Error::invalid(
                "there is no lake, so there is nothing that users could have rights to; open one with --lake",
            )
        })?;
        if has_marker(home).await? {
            return Err(gone());
        }
        let tables = tables(lake).await?;
        let mut users = Users::new();
        users.set_password(user, hash);
        users
            .write(home, None, "CREATE USER", statement.to_string())
            .await
            .map_err(|error| match lost(&error) {
                true => Error::already_exists("the lake got its first user from another session at this moment"),
                false => error,
            })?;
        put_marker(home, users.id()).await?;
        let snapshot = self.snapshot().await?.ok_or_else(gone)?;
        *self.state.write() = Arc::new(State::On(self.who(&snapshot, user).await?));
        // Snapshots from before know neither the user nor the mark of what they commit.
        lake.snapshots().clear();
        for (id, snapshot) in tables {
            let marked = mark(lake, &id.url).await;
            if let Err(error) = marked {
                tracing::warn!(table = %snapshot.url(), %error, "a table could not be marked as one of a lake with users");
            }
        }
        Ok(())
    }

    async fn look_again(&self) {
        *self.looked.lock() = None;
        self.refresh().await;
    }
}

/// All tables in the lake's folder.
async fn tables(lake: &Lake) -> Result<Vec<(crate::catalog::TableId, crate::log::Snapshot)>> {
    let mut found = Vec::new();
    for id in lake.tables().await?.into_iter().filter(|id| id.schema != FOLDER) {
        match lake.snapshots().latest(&id.url).await {
            Ok(Some(snapshot)) => found.push((id, snapshot)),
            // The mark of users who are not there.
            Err(error) if error.kind() == ErrorKind::Permission => return Err(error),
            // What cannot be read is none that could be opened.
            Ok(None) | Err(_) => {}
        }
    }
    Ok(found)
}

/// Writes the lake's mark into a table; the commit adds it to whatever metadata it writes.
async fn mark(lake: &Lake, url: &url::Url) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let Some(snapshot) = lake.snapshots().latest(url).await? else {
            return Ok(());
        };
        if snapshot.property(MARK).is_some() {
            return Ok(());
        }
        check_writable(&snapshot, url.as_str())?;
        let next = Commit {
            operation: "SET TBLPROPERTIES",
            parameters: BTreeMap::from([("properties".to_string(), format!("{{\"{MARK}\":\"…\"}}"))]),
            metrics: BTreeMap::new(),
            actions: vec![Action::Metadata(snapshot.metadata().clone())],
            read_version: Some(snapshot.version()),
            mode: Mode::Exclusive,
            statement: None,
        };
        match commit(snapshot.log_store().as_ref(), next).await {
            Ok(_) => return Ok(()),
            Err(error) if lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::conflict("the table is too busy"))
}

fn no_users() -> Error {
    Error::invalid("the lake has no users; CREATE USER u PASSWORD 's' makes the first one, who becomes its admin")
}
