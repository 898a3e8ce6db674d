//! Objects: READ, WRITE, COMMIT, GETATTR, SETATTR.

use nfs3_types::nfs3::{
    ACCESS3_DELETE, ACCESS3_EXECUTE, ACCESS3_EXTEND, ACCESS3_LOOKUP, ACCESS3_MODIFY, ACCESS3_READ, nfstime3,
};

use super::*;
use crate::file_system::Status as S;

fn owner(uid: Option<u32>, gid: Option<u32>) -> sattr3 {
    let option = |value: Option<u32>| value.map_or(Nfs3Option::None, Nfs3Option::Some);
    sattr3 {
        uid: option(uid),
        gid: option(gid),
        ..sattr3::default()
    }
}

each_ownership! {
    async fn bytes_go_where_they_are_written(root, ownership) {
        let scratch = open(root, ownership);
        let id = scratch.make(&orders(), "a").await;
        let effect = scratch.put(id, 3, b"defg").await;
        assert_eq!(effect.result.unwrap().count, 4);
        assert_eq!((effect.before.unwrap().size, effect.after.unwrap().size), (0, 7));
        assert_eq!(scratch.bytes(id).await, b"\0\0\0defg");
        scratch.put(id, 0, b"abc").await.result.unwrap();
        assert_eq!(scratch.usage().bytes, 7);
        let part = scratch.read(id, 2, 3).await.unwrap();
        assert_eq!((&part.data.to_vec()[..], part.end), (&b"cde"[..], false));
        let part = scratch.read(id, 5, 2).await.unwrap();
        assert_eq!((&part.data.to_vec()[..], part.end), (&b"fg"[..], true));
        for offset in [7, 100, u64::MAX] {
            let part = scratch.read(id, offset, 5).await.unwrap();
            assert_eq!((part.data.len(), part.end), (0, true));
        }
        for stable in [stable_how::UNSTABLE, stable_how::DATA_SYNC, stable_how::FILE_SYNC] {
            let written = scratch.write(id, 7, Bytes::from_static(b"h"), stable).await.result.unwrap();
            assert_eq!(written.committed, stable);
        }
        scratch.commit(id).await.result.unwrap();
        assert_eq!(std::fs::read(scratch.path(id).await.unwrap()).unwrap(), b"abcdefgh");
        assert_eq!(std::io::read_to_string(scratch.file(id).await.unwrap()).unwrap(), "abcdefgh");
        for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
            assert_eq!(scratch.put(id, offset, b"xy").await.result.unwrap_err(), S::NFS3ERR_FBIG);
        }
        let folder = scratch.make_folder(&orders(), "d").await;
        let Folder::Scratch(folder) = folder else { unreachable!() };
        assert_eq!(scratch.read(folder, 0, 1).await.unwrap_err(), S::NFS3ERR_ISDIR);
        assert_eq!(scratch.put(folder, 0, b"x").await.result.unwrap_err(), S::NFS3ERR_ISDIR);
    }

    async fn more_files_than_are_kept_open(root, ownership) {
        let options = Options { open_files: 3, ..options(ownership) };
        let scratch = Scratch::open(root.join("scratch"), options).unwrap();
        let mut ids = Vec::new();
        for number in 0..20_u8 {
            let id = scratch.make(&orders(), &number.to_string()).await;
            scratch.put(id, 0, &[number]).await.result.unwrap();
            ids.push(id);
        }
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(scratch.bytes(*id).await, [number as u8]);
        }
    }

    async fn sizes(root, ownership) {
        let scratch = open(root, ownership);
        let id = scratch.make(&orders(), "a").await;
        scratch.put(id, 0, b"abcdef").await.result.unwrap();
        let effect = scratch.set_attributes(&user(), id, size(3), None).await;
        assert_eq!((effect.before.unwrap().size, effect.after.unwrap().size), (6, 3));
        scratch.set_attributes(&user(), id, size(5), None).await.result.unwrap();
        assert_eq!(scratch.bytes(id).await, b"abc\0\0");
        assert_eq!(scratch.usage().bytes, 5);
        let big = scratch.set_attributes(&user(), id, size(u64::MAX), None).await;
        assert_eq!(big.result, Err(S::NFS3ERR_FBIG));
        let Folder::Scratch(folder) = scratch.make_folder(&orders(), "d").await else { unreachable!() };
        assert_eq!(scratch.set_attributes(&user(), folder, size(0), None).await.result, Err(S::NFS3ERR_ISDIR));
    }

    async fn times_and_guard(root, ownership) {
        let scratch = open(root, ownership);
        let file = scratch.make(&orders(), "a").await;
        let Folder::Scratch(folder) = scratch.make_folder(&orders(), "d").await else { unreachable!() };
        let link = scratch.make_link(&user(), &orders(), b"l", b"x", mode(0o777)).await.result.unwrap().id;
        let time = |seconds| nfstime3 { seconds, nseconds: 123_456_789 };
        let changes = || sattr3 {
            atime: set_atime::SET_TO_CLIENT_TIME(time(1)),
            mtime: set_mtime::SET_TO_CLIENT_TIME(time(4_000_000_000)),
            ..sattr3::default()
        };
        // Links show the server's owner where there is no place for theirs.
        let root_user = caller(0, 0, &[]);
        for id in [file, folder, link] {
            let was = scratch.attributes(id).await.unwrap();
            let old = Some(time(9));
            assert_eq!(scratch.set_attributes(&root_user, id, changes(), old).await.result, Err(S::NFS3ERR_NOT_SYNC));
            assert_eq!(scratch.attributes(id).await.unwrap().mtime, was.mtime);
            let effect = scratch.set_attributes(&root_user, id, changes(), Some(was.ctime)).await;
            effect.result.unwrap();
            assert_eq!(effect.before.unwrap().ctime, was.ctime);
            let is = scratch.attributes(id).await.unwrap();
            assert_eq!((is.atime, is.mtime), (time(1), time(4_000_000_000)));
            assert_eq!(effect.after.unwrap().ctime, is.ctime);
            assert_ne!(is.ctime, was.ctime);
        }
        scratch.set_attributes(&user(), file, server_times(), None).await.result.unwrap();
        assert!(scratch.attributes(file).await.unwrap().mtime.seconds < 4_000_000_000);
    }

    async fn owners_and_modes_are_kept(root, ownership) {
        let scratch = open(root, ownership);
        let id = scratch.make(&orders(), "a").await;
        let Folder::Scratch(folder) = scratch.make_folder(&orders(), "d").await else { unreachable!() };
        for id in [id, folder] {
            for changes in [mode(0o000), mode(0o7777), mode(0o640)] {
                scratch.set_attributes(&user(), id, changes, None).await.result.unwrap();
            }
            let set = |caller: Caller, changes| {
                let scratch = scratch.clone();
                async move { scratch.set_attributes(&caller, id, changes, None).await.result }
            };
            set(user(), owner(Some(USER), Some(USER))).await.unwrap();
            assert_eq!(set(user(), owner(Some(1001), None)).await, Err(S::NFS3ERR_PERM));
            assert_eq!(set(user(), owner(None, Some(50))).await, Err(S::NFS3ERR_PERM));
            assert_eq!(set(user(), owner(Some(u32::MAX), None)).await, Err(S::NFS3ERR_INVAL));
            set(caller(USER, USER, &[50]), owner(None, Some(50))).await.unwrap();
            let other = caller(2000, 2000, &[]);
            assert_eq!(set(other.clone(), mode(0o777)).await, Err(S::NFS3ERR_PERM));
            assert_eq!(set(other.clone(), server_times()).await, Err(S::NFS3ERR_ACCES));
            assert_eq!(set(other.clone(), size(0)).await, Err(S::NFS3ERR_ACCES));
            set(caller(0, 0, &[]), owner(Some(3000), Some(3001))).await.unwrap();
        }
        drop(scratch);
        let scratch = open(root, ownership);
        for id in [id, folder] {
            let is = scratch.attributes(id).await.unwrap();
            assert_eq!((is.uid, is.gid, is.mode), (3000, 3001, 0o640));
        }
        // The owner writes what the mode forbids: the client checks when it opens, and the server sees no opening.
        let id = scratch.make(&orders(), "read-only").await;
        scratch.set_attributes(&user(), id, mode(0o400), None).await.result.unwrap();
        drop(scratch);
        let scratch = open(root, ownership);
        scratch.put(id, 0, b"x").await.result.unwrap();
        assert_eq!(scratch.attributes(id).await.unwrap().mode, 0o400);
    }

    async fn groups_come_from_set_group_id_folders(root, ownership) {
        let scratch = open(root, ownership);
        let made = scratch.make_directory(&caller(USER, 77, &[]), &orders(), b"d", mode(0o2775)).await;
        let folder = Folder::Scratch(made.result.unwrap().id);
        let id = scratch.make(&folder, "a").await;
        assert_eq!(scratch.attributes(id).await.unwrap().gid, 77);
        let Folder::Scratch(inner) = scratch.make_folder(&folder, "e").await else { unreachable!() };
        let inner = scratch.attributes(inner).await.unwrap();
        assert_eq!((inner.gid, inner.mode), (77, 0o2755));
    }

    async fn the_quota_holds(root, ownership) {
        let options = Options { quota: 1000, objects: 3, ..options(ownership) };
        let scratch = Scratch::open(root.join("scratch"), options.clone()).unwrap();
        let a = scratch.make(&orders(), "a").await;
        let b = scratch.make(&orders(), "b").await;
        scratch.put(a, 0, &[1; 600]).await.result.unwrap();
        assert_eq!(scratch.put(b, 0, &[1; 401]).await.result.unwrap_err(), S::NFS3ERR_NOSPC);
        let sparse = scratch.set_attributes(&user(), b, size(401), None).await;
        assert_eq!(sparse.result, Err(S::NFS3ERR_NOSPC));
        scratch.put(b, 0, &[1; 400]).await.result.unwrap();
        assert_eq!(scratch.space().await.unwrap().free, 0);
        // What is there can be written again.
        scratch.put(a, 0, &[2; 600]).await.result.unwrap();
        let how = createhow3::GUARDED(size(1));
        assert_eq!(scratch.create(&user(), &orders(), b"c", how).await.result.unwrap_err(), S::NFS3ERR_NOSPC);
        assert_eq!(scratch.names(&orders()).await, ["a", "b"]);
        scratch.set_attributes(&user(), a, size(100), None).await.result.unwrap();
        scratch.make(&orders(), "c").await;
        assert_eq!(scratch.usage(), Usage { bytes: 500, objects: 3 });
        let fourth = scratch.make_directory(&user(), &orders(), b"d", mode(0o755)).await;
        assert_eq!(fourth.result.unwrap_err(), S::NFS3ERR_NOSPC);
        scratch.rename((&orders(), b"c"), (&orders(), b"a")).await.0.result.unwrap();
        assert_eq!(scratch.usage(), Usage { bytes: 400, objects: 2 });
        drop(scratch);
        let scratch = Scratch::open(root.join("scratch"), options).unwrap();
        assert_eq!(scratch.usage(), Usage { bytes: 400, objects: 2 });
    }

    async fn what_the_host_replaces_is_another_object(root, ownership) {
        let scratch = Scratch::open(root.join("scratch"), Options { open_files: 1, ..options(ownership) }).unwrap();
        let id = scratch.make(&orders(), "a").await;
        let path = scratch.path(id).await.unwrap();
        scratch.make(&orders(), "other").await;
        // The host's file system is likely to give the same inode again.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "other").unwrap();
        assert_eq!(scratch.attributes(id).await.unwrap_err(), S::NFS3ERR_STALE);
        let found = scratch.lookup(&orders(), b"a").await.unwrap();
        assert_ne!(found.id, id);
        assert_eq!(scratch.bytes(found.id).await, b"other");
        assert_eq!(scratch.read(id, 0, 1).await.unwrap_err(), S::NFS3ERR_STALE);
    }

    async fn ids_live_through_restarts(root, ownership) {
        let stable = Options { sync_metadata: true, ..options(ownership) };
        let scratch = Scratch::open(root.join("scratch"), stable).unwrap();
        let folder = scratch.make_folder(&orders(), "d").await;
        let id = scratch.make(&folder, ".a.swp").await;
        let link = scratch.make_link(&user(), &folder, b"l", b"target", mode(0o777)).await.result.unwrap().id;
        scratch.put(id, 0, b"text").await.result.unwrap();
        let was = scratch.attributes(id).await.unwrap();
        drop(scratch);
        let scratch = open(root, ownership);
        let is = scratch.attributes(id).await.unwrap();
        assert_eq!((is.fileid, is.mtime, is.ctime, is.size, is.mode), (was.fileid, was.mtime, was.ctime, 4, was.mode));
        assert_eq!(scratch.bytes(id).await, b"text");
        assert_eq!(scratch.read_link(link).await.unwrap(), b"target");
        assert_eq!(scratch.names(&folder).await, [".a.swp", "l"]);
        assert_eq!(scratch.parent(id).await.unwrap(), folder);
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), Ownership::Recorded);
    let second = Scratch::open(folder.path().join("scratch"), options(Ownership::Recorded));
    let error = second.unwrap_err().to_string();
    assert!(error.contains("in use by another server"), "{error}");
    drop(first);
    open(folder.path(), Ownership::Recorded);
}

