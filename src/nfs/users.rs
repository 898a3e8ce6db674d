//! One mount for each account of the clients' machines, so that each acts with the rights of its own user.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nfs3_types::nfs3::{createhow3, fattr3, nfstime3, sattr3, stable_how};
use posixlake_nfs::mount::Mount;
use posixlake_nfs::{Caller, Effect, FileSystem, Handle, Limits, Listing, Object, ReadPart, Space, Status, Written};

/// Mounts of one lake by account. Their handles are the same, since they are made with one key.
pub(super) struct PerUser {
    mounts: BTreeMap<u32, Arc<Mount>>,
}

impl PerUser {
    pub(super) fn new(mounts: BTreeMap<u32, Arc<Mount>>) -> Self {
        Self { mounts }
    }

    /// The caller's own mount. Whoever is not in the map gets nothing.
    fn of(&self, caller: &Caller) -> Result<&Arc<Mount>, Status> {
        self.mounts.get(&caller.uid).ok_or(Status::NFS3ERR_ACCES)
    }

    fn any(&self) -> Result<&Arc<Mount>, Status> {
        self.mounts.values().next().ok_or(Status::NFS3ERR_ACCES)
    }

    async fn is_root(&self, caller: &Caller, object: &Handle) -> bool {
        match self.any() {
            Ok(any) => any.mount(caller, "/").await.as_ref() == Ok(object),
            Err(_) => false,
        }
    }
}

macro_rules! acting {
    ($self:ident, $caller:ident) => {
        match $self.of($caller) {
            Ok(mount) => mount,
            Err(status) => return Effect::failed(status),
        }
    };
}

#[async_trait]
impl FileSystem for PerUser {
    /// The machine's root mounts, whoever it is for: the root folder's handle shows nothing.
    async fn mount(&self, caller: &Caller, path: &str) -> Result<Handle, Status> {
        match self.of(caller) {
            Ok(mount) => mount.mount(caller, path).await,
            Err(_) if matches!(path.trim_matches('/'), "" | "share") => self.any()?.mount(caller, path).await,
            Err(status) => Err(status),
        }
    }

    async fn attributes(&self, caller: &Caller, object: &Handle) -> Result<fattr3, Status> {
        match self.of(caller) {
            Ok(mount) => mount.attributes(caller, object).await,
            Err(_) if self.is_root(caller, object).await => self.any()?.attributes(caller, object).await,
            Err(status) => Err(status),
        }
    }

    async fn set_attributes(
        &self,
        caller: &Caller,
        object: &Handle,
        changes: sattr3,
        guard: Option<nfstime3>,
    ) -> Effect<()> {
        acting!(self, caller)
            .set_attributes(caller, object, changes, guard)
            .await
    }

