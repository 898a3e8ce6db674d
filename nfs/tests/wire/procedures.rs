//! Every procedure, through a client that takes replies apart to the last byte.

use nfs3_client::tokio::TokioIo;
use nfs3_client::{MountClient, PortmapperClient};
use nfs3_types::mount::dirpath;
use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Opaque;
use tokio::net::TcpStream;

use crate::support::memory::Memory;
use crate::support::{Client, Wire, local, opaque, root, start, status, words};

fn place<'a>(directory: &nfs_fh3, name: &'a [u8]) -> diropargs3<'a> {
    diropargs3 {
        dir: directory.clone(),
        name: name.into(),
    }
}

fn fail<T, E: std::fmt::Debug>(result: Nfs3Result<T, E>) -> nfsstat3 {
    match result {
        Nfs3Result::Ok(_) => nfsstat3::NFS3_OK,
        Nfs3Result::Err((status, _)) => status,
    }
}

async fn make(client: &mut Client, name: &[u8]) -> nfs_fh3 {
    let root = client.root_nfs_fh3();
    let made = client
        .create(&CREATE3args {
            where_: place(&root, name),
            how: createhow3::GUARDED(sattr3 {
                mode: Nfs3Option::Some(0o640),
                ..sattr3::default()
            }),
        })
        .await
        .unwrap()
        .unwrap();
    assert!(made.dir_wcc.before.is_some() && made.dir_wcc.after.is_some());
    assert_eq!(made.obj_attributes.unwrap().mode, 0o640);
    made.obj.unwrap()
}

