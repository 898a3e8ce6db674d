//! Names: CREATE, MKDIR, SYMLINK, REMOVE, RMDIR, RENAME, LOOKUP, READDIR.

use super::*;
use crate::file_system::Status as S;

each_ownership! {
    async fn created_files_are_found(root, ownership) {
        let scratch = open(root, ownership);
        assert_eq!(scratch.folder(&orders()).await.unwrap().map(|_| ()), None);
        assert_eq!(scratch.names(&orders()).await, Vec::<String>::new());
        assert_eq!(scratch.lookup(&orders(), b"a").await.unwrap_err(), S::NFS3ERR_NOENT);
        let id = scratch.make(&orders(), "a").await;
        let found = scratch.lookup(&orders(), b"a").await.unwrap();
        assert_eq!(found.id, id);
        assert_eq!(found.attributes.fileid, file_id(id.inode));
        assert_eq!((found.attributes.uid, found.attributes.gid, found.attributes.mode), (USER, USER, 0o644));
        assert_eq!((found.attributes.fsid, found.attributes.nlink, found.attributes.size), (7, 1, 0));
        assert_eq!(scratch.names(&orders()).await, ["a"]);
        assert_eq!(scratch.parent(id).await.unwrap(), orders());
        let folder = scratch.folder(&orders()).await.unwrap().unwrap();
        assert_eq!(folder.mode, 0o755);
    }

    async fn folders_of_the_mount_do_not_meet_scratch_names(root, ownership) {
        let scratch = open(root, ownership);
        let top = Folder::Mount(Vec::new());
        // Names of the server's own layout, and of a table.
        for name in ["files", "folders", "orders", "mount", "taken"] {
            scratch.make_folder(&top, name).await;
        }
        scratch.make(&orders(), "x").await;
        let deep = Folder::Mount(vec!["sales".into(), "orders".into()]);
        scratch.make(&deep, "y").await;
        assert_eq!(scratch.names(&top).await, ["files", "folders", "mount", "orders", "taken"]);
        assert_eq!(scratch.names(&orders()).await, ["x"]);
        drop(scratch);
        let scratch = open(root, ownership);
        assert_eq!(scratch.names(&deep).await, ["y"]);
        assert_eq!(scratch.usage().objects, 7);
    }

    async fn guarded_and_unchecked(root, ownership) {
        let scratch = open(root, ownership);
        let id = scratch.make(&orders(), "a").await;
        scratch.put(id, 0, b"12345").await.result.unwrap();
        let create = |how| {
            let scratch = scratch.clone();
            async move { scratch.create(&user(), &orders(), b"a", how).await.result }
        };
        assert_eq!(create(createhow3::GUARDED(mode(0o600))).await.unwrap_err(), S::NFS3ERR_EXIST);
        // Neither the mode nor the bytes of a file that is there.
        let again = create(createhow3::UNCHECKED(mode(0o600))).await.unwrap();
        assert_eq!((again.id, again.attributes.mode, again.attributes.size), (id, 0o644, 5));
        let again = create(createhow3::UNCHECKED(size(2))).await.unwrap();
        assert_eq!((again.id, again.attributes.size), (id, 2));
        assert_eq!(scratch.bytes(id).await, b"12");
        assert_eq!(scratch.usage().bytes, 2);
        scratch.make_folder(&orders(), "d").await;
        let over = scratch.create(&user(), &orders(), b"d", createhow3::UNCHECKED(mode(0o600))).await;
        assert_eq!(over.result.unwrap_err(), S::NFS3ERR_EXIST);
    }

    async fn exclusive_is_repeated_after_a_restart(root, ownership) {
        let create = async |scratch: &Scratch, verifier| {
            let how = createhow3::EXCLUSIVE(createverf3(verifier));
            scratch.create(&user(), &orders(), b"sedAbCdEf", how).await.result.map(|found| found.id)
        };
        let verifier = [0xff, 2, 3, 4, 0xfe, 6, 7, 8];
        let scratch = open(root, ownership);
        let id = create(&scratch, verifier).await.unwrap();
        assert_eq!(create(&scratch, verifier).await, Ok(id));
        assert_eq!(create(&scratch, [1; 8]).await, Err(S::NFS3ERR_EXIST));
        drop(scratch);
        let scratch = open(root, ownership);
        assert_eq!(create(&scratch, [1; 8]).await, Err(S::NFS3ERR_EXIST));
        assert_eq!(create(&scratch, verifier).await, Ok(id));
        scratch.set_attributes(&user(), id, server_times(), None).await.result.unwrap();
        assert_eq!(create(&scratch, verifier).await, Err(S::NFS3ERR_EXIST));
    }

    async fn attributes_of_the_folder_around_a_change(root, ownership) {
        let scratch = open(root, ownership);
        scratch.make(&orders(), "a").await;
        let was = scratch.folder(&orders()).await.unwrap().unwrap();
        let effect = scratch.create(&user(), &orders(), b"b", createhow3::GUARDED(mode(0o644))).await;
        assert_eq!(effect.before.unwrap().ctime, was.ctime);
        let after = effect.after.unwrap();
        assert_eq!(after.ctime, scratch.folder(&orders()).await.unwrap().unwrap().ctime);
        let failed = scratch.create(&user(), &orders(), b"b", createhow3::GUARDED(mode(0o644))).await;
        assert_eq!(failed.result.unwrap_err(), S::NFS3ERR_EXIST);
        assert_eq!(failed.before.unwrap().ctime, failed.after.unwrap().ctime);
    }

    async fn names_that_cannot_be(root, ownership) {
        let scratch = open(root, ownership);
        let long = vec![b'x'; 256];
        let names: [(&[u8], S); 7] = [
            (b"", S::NFS3ERR_INVAL),
            (b".", S::NFS3ERR_INVAL),
            (b"..", S::NFS3ERR_INVAL),
            (b"a/b", S::NFS3ERR_INVAL),
            (b"/etc", S::NFS3ERR_INVAL),
            (b"a\0", S::NFS3ERR_INVAL),
            (&long, S::NFS3ERR_NAMETOOLONG),
        ];
        let id = scratch.make(&orders(), "a").await;
        for (name, status) in names {
            let folder = &orders();
            assert_eq!(scratch.lookup(folder, name).await.unwrap_err(), status);
            let created = scratch.create(&user(), folder, name, createhow3::UNCHECKED(mode(0o644))).await;
            assert_eq!(created.result.unwrap_err(), status);
            assert_eq!(scratch.make_directory(&user(), folder, name, mode(0o755)).await.result.unwrap_err(), status);
            assert_eq!(scratch.make_link(&user(), folder, name, b"x", mode(0o755)).await.result.unwrap_err(), status);
            assert_eq!(scratch.remove(folder, name).await.result.unwrap_err(), status);
            assert_eq!(scratch.remove_directory(folder, name).await.result.unwrap_err(), status);
            assert_eq!(scratch.rename((folder, b"a"), (folder, name)).await.0.result.unwrap_err(), status);
            assert_eq!(scratch.rename((folder, name), (folder, b"b")).await.0.result.unwrap_err(), status);
            let bad = Folder::Mount(vec![String::from_utf8(name.to_vec()).unwrap()]);
            let created = scratch.create(&user(), &bad, b"x", createhow3::UNCHECKED(mode(0o644))).await;
            assert_eq!(created.result.unwrap_err(), status);
        }
        assert_eq!(scratch.lookup(&orders(), b"a").await.unwrap().id, id);
        // Bytes that are no text, and the longest name.
        for name in [&[0xff, 0xfe, b' ', b'\n'][..], &vec![b'y'; 255][..]] {
            scratch.create(&user(), &orders(), name, createhow3::GUARDED(mode(0o644))).await.result.unwrap();
            scratch.lookup(&orders(), name).await.unwrap();
        }
    }

    async fn removed_objects_are_stale(root, ownership) {
        let scratch = open(root, ownership);
        let id = scratch.make(&orders(), "a").await;
        scratch.put(id, 0, b"text").await.result.unwrap();
        let folder = scratch.make_folder(&orders(), "d").await;
        let Folder::Scratch(folder_id) = folder else { unreachable!() };
        assert_eq!(scratch.remove(&orders(), b"d").await.result, Err(S::NFS3ERR_ISDIR));
        assert_eq!(scratch.remove_directory(&orders(), b"a").await.result, Err(S::NFS3ERR_NOTDIR));
        assert_eq!(scratch.remove(&orders(), b"x").await.result, Err(S::NFS3ERR_NOENT));
        scratch.make(&folder, "inside").await;
        assert_eq!(scratch.remove_directory(&orders(), b"d").await.result, Err(S::NFS3ERR_NOTEMPTY));
        scratch.remove(&folder, b"inside").await.result.unwrap();
        scratch.remove_directory(&orders(), b"d").await.result.unwrap();
        scratch.remove(&orders(), b"a").await.result.unwrap();
        assert_eq!(scratch.usage(), Usage { bytes: 0, objects: 0 });
        for id in [id, folder_id] {
            assert_eq!(scratch.attributes(id).await.unwrap_err(), S::NFS3ERR_STALE);
            assert_eq!(scratch.read(id, 0, 1).await.unwrap_err(), S::NFS3ERR_STALE);
            assert_eq!(scratch.put(id, 0, b"x").await.result.unwrap_err(), S::NFS3ERR_STALE);
            assert_eq!(scratch.commit(id).await.result, Err(S::NFS3ERR_STALE));
            assert_eq!(scratch.path(id).await.unwrap_err(), S::NFS3ERR_STALE);
            assert_eq!(scratch.take(id).await.result.unwrap_err(), S::NFS3ERR_STALE);
            let set = scratch.set_attributes(&user(), id, mode(0o600), None).await;
            assert_eq!(set.result, Err(S::NFS3ERR_STALE));
        }
        assert_eq!(scratch.lookup(&folder, b"x").await.unwrap_err(), S::NFS3ERR_STALE);
        assert_eq!(scratch.list(&folder, false).await.unwrap_err(), S::NFS3ERR_STALE);
        // A file that got the same inode is another object.
        for _ in 0..8 {
            let next = scratch.make(&orders(), "a").await;
            assert_ne!(next, id);
            assert_eq!(scratch.attributes(id).await.unwrap_err(), S::NFS3ERR_STALE);
            scratch.remove(&orders(), b"a").await.result.unwrap();
        }
    }

    async fn files_are_no_folders(root, ownership) {
        let scratch = open(root, ownership);
        let file = Folder::Scratch(scratch.make(&orders(), "a").await);
        let link = scratch.make_link(&user(), &orders(), b"l", b"/", mode(0o777)).await.result.unwrap();
        for folder in [file, Folder::Scratch(link.id)] {
            assert_eq!(scratch.lookup(&folder, b"etc").await.unwrap_err(), S::NFS3ERR_NOTDIR);
            assert_eq!(scratch.list(&folder, true).await.unwrap_err(), S::NFS3ERR_NOTDIR);
            let made = scratch.create(&user(), &folder, b"x", createhow3::GUARDED(mode(0o644))).await;
            assert_eq!(made.result.unwrap_err(), S::NFS3ERR_NOTDIR);
        }
    }

    async fn renames(root, ownership) {
        let scratch = open(root, ownership);
        let rename = async |from: (&Folder, &str), to: (&Folder, &str)| {
            let (first, _) = scratch.rename((from.0, from.1.as_bytes()), (to.0, to.1.as_bytes())).await;
            first.result
        };
        let here = &orders();
        let there = &Folder::Mount(vec!["lines".into()]);
        let a = scratch.make(here, "a").await;
        scratch.put(a, 0, b"from a").await.result.unwrap();
        let b = scratch.make(here, "b").await;
        scratch.put(b, 0, b"from b").await.result.unwrap();
        rename((here, "a"), (here, "a")).await.unwrap();
        assert_eq!(rename((here, "x"), (here, "y")).await, Err(S::NFS3ERR_NOENT));
        // Over a file that is open: the old object is gone, the new one keeps its identity.
        rename((here, "a"), (here, "b")).await.unwrap();
        assert_eq!(scratch.lookup(here, b"b").await.unwrap().id, a);
        assert_eq!(scratch.bytes(a).await, b"from a");
        assert_eq!(scratch.read(b, 0, 9).await.unwrap_err(), S::NFS3ERR_STALE);
        assert_eq!(scratch.usage(), Usage { bytes: 6, objects: 1 });
        rename((here, "b"), (there, "c")).await.unwrap();
        assert_eq!(scratch.parent(a).await.unwrap(), *there);
        // Folders take along what is in them.
        let d = scratch.make_folder(here, "d").await;
        let e = scratch.make_folder(&d, "e").await;
        let inside = scratch.make(&e, "inside").await;
        scratch.put(inside, 0, b"deep").await.result.unwrap();
        rename((here, "d"), (there, "d2")).await.unwrap();
        assert_eq!(scratch.bytes(inside).await, b"deep");
        assert!(scratch.path(inside).await.unwrap().ends_with("lines/files/d2/e/inside"));
        assert_eq!(scratch.lookup(&e, b"inside").await.unwrap().id, inside);
        assert_eq!(rename((there, "d2"), (&e, "d3")).await, Err(S::NFS3ERR_INVAL));
        assert_eq!(rename((there, "c"), (there, "d2")).await, Err(S::NFS3ERR_ISDIR));
        assert_eq!(rename((there, "d2"), (there, "c")).await, Err(S::NFS3ERR_NOTDIR));
        let empty = scratch.make_folder(there, "empty").await;
        assert_eq!(rename((there, "empty"), (there, "d2")).await, Err(S::NFS3ERR_NOTEMPTY));
        rename((there, "d2"), (there, "empty")).await.unwrap();
        assert_eq!(scratch.list(&empty, false).await.unwrap_err(), S::NFS3ERR_STALE);
        assert_eq!(scratch.bytes(inside).await, b"deep");
        drop(scratch);
        let scratch = open(root, ownership);
        assert_eq!(scratch.bytes(inside).await, b"deep");
        assert_eq!(scratch.bytes(a).await, b"from a");
        assert_eq!(scratch.usage(), Usage { bytes: 10, objects: 4 });
    }

    async fn links_are_text(root, ownership) {
        let secret = root.join("secret");
        std::fs::create_dir(&secret).unwrap();
        std::fs::write(secret.join("key"), "secret").unwrap();
        let scratch = open(root, ownership);
        let target = secret.to_str().unwrap();
        let make = async |name: &str, target: &str| {
            let link = scratch.make_link(&user(), &orders(), name.as_bytes(), target.as_bytes(), mode(0o777)).await;
            link.result.unwrap().id
        };
        let folder = make("folder", target).await;
        let file = make("file", &format!("{target}/key")).await;
        let up = make("up", "../../../../../..").await;
        assert_eq!(scratch.read_link(folder).await.unwrap(), target.as_bytes());
        assert_eq!(scratch.read_link(up).await.unwrap(), b"../../../../../..");
        let plain = scratch.make(&orders(), "plain").await;
        assert_eq!(scratch.read_link(plain).await.unwrap_err(), S::NFS3ERR_INVAL);
        for link in [folder, file, up] {
            assert_eq!(scratch.read(link, 0, 10).await.unwrap_err(), S::NFS3ERR_INVAL);
            assert_eq!(scratch.put(link, 0, b"x").await.result.unwrap_err(), S::NFS3ERR_INVAL);
            assert_eq!(scratch.file(link).await.unwrap_err(), S::NFS3ERR_INVAL);
            assert_eq!(scratch.lookup(&Folder::Scratch(link), b"key").await.unwrap_err(), S::NFS3ERR_NOTDIR);
            let size = scratch.set_attributes(&caller(0, 0, &[]), link, size(0), None).await;
            assert_eq!(size.result, Err(S::NFS3ERR_INVAL));
        }
        // A create never goes through a link that has the name.
        for how in [createhow3::UNCHECKED(size(0)), createhow3::GUARDED(size(0)), createhow3::EXCLUSIVE(createverf3([1; 8]))] {
            let over = scratch.create(&user(), &orders(), b"file", how).await;
            assert_eq!(over.result.unwrap_err(), S::NFS3ERR_EXIST);
        }
        // A folder that somebody on the host replaces by a link leads nowhere.
        let real = scratch.make_folder(&orders(), "real").await;
        let inner = scratch.make_folder(&real, "inner").await;
        let Folder::Scratch(real_id) = real else { unreachable!() };
        let path = scratch.path(real_id).await.unwrap();
        drop(scratch);
        let scratch = Scratch::open(root.join("scratch"), Options { open_files: 1, ..options(ownership) }).unwrap();
        std::fs::create_dir(secret.join("inner")).unwrap();
        std::fs::rename(&path, path.with_file_name("elsewhere")).unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        scratch.make(&orders(), "other").await;
        for folder in [&real, &inner] {
            assert!(scratch.lookup(folder, b"key").await.is_err());
            let made = scratch.create(&user(), folder, b"new", createhow3::UNCHECKED(size(0))).await;
            assert!(made.result.is_err());
        }
        scratch.remove(&orders(), b"file").await.result.unwrap();
        assert_eq!(std::fs::read(secret.join("key")).unwrap(), b"secret");
        assert_eq!(std::fs::read_dir(&secret).unwrap().count(), 2);
        assert_eq!(std::fs::read_dir(secret.join("inner")).unwrap().count(), 0);
    }

    async fn five_thousand_names(root, ownership) {
        let scratch = open(root, ownership);
        let mut ids = std::collections::HashMap::new();
        for number in 0..5000 {
            let name = format!("file-{number}");
            ids.insert(name.clone(), scratch.make(&orders(), &name).await);
        }
        for with_attributes in [false, true] {
            let listed = scratch.list(&orders(), with_attributes).await.unwrap();
            assert_eq!(listed.len(), 5000);
            for entry in listed {
                assert_eq!(ids[std::str::from_utf8(&entry.name).unwrap()], entry.id);
                let attributes = entry.attributes.map(|attributes| (attributes.uid, attributes.fileid));
                assert_eq!(attributes, with_attributes.then_some((USER, file_id(entry.id.inode))));
            }
        }
        drop(scratch);
        let scratch = open(root, ownership);
        assert_eq!(scratch.usage().objects, 5000);
        let all: Vec<_> = ids.values().copied().collect();
        let attributes = scratch.attributes_of(all.clone()).await;
        for (id, attributes) in all.iter().zip(attributes) {
            assert_eq!(attributes.unwrap().fileid, file_id(id.inode));
        }
        for listed in scratch.list(&orders(), false).await.unwrap() {
            assert_eq!(ids[std::str::from_utf8(&listed.name).unwrap()], listed.id);
        }
    }
}