    async fn lookup(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Result<Object, Status> {
        self.of(caller)?.lookup(caller, directory, name).await
    }

    async fn access(&self, caller: &Caller, object: &Handle, wanted: u32) -> Result<(u32, fattr3), Status> {
        match self.of(caller) {
            Ok(mount) => mount.access(caller, object, wanted).await,
            Err(_) => Ok((0, self.attributes(caller, object).await?)),
        }
    }

    async fn read_link(&self, caller: &Caller, link: &Handle) -> Result<Vec<u8>, Status> {
        self.of(caller)?.read_link(caller, link).await
    }

    async fn read(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Result<ReadPart, Status> {
        self.of(caller)?.read(caller, file, offset, count).await
    }

    async fn write(
        &self,
        caller: &Caller,
        file: &Handle,
        offset: u64,
        data: Bytes,
        stable: stable_how,
    ) -> Effect<Written> {
        acting!(self, caller).write(caller, file, offset, data, stable).await
    }

    async fn commit(&self, caller: &Caller, file: &Handle, offset: u64, count: u32) -> Effect<()> {
        acting!(self, caller).commit(caller, file, offset, count).await
    }

    async fn create(&self, caller: &Caller, directory: &Handle, name: &[u8], how: createhow3) -> Effect<Object> {
        acting!(self, caller).create(caller, directory, name, how).await
    }

    async fn make_directory(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        attributes: sattr3,
    ) -> Effect<Object> {
        acting!(self, caller)
            .make_directory(caller, directory, name, attributes)
            .await
    }

    async fn make_link(
        &self,
        caller: &Caller,
        directory: &Handle,
        name: &[u8],
        target: &[u8],
        attributes: sattr3,
    ) -> Effect<Object> {
        acting!(self, caller)
            .make_link(caller, directory, name, target, attributes)
            .await
    }

    async fn remove(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()> {
        acting!(self, caller).remove(caller, directory, name).await
    }

    async fn remove_directory(&self, caller: &Caller, directory: &Handle, name: &[u8]) -> Effect<()> {
        acting!(self, caller).remove_directory(caller, directory, name).await
    }

    async fn rename(&self, caller: &Caller, from: (&Handle, &[u8]), to: (&Handle, &[u8])) -> (Effect<()>, Effect<()>) {
        match self.of(caller) {
            Ok(mount) => mount.rename(caller, from, to).await,
            Err(status) => (Effect::failed(status), Effect::failed(status)),
        }
    }

    async fn list(
        &self,
        caller: &Caller,
        directory: &Handle,
        cookie: u64,
        verifier: [u8; 8],
        limit: usize,
        with_objects: bool,
    ) -> Result<Listing, Status> {
        let mount = self.of(caller)?;
        mount
            .list(caller, directory, cookie, verifier, limit, with_objects)
            .await
    }

    async fn space(&self, caller: &Caller, object: &Handle) -> Result<Space, Status> {
        self.of(caller).or_else(|_| self.any())?.space(caller, object).await
    }

    fn limits(&self) -> Limits {
        self.any().map_or(
            Limits {
                file_size: 0,
                time_delta: 1,
            },
            |mount| mount.limits(),
        )
    }

    fn write_verifier(&self) -> [u8; 8] {
        self.any().map_or([0; 8], |mount| mount.write_verifier())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use super::*;
    use crate::nfs::server::{Serving, open};
    use crate::session::{Session, SessionBuilder};

    fn builder(folder: &Path) -> SessionBuilder {
        Session::builder().lake(folder.to_str().unwrap())
    }

    fn caller(uid: u32) -> Caller {
        Caller {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            uid,
            gid: uid,
            groups: Vec::new(),
            machine: "m".to_string(),
        }
    }

    async fn names(files: &PerUser, uid: u32, folder: &Handle) -> Result<Vec<String>, Status> {
        let listing = files.list(&caller(uid), folder, 0, [0; 8], 1000, false).await?;
        let names = listing.entries.into_iter();
        Ok(names.map(|entry| String::from_utf8(entry.name).unwrap()).collect())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_account_acts_as_its_user() {
        let (lake, work) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let admin = builder(lake.path()).build().await.unwrap();
        for sql in [
            "CREATE TABLE sales AS SELECT 1 AS id",
            "CREATE TABLE wages AS SELECT 2 AS id",
            "CREATE USER ana PASSWORD 'x'",
            "CREATE USER rea PASSWORD 'x'",
            "GRANT SELECT ON TABLE sales TO rea",
            "CREATE USER nob PASSWORD 'x'",
        ] {
            admin.sql(sql).await.unwrap().collect().await.unwrap();
        }
        let serving = Serving {
            listen: Vec::new(),
            clients: Vec::new(),
            state: work.path().to_path_buf(),
            cache: work.path().to_path_buf(),
            cache_bytes: 1 << 20,
            read_only: false,
            privileged_ports: false,
            silence: std::time::Duration::from_millis(100),
            grace: std::time::Duration::from_millis(100),
            users: Vec::new(),
        };
        let mut mounts = BTreeMap::new();
        for (uid, user) in [(1, "ana"), (2, "rea"), (3, "nob")] {
            let session = admin.on_behalf_of(builder(lake.path()), user).await.unwrap();
            let (state, cache) = (work.path().join(user), work.path().join(format!("{user}-rows")));
            std::fs::create_dir_all(&state).unwrap();
            std::fs::write(state.join("key"), [7; 16]).unwrap();
            mounts.insert(uid, open(session, &serving, (state, cache), Some(uid)).await.unwrap());
        }
        let files = PerUser::new(mounts);
        let root = files.mount(&caller(9), "/").await.unwrap();
        for uid in [1, 2, 3, 9] {
            files.attributes(&caller(uid), &root).await.unwrap();
        }
        assert_eq!(files.mount(&caller(9), "/sales").await, Err(Status::NFS3ERR_ACCES));
        let seen = |names: Vec<String>| ["sales", "wages"].map(|name| names.iter().any(|other| other == name));
        assert_eq!(seen(names(&files, 1, &root).await.unwrap()), [true, true]);
        assert_eq!(seen(names(&files, 2, &root).await.unwrap()), [true, false]);
        assert_eq!(seen(names(&files, 3, &root).await.unwrap()), [false, false]);
        assert_eq!(names(&files, 9, &root).await, Err(Status::NFS3ERR_ACCES));

        let find = async |uid: u32, table: &str| {
            let folder = files.lookup(&caller(uid), &root, table.as_bytes()).await?;
            files.lookup(&caller(uid), &folder.handle, b"data.csv").await
        };
        let rows = find(2, "sales").await.unwrap().handle;
        let read = async |uid: u32, handle: &Handle| {
            let part = files.read(&caller(uid), handle, 0, 100).await;
            part.map(|part| String::from_utf8(part.data.to_vec()).unwrap())
        };
        assert_eq!(read(2, &rows).await.unwrap(), "id\n1\n");
        // The handle is no way in for others, nor is that of another table for this one.
        assert!(read(3, &rows).await.is_err());
        assert_eq!(read(9, &rows).await, Err(Status::NFS3ERR_ACCES));
        let others = find(1, "wages").await.unwrap().handle;
        assert_eq!(read(1, &others).await.unwrap(), "id\n2\n");
        assert!(read(2, &others).await.is_err());
        assert!(find(2, "wages").await.is_err());
        let denied = files
            .create(&caller(9), &root, b"x", createhow3::UNCHECKED(sattr3::default()))
            .await;
        assert_eq!(denied.result.map(|_| ()), Err(Status::NFS3ERR_ACCES));
    }
}