async fn write(client: &mut Client, file: &nfs_fh3, offset: u64, data: &[u8], stable: stable_how) -> WRITE3resok {
    client
        .write(&WRITE3args {
            file: file.clone(),
            offset,
            count: u32::try_from(data.len()).unwrap(),
            stable,
            data: Opaque::borrowed(data),
        })
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn files() {
    let running = start(local(), Memory::default());
    let mut client = running.mount_as(1000).await;
    client.null().await.unwrap();
    let file = make(&mut client, b"a.csv").await;

    let written = write(&mut client, &file, 0, b"hello", stable_how::UNSTABLE).await;
    assert_eq!((written.count, written.committed), (5, stable_how::UNSTABLE));
    assert!(matches!(written.file_wcc.before, Nfs3Option::Some(before) if before.size == 0));
    assert_eq!(written.file_wcc.after.unwrap().size, 5);
    let written = write(&mut client, &file, 5, b" world", stable_how::FILE_SYNC).await;
    assert_eq!(written.committed, stable_how::FILE_SYNC);
    let committed = client
        .commit(&COMMIT3args {
            file: file.clone(),
            offset: 0,
            count: 0,
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(committed.verf, written.verf);

    let mut read = async |offset, count| {
        let args = READ3args {
            file: file.clone(),
            offset,
            count,
        };
        let read = client.read(&args).await.unwrap().unwrap();
        assert_eq!(read.count as usize, read.data.len());
        (read.data.to_vec(), read.eof)
    };
    for (length, eof) in [
        (0, false),
        (1, false),
        (2, false),
        (3, false),
        (4, false),
        (10, false),
        (11, true),
        (99, true),
    ] {
        let whole = b"hello world";
        assert_eq!(
            read(0, length).await,
            (whole[..whole.len().min(length as usize)].to_vec(), eof)
        );
    }
    assert_eq!(read(11, 5).await, (vec![], true));
    assert_eq!(read(u64::MAX, 5).await, (vec![], true));

    let got = client
        .getattr(&file.clone().into())
        .await
        .unwrap()
        .unwrap()
        .obj_attributes;
    assert_eq!(
        (got.size, got.uid, got.gid, got.type_),
        (11, 1000, 1000, ftype3::NF3REG)
    );
    let mut set = async |size, guard| {
        let args = SETATTR3args {
            object: file.clone(),
            new_attributes: sattr3 {
                size: Nfs3Option::Some(size),
                ..sattr3::default()
            },
            guard,
        };
        client.setattr(&args).await.unwrap()
    };
    assert_eq!(
        set(4, Nfs3Option::Some(got.ctime))
            .await
            .unwrap()
            .obj_wcc
            .after
            .unwrap()
            .size,
        4
    );
    assert_eq!(
        fail(set(3, Nfs3Option::Some(got.ctime)).await),
        nfsstat3::NFS3ERR_NOT_SYNC
    );
    assert_eq!(fail(set(u64::MAX, Nfs3Option::None).await), nfsstat3::NFS3ERR_FBIG);

    let args = ACCESS3args {
        object: file.clone(),
        access: 0x3f,
    };
    let access = client.access(&args).await.unwrap().unwrap();
    assert_eq!(access.access, ACCESS3_READ | ACCESS3_MODIFY | ACCESS3_EXTEND);
    let mut stranger = running.mount_as(7).await;
    assert_eq!(stranger.access(&args).await.unwrap().unwrap().access, 0);
    let args = READ3args {
        file,
        offset: 0,
        count: 1,
    };
    assert_eq!(fail(stranger.read(&args).await.unwrap()), nfsstat3::NFS3ERR_ACCES);
}

#[tokio::test]
async fn names() {
    let running = start(local(), Memory::default());
    let mut client = running.mount_as(0).await;
    let root = client.root_nfs_fh3();
    let file = make(&mut client, b"a").await;

    let mut lookup = async |directory: &nfs_fh3, name: &[u8]| {
        client
            .lookup(&LOOKUP3args {
                what: place(directory, name),
            })
            .await
            .unwrap()
    };
    let found = lookup(&root, b"a").await.unwrap();
    assert_eq!(found.object, file);
    assert!(found.obj_attributes.is_some() && found.dir_attributes.is_some());
    assert_eq!(lookup(&root, b".").await.unwrap().object, root);
    assert_eq!(lookup(&root, b"..").await.unwrap().object, root);
    assert_eq!(fail(lookup(&root, b"b").await), nfsstat3::NFS3ERR_NOENT);
    assert_eq!(fail(lookup(&file, b"b").await), nfsstat3::NFS3ERR_NOTDIR);

    let mut exclusive = async |verifier| {
        let how = createhow3::EXCLUSIVE(createverf3([verifier; 8]));
        let args = CREATE3args {
            where_: place(&root, b"x"),
            how,
        };
        fail(client.create(&args).await.unwrap())
    };
    assert_eq!(exclusive(1).await, nfsstat3::NFS3_OK);
    assert_eq!(exclusive(2).await, nfsstat3::NFS3ERR_EXIST);

    let made = client
        .mkdir(&MKDIR3args {
            where_: place(&root, b"d"),
            attributes: sattr3::default(),
        })
        .await
        .unwrap()
        .unwrap();
    let folder = made.obj.unwrap();
    let made = client
        .symlink(&SYMLINK3args {
            where_: place(&folder, b"l"),
            symlink: symlinkdata3 {
                symlink_attributes: sattr3::default(),
                symlink_data: nfspath3(Opaque::borrowed(b"../a")),
            },
        })
        .await
        .unwrap()
        .unwrap();
    let link = READLINK3args {
        symlink: made.obj.unwrap(),
    };
    assert_eq!(client.readlink(&link).await.unwrap().unwrap().data.as_ref(), b"../a");
    assert_eq!(
        fail(client.readlink(&READLINK3args { symlink: file.clone() }).await.unwrap()),
        nfsstat3::NFS3ERR_INVAL
    );

    let renamed = client
        .rename(&RENAME3args {
            from: place(&root, b"a"),
            to: place(&folder, b"b"),
        })
        .await
        .unwrap()
        .unwrap();
    assert!(renamed.fromdir_wcc.before.is_some() && renamed.todir_wcc.before.is_some());
    let rmdir = RMDIR3args {
        object: place(&root, b"d"),
    };
    assert_eq!(fail(client.rmdir(&rmdir).await.unwrap()), nfsstat3::NFS3ERR_NOTEMPTY);
    for name in [b"b", b"l"] {
        client
            .remove(&REMOVE3args {
                object: place(&folder, name),
            })
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(
        fail(
            client
                .remove(&REMOVE3args {
                    object: place(&root, b"d")
                })
                .await
                .unwrap()
        ),
        nfsstat3::NFS3ERR_ISDIR
    );
    client.rmdir(&rmdir).await.unwrap().unwrap();
    assert_eq!(
        fail(client.getattr(&folder.into()).await.unwrap()),
        nfsstat3::NFS3ERR_STALE
    );
}

#[tokio::test]
async fn what_there_is_not() {
    let running = start(local(), Memory::default());
    let mut client = running.mount_as(0).await;
    let root = client.root_nfs_fh3();
    let file = make(&mut client, b"a").await;
    let link = LINK3args {
        file,
        link: place(&root, b"b"),
    };
    assert_eq!(fail(client.link(&link).await.unwrap()), nfsstat3::NFS3ERR_PERM);
    let node = MKNOD3args {
        where_: place(&root, b"p"),
        what: mknoddata3::NF3FIFO(sattr3::default()),
    };
    assert_eq!(fail(client.mknod(&node).await.unwrap()), nfsstat3::NFS3ERR_PERM);
    let bad = nfs_fh3 {
        data: Opaque::borrowed(b"none"),
    };
    assert_eq!(
        fail(client.getattr(&bad.clone().into()).await.unwrap()),
        nfsstat3::NFS3ERR_BADHANDLE
    );
    // The client takes each failure apart to its last byte.
    assert_eq!(
        fail(client.fsinfo(&bad.clone().into()).await.unwrap()),
        nfsstat3::NFS3ERR_BADHANDLE
    );
    assert_eq!(
        fail(client.fsstat(&bad.clone().into()).await.unwrap()),
        nfsstat3::NFS3ERR_BADHANDLE
    );
    assert_eq!(
        fail(client.pathconf(&bad.clone().into()).await.unwrap()),
        nfsstat3::NFS3ERR_BADHANDLE
    );
    let rename = RENAME3args {
        from: place(&bad, b"a"),
        to: place(&bad, b"b"),
    };
    assert_eq!(fail(client.rename(&rename).await.unwrap()), nfsstat3::NFS3ERR_BADHANDLE);
}

#[tokio::test]
async fn limits() {
    let running = start(local(), Memory::default());
    let mut client = running.mount_as(0).await;
    let root = client.root_nfs_fh3();
    let info = client.fsinfo(&root.clone().into()).await.unwrap().unwrap();
    assert_eq!((info.rtmax, info.wtmax), (1 << 20, 1 << 20));
    assert_eq!(info.maxfilesize, 1 << 50);
    assert_eq!(info.properties, FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME);
    let path = client.pathconf(&root.clone().into()).await.unwrap().unwrap();
    assert_eq!((path.linkmax, path.name_max), (1, 255));
    assert!(path.no_trunc && path.chown_restricted && !path.case_insensitive && path.case_preserving);
    let space = client.fsstat(&root.into()).await.unwrap().unwrap();
    assert_eq!((space.tbytes, space.abytes, space.ffiles), (1 << 40, 1 << 39, 1 << 19));
}

/// CREATE, MKDIR, SYMLINK, REMOVE, RMDIR, RENAME from and to, LOOKUP.
async fn statuses(wire: &mut Wire, name: &[u8]) -> Vec<u32> {
    let name = [root(), opaque(name)].concat();
    let other = [root(), opaque(b"other")].concat();
    let nothing = words(&[0; 6]);
    let mut statuses = Vec::new();
    for (procedure, arguments) in [
        (8, [&name[..], &words(&[0]), &nothing].concat()),
        (9, [&name[..], &nothing].concat()),
        (10, [&name[..], &nothing, &opaque(b"to")].concat()),
        (12, name.clone()),
        (13, name.clone()),
        (14, [&name[..], &other].concat()),
        (14, [&other[..], &name].concat()),
        (3, name.clone()),
    ] {
        let result = wire.nfs(rand::random(), procedure, &arguments).await;
        statuses.push(status(&result));
    }
    statuses
}

#[tokio::test]
async fn names_that_no_file_can_have() {
    let running = start(local(), Memory::default());
    let mut wire = running.wire().await;
    let (acces, exist, inval, long) = (13, 17, 22, 63);
    assert_eq!(
        statuses(&mut wire, b".").await,
        [exist, exist, exist, acces, inval, inval, inval, 0]
    );
    assert_eq!(
        statuses(&mut wire, b"..").await,
        [exist, exist, exist, acces, exist, inval, inval, 0]
    );
    for name in [&b""[..], b"a/b", b"/", b"a\0"] {
        assert_eq!(statuses(&mut wire, name).await, [acces; 8]);
    }
    for length in [256, 257, 4000, 100_000] {
        assert_eq!(statuses(&mut wire, &vec![b'a'; length]).await, [long; 8]);
    }
    assert_eq!(
        statuses(&mut wire, &[0xff; 255]).await,
        [0, exist, exist, 0, 2, 2, 2, 2]
    );
}

#[tokio::test]
async fn a_write_says_its_length_twice() {
    let running = start(local(), Memory::default());
    let mut client = running.mount_as(0).await;
    let file = make(&mut client, b"a").await;
    let mut args = WRITE3args {
        file,
        offset: 0,
        count: 4,
        stable: stable_how::FILE_SYNC,
        data: Opaque::borrowed(b"hello"),
    };
    assert_eq!(fail(client.write(&args).await.unwrap()), nfsstat3::NFS3ERR_INVAL);
    args.count = 5;
    args.offset = u64::MAX;
    assert_eq!(fail(client.write(&args).await.unwrap()), nfsstat3::NFS3ERR_FBIG);
}

#[tokio::test]
async fn mount_and_port_mapper() {
    let running = start(local(), Memory::default());
    let connect = async || TokioIo::new(TcpStream::connect(running.address).await.unwrap());
    let path = |path: &'static [u8]| dirpath(Opaque::borrowed(path));
    let mut mount = MountClient::new(connect().await);
    mount.null().await.unwrap();
    assert_eq!(mount.mnt(path(b"/")).await.unwrap().auth_flavors, [1, 0]);
    mount.mnt(path(b"/share")).await.unwrap();
    mount.mnt(path(b"/share")).await.unwrap();
    assert!(mount.mnt(path(b"/elsewhere")).await.is_err());
    assert!(mount.mnt(path(b"\xff")).await.is_err());
    let mut mounts = async || {
        let mounts = mount.dump().await.unwrap().into_inner();
        let text = |it: &Opaque<'_>| String::from_utf8(it.to_vec()).unwrap();
        let mounts = mounts
            .iter()
            .map(|it| (text(&it.ml_hostname.0), text(&it.ml_directory.0)));
        mounts.collect::<Vec<_>>()
    };
    let at = |path: &str| ("127.0.0.1".to_owned(), path.to_owned());
    assert_eq!(mounts().await, [at("/"), at("/share")]);
    let mut second = MountClient::new(connect().await);
    second.umnt(path(b"/")).await.unwrap();
    assert_eq!(mounts().await, [at("/share")]);
    second.umntall().await.unwrap();
    assert_eq!(mounts().await, []);
    let exports = second.export().await.unwrap().into_inner();
    let exports: Vec<_> = exports.iter().map(|it| it.ex_dir.0.to_vec()).collect();
    assert_eq!(exports, [b"/".to_vec(), b"/share".to_vec()]);

    let mut mapper = PortmapperClient::new(connect().await);
    mapper.null().await.unwrap();
    for program in [100_003, 100_005, 100_000] {
        assert_eq!(mapper.getport(program, 3, 6).await.unwrap(), running.address.port());
    }
    assert!(mapper.getport(100_003, 3, 17).await.is_err());
    assert!(mapper.getport(100_021, 4, 6).await.is_err());
    assert_eq!(mapper.dump().await.unwrap().len(), 3);

    let counters = running.server.counters();
    let count = |program, procedure| {
        let mut all = counters.procedures.iter();
        let it = all
            .find(|it| (it.program, it.procedure) == (program, procedure))
            .unwrap();
        (it.calls, it.errors)
    };
    assert_eq!(count("MOUNT", "MNT"), (5, 2));
    assert_eq!(count("PORTMAP", "GETPORT"), (5, 0));
}