#[tokio::test]
async fn rights_by_class() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = open(folder.path(), Ownership::Recorded);
    let id = scratch.make(&orders(), "a").await;
    scratch
        .set_attributes(&user(), id, mode(0o754), None)
        .await
        .result
        .unwrap();
    let file = scratch.attributes(id).await.unwrap();
    let write = ACCESS3_MODIFY | ACCESS3_EXTEND;
    assert_eq!(granted(&user(), &file), ACCESS3_READ | write | ACCESS3_EXECUTE);
    assert_eq!(granted(&caller(1, 2, &[USER]), &file), ACCESS3_READ | ACCESS3_EXECUTE);
    assert_eq!(granted(&caller(1, 2, &[3]), &file), ACCESS3_READ);
    assert_eq!(
        granted(&caller(0, 0, &[]), &file),
        ACCESS3_READ | write | ACCESS3_EXECUTE
    );
    scratch
        .set_attributes(&user(), id, mode(0o060), None)
        .await
        .result
        .unwrap();
    let file = scratch.attributes(id).await.unwrap();
    assert_eq!(granted(&user(), &file), 0);
    assert_eq!(granted(&caller(0, 0, &[]), &file), ACCESS3_READ | write);
    let folder = scratch.folder(&orders()).await.unwrap().unwrap();
    let all = ACCESS3_READ | write | ACCESS3_DELETE | ACCESS3_LOOKUP;
    assert_eq!(granted(&caller(0, 0, &[]), &folder), all);
}
