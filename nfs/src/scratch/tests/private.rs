//! Files that come in, files that go out, files that nobody uses.

use super::*;
use crate::file_system::Status as S;

each_ownership! {
    async fn taken_files_stay_readable(root, ownership) {
        let scratch = open(root, ownership);
        let id = scratch.make(&orders(), "sedXYZ").await;
        scratch.put(id, 0, b"text").await.result.unwrap();
        assert_eq!(scratch.release(id).await, Err(S::NFS3ERR_INVAL));
        let was = scratch.folder(&orders()).await.unwrap().unwrap();
        let effect = scratch.take(id).await;
        assert_eq!(effect.before.unwrap().ctime, was.ctime);
        let path = effect.result.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        assert_eq!(scratch.names(&orders()).await, Vec::<String>::new());
        assert_eq!(scratch.bytes(id).await, b"text");
        scratch.put(id, 4, b"!").await.result.unwrap();
        assert_eq!(scratch.parent(id).await.unwrap_err(), S::NFS3ERR_NOENT);
        assert_eq!(scratch.take(id).await.result.unwrap_err(), S::NFS3ERR_NOENT);
        drop(scratch);
        let scratch = open(root, ownership);
        let taken = scratch.taken().await.unwrap();
        assert_eq!(taken.iter().map(|found| found.id).collect::<Vec<_>>(), [id]);
        assert_eq!(scratch.bytes(id).await, b"text!");
        assert_eq!(scratch.usage(), Usage { bytes: 5, objects: 1 });
        // Back it goes, as the same object.
        let path = scratch.path(id).await.unwrap();
        let back = scratch.adopt(path, &orders(), b"again", None).await.result.unwrap();
        assert_eq!(back.id, id);
        assert_eq!(scratch.usage(), Usage { bytes: 5, objects: 1 });
        scratch.take(id).await.result.unwrap();
        scratch.release(id).await.unwrap();
        assert_eq!(scratch.read(id, 0, 1).await.unwrap_err(), S::NFS3ERR_STALE);
        assert_eq!(scratch.usage(), Usage { bytes: 0, objects: 0 });
        let Folder::Scratch(folder) = scratch.make_folder(&orders(), "d").await else { unreachable!() };
        assert_eq!(scratch.take(folder).await.result.unwrap_err(), S::NFS3ERR_INVAL);
    }

    async fn adopted_files_replace(root, ownership) {
        let scratch = open(root, ownership);
        let spool = root.join("spool");
        let adopt = async |text: &str, name: &str| {
            std::fs::write(&spool, text).unwrap();
            scratch.adopt(spool.clone(), &orders(), name.as_bytes(), Some((&user(), 0o640))).await
        };
        let effect = adopt("id,name\nx,y\n", "data.csv.rej").await;
        let first = effect.result.unwrap();
        assert_eq!((first.attributes.uid, first.attributes.mode, first.attributes.size), (USER, 0o640, 12));
        assert!(!spool.exists());
        let second = adopt("other\n", "data.csv.rej").await.result.unwrap();
        assert_eq!(scratch.read(first.id, 0, 1).await.unwrap_err(), S::NFS3ERR_STALE);
        assert_eq!(scratch.bytes(second.id).await, b"other\n");
        assert_eq!(scratch.usage(), Usage { bytes: 6, objects: 1 });
        scratch.make_folder(&orders(), "d").await;
        assert_eq!(adopt("x", "d").await.result.unwrap_err(), S::NFS3ERR_ISDIR);
        assert!(spool.exists());
        assert_eq!(scratch.usage(), Usage { bytes: 6, objects: 2 });
        let missing = scratch.adopt(root.join("missing"), &orders(), b"x", None).await;
        assert_eq!(missing.result.unwrap_err(), S::NFS3ERR_NOENT);
        let folder = scratch.adopt(root.to_path_buf(), &orders(), b"x", None).await;
        assert_eq!(folder.result.unwrap_err(), S::NFS3ERR_INVAL);
    }

    async fn adopted_files_of_another_file_system_are_copied(root, ownership) {
        let Ok(far) = tempfile::tempdir_in("/dev/shm") else { return };
        let spool = far.path().join("spool");
        std::fs::write(&spool, "text").unwrap();
        let scratch = open(root, ownership);
        let found = scratch.adopt(spool.clone(), &orders(), b"a", Some((&user(), 0o600))).await.result.unwrap();
        assert_eq!(scratch.bytes(found.id).await, b"text");
        assert!(!spool.exists());
        assert_eq!(scratch.usage(), Usage { bytes: 4, objects: 1 });
        assert_eq!(scratch.taken().await.unwrap().len(), 0);
    }

    async fn unused_files_go(root, ownership) {
        let unused = Options { unused: Duration::from_secs(1), ..options(ownership) };
        let scratch = Scratch::open(root.join("scratch"), unused.clone()).unwrap();
        let folder = scratch.make_folder(&orders(), "d").await;
        let old = scratch.make(&folder, "old").await;
        scratch.put(old, 0, b"old").await.result.unwrap();
        let read = scratch.make(&orders(), "read").await;
        let taken = scratch.make(&orders(), "taken").await;
        scratch.take(taken).await.result.unwrap();
        scratch.make_link(&user(), &orders(), b"link", b"x", mode(0o777)).await.result.unwrap();
        assert_eq!(scratch.expire().await, Ok(0));
        tokio::time::sleep(Duration::from_millis(3100)).await;
        scratch.read(read, 0, 1).await.unwrap();
        assert_eq!(scratch.expire().await, Ok(2));
        assert_eq!(scratch.attributes(old).await.unwrap_err(), S::NFS3ERR_STALE);
        assert_eq!(scratch.names(&orders()).await, ["d", "read"]);
        scratch.attributes(taken).await.unwrap();
        assert_eq!(scratch.usage(), Usage { bytes: 0, objects: 3 });
    }
}
