//! Scratch files from outside: what NFS calls would see.

mod model;
mod names;
mod objects;
mod private;
mod speed;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use nfs3_types::nfs3::{Nfs3Option, createhow3, createverf3, sattr3, set_atime, set_mtime, stable_how};

use super::*;

pub(super) const USER: u32 = 1000;

pub(super) fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
    Caller {
        address: SocketAddr::from(([127, 0, 0, 1], 1000)),
        uid,
        gid,
        groups: groups.to_vec(),
        machine: "here".into(),
    }
}

pub(super) fn user() -> Caller {
    caller(USER, USER, &[])
}

pub(super) fn options(ownership: Ownership) -> Options {
    Options {
        fsid: 7,
        ownership,
        sync_metadata: false,
        ..Options::default()
    }
}

/// The ways of keeping owners that the user who runs the tests can have.
pub(super) fn ownerships() -> Vec<Ownership> {
    let mut all = vec![Ownership::Recorded];
    if nix::unistd::geteuid().is_root() {
        all.push(Ownership::Host);
    }
    all
}

pub(super) fn open(root: &Path, ownership: Ownership) -> Scratch {
    Scratch::open(root.join("scratch"), options(ownership)).unwrap()
}

pub(super) fn orders() -> Folder {
    Folder::Mount(vec!["orders".into()])
}

pub(super) fn mode(mode: u32) -> sattr3 {
    sattr3 {
        mode: Nfs3Option::Some(mode),
        ..sattr3::default()
    }
}

pub(super) fn size(size: u64) -> sattr3 {
    sattr3 {
        size: Nfs3Option::Some(size),
        ..sattr3::default()
    }
}

pub(super) fn server_times() -> sattr3 {
    sattr3 {
        atime: set_atime::SET_TO_SERVER_TIME,
        mtime: set_mtime::SET_TO_SERVER_TIME,
        ..sattr3::default()
    }
}

impl Scratch {
    pub(super) async fn make(&self, folder: &Folder, name: &str) -> Id {
        let how = createhow3::GUARDED(mode(0o644));
        let made = self.create(&user(), folder, name.as_bytes(), how).await;
        made.result.unwrap().id
    }

    pub(super) async fn make_folder(&self, folder: &Folder, name: &str) -> Folder {
        let made = self.make_directory(&user(), folder, name.as_bytes(), mode(0o755)).await;
        Folder::Scratch(made.result.unwrap().id)
    }

    pub(super) async fn put(&self, id: Id, offset: u64, data: &[u8]) -> Effect<Written> {
        self.write(id, offset, Bytes::copy_from_slice(data), stable_how::UNSTABLE)
            .await
    }

    pub(super) async fn bytes(&self, id: Id) -> Vec<u8> {
        self.read(id, 0, 1 << 20).await.unwrap().data.to_vec()
    }

    pub(super) async fn names(&self, folder: &Folder) -> Vec<String> {
        let listed = self.list(folder, false).await.unwrap();
        let mut names: Vec<_> = listed
            .into_iter()
            .map(|listed| String::from_utf8(listed.name).unwrap())
            .collect();
        names.sort();
        names
    }
}

/// One test of each way of keeping owners.
macro_rules! each_ownership {
    ($(async fn $name:ident($root:ident, $ownership:ident) $body:block)*) => {$(
        #[tokio::test]
        async fn $name() {
            for $ownership in $crate::scratch::tests::ownerships() {
                let folder = tempfile::tempdir().unwrap();
                let $root = folder.path();
                $body
            }
        }
    )*};
}
pub(super) use each_ownership;
