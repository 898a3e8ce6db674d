//! READDIR and READDIRPLUS over a directory that needs many pages.

use std::collections::BTreeMap;

use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Unpack;

use crate::support::memory::Memory;
use crate::support::{NFS, Running, Wire, call, local, pack, root, start, status, words};

const NAMES: usize = 5000;

fn many() -> Running {
    let files = Memory::default();
    for number in 0..NAMES {
        files.put(&format!("file-{number:04}-{}", "x".repeat(number % 97)), b"".to_vec());
    }
    start(local(), files)
}

fn from_start() -> Vec<u8> {
    [root(), words(&[0; 4])].concat()
}

#[tokio::test]
async fn every_name_comes_once_whatever_the_size_of_pages() {
    let running = many();
    let mut client = running.mount_as(0).await;
    let root = client.root_nfs_fh3();
    for count in [600, 4096, 32 << 10, 4 << 20] {
        let (mut seen, mut cookie, mut cookieverf) = (BTreeMap::new(), 0, cookieverf3::default());
        loop {
            let args = READDIR3args {
                dir: root.clone(),
                cookie,
                cookieverf,
                count,
            };
            let page = client.readdir(&args).await.unwrap().unwrap();
            assert!(page.dir_attributes.is_some());
            let eof = page.reply.eof;
            let entries = page.reply.entries.into_inner();
            assert!(eof || !entries.is_empty());
            for entry in entries {
                cookie = entry.cookie;
                assert!(
                    seen.insert(entry.name.0.to_vec(), entry.fileid).is_none(),
                    "{:?} twice",
                    entry.name
                );
            }
            cookieverf = page.cookieverf;
            if eof {
                break;
            }
        }
        assert_eq!(seen.len(), NAMES + 2, "pages of {count}");
    }
}

#[tokio::test]
async fn names_that_go_between_pages_take_no_others_with_them() {
    let running = many();
    let mut client = running.mount_as(0).await;
    let root = client.root_nfs_fh3();
    let (mut seen, mut cookie) = (0, 0);
    loop {
        let args = READDIRPLUS3args {
            dir: root.clone(),
            cookie,
            cookieverf: cookieverf3(*b"constant"),
            dircount: 4096,
            maxcount: 32 << 10,
        };
        let page = client.readdirplus(&args).await.unwrap().unwrap();
        for entry in page.reply.entries.into_inner() {
            cookie = entry.cookie;
            if entry.fileid == 1 {
                continue;
            }
            seen += 1;
            assert!(matches!(&entry.name_attributes, Nfs3Option::Some(it) if it.fileid == entry.fileid));
            assert!(entry.name_handle.is_some());
            let object = diropargs3 {
                dir: root.clone(),
                name: entry.name,
            };
            client.remove(&REMOVE3args { object }).await.unwrap().unwrap();
        }
        if page.reply.eof {
            break;
        }
    }
    assert_eq!(seen, NAMES);
}

/// The number of entries and of bytes in the page that these limits get.
async fn page(wire: &mut Wire, names: Option<u32>, count: u32) -> Result<(usize, usize), u32> {
    let (procedure, limits) = match names {
        Some(names) => (17, words(&[names, count])),
        None => (16, words(&[count])),
    };
    let result = wire.nfs(1, procedure, &[from_start(), limits].concat()).await;
    if status(&result) != 0 {
        return Err(status(&result));
    }
    let mut body = &result[4..];
    let entries = match procedure {
        16 => READDIR3resok::unpack(&mut body)
            .unwrap()
            .0
            .reply
            .entries
            .into_inner()
            .len(),
        _ => READDIRPLUS3resok::unpack(&mut body)
            .unwrap()
            .0
            .reply
            .entries
            .into_inner()
            .len(),
    };
    assert!(body.is_empty());
    Ok((entries, result.len() - 4))
}

#[tokio::test]
async fn pages_are_as_large_as_they_may_be_and_no_larger() {
    let running = many();
    let mut wire = running.wire().await;
    let too_small = 10005;
    for count in [0, 20, 100, 131] {
        assert_eq!(page(&mut wire, None, count).await, Err(too_small), "{count}");
        assert_eq!(page(&mut wire, Some(4096), count).await, Err(too_small), "{count}");
    }
    // Attributes, verifier, one entry with a name of a byte, the end.
    assert_eq!(page(&mut wire, None, 88 + 8 + 28 + 8).await, Ok((1, 132)));
    assert_eq!(
        page(&mut wire, Some(4096), 88 + 8 + 28 + 88 + 24 + 8).await,
        Ok((1, 244))
    );
    for count in (132..9000).step_by(513) {
        let (_, bytes) = page(&mut wire, None, count).await.unwrap();
        assert!(
            bytes <= count as usize && bytes + 150 > count as usize,
            "{count}: {bytes}"
        );
    }
    for count in (300..20_000).step_by(1111) {
        let (_, bytes) = page(&mut wire, Some(1 << 20), count).await.unwrap();
        assert!(
            bytes <= count as usize && bytes + 262 > count as usize,
            "{count}: {bytes}"
        );
    }
    let (few, _) = page(&mut wire, Some(500), 1 << 20).await.unwrap();
    let (one, _) = page(&mut wire, Some(0), 1 << 20).await.unwrap();
    assert!((5..=20).contains(&few) && one == 1);
    let (all, bytes) = page(&mut wire, None, u32::MAX).await.unwrap();
    assert!(all == NAMES + 2 && bytes < 1 << 20);
}

#[tokio::test]
async fn a_file_is_no_directory() {
    let running = many();
    let mut client = running.mount_as(0).await;
    let what = diropargs3 {
        dir: client.root_nfs_fh3(),
        name: (&b"file-0000-"[..]).into(),
    };
    let file = client.lookup(&LOOKUP3args { what }).await.unwrap().unwrap().object;
    let mut wire = running.wire().await;
    let arguments = [pack(&file), words(&[0, 0, 0, 0, 4096])].concat();
    let reply = wire.ask(&call(5, NFS, 3, 16, &arguments)).await.unwrap();
    // The status and absent attributes.
    assert_eq!(reply[24..], words(&[20, 0]));
}
