//! What tests of the wire layer share: a running server, and a client that sends what it is told to, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nfs3_client::tokio::{TokioConnector, TokioIo};
use nfs3_client::{Nfs3Connection, Nfs3ConnectionBuilder};
use nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_types::xdr_codec::{Opaque, Pack};
use posixlake_nfs::FileSystem;
use posixlake_nfs::rpc::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) mod gate;
pub(crate) mod memory;

pub(crate) const NFS: u32 = 100_003;
pub(crate) const MOUNT: u32 = 100_005;

/// Longer than anything takes that is not stuck.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A server that serves.
pub(crate) struct Running {
    pub(crate) server: Arc<Server>,
    pub(crate) address: SocketAddr,
}

pub(crate) fn local() -> Options {
    Options {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Options::default()
    }
}

pub(crate) fn start(options: Options, files: impl FileSystem) -> Running {
    let server = Arc::new(Server::bind(options, Arc::new(files)).unwrap());
    let address = server.addresses()[0];
    let serving = Arc::clone(&server);
    tokio::spawn(async move { serving.serve().await });
    Running { server, address }
}

pub(crate) fn user(uid: u32, gid: u32) -> opaque_auth<'static> {
    opaque_auth::auth_unix(&auth_unix {
        stamp: 1,
        machinename: Opaque::borrowed(b"client"),
        uid,
        gid,
        gids: vec![gid],
    })
}

pub(crate) type Client = Nfs3Connection<TokioIo<TcpStream>>;

impl Running {
    pub(crate) async fn mount_as(&self, uid: u32) -> Client {
        Nfs3ConnectionBuilder::new(TokioConnector, self.address.ip().to_string(), "/")
            .connect_from_privileged_port(false)
            .mount_port(self.address.port())
            .nfs3_port(self.address.port())
            .credential(user(uid, uid))
            .mount()
            .await
            .unwrap()
    }

    pub(crate) async fn wire(&self) -> Wire {
        Wire(TcpStream::connect(self.address).await.unwrap())
    }
}

pub(crate) fn pack(value: &impl Pack) -> Vec<u8> {
    let mut out = Vec::new();
    value.pack(&mut out).unwrap();
    out
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(crate) fn opaque(bytes: &[u8]) -> Vec<u8> {
    pack(&Opaque::borrowed(bytes))
}

/// The handle of the root of the file system in memory, as it is in arguments.
pub(crate) fn root() -> Vec<u8> {
    opaque(b"memory01\0\0\0\0\0\0\0\x01")
}

/// A call without its record mark, of root.
pub(crate) fn call(xid: u32, program: u32, version: u32, procedure: u32, arguments: &[u8]) -> Vec<u8> {
    [
        words(&[xid, 0, 2, program, version, procedure]),
        pack(&user(0, 0)),
        pack(&opaque_auth::default()),
        arguments.to_vec(),
    ]
    .concat()
}

/// A record of one fragment.
pub(crate) fn record(body: &[u8]) -> Vec<u8> {
    let mark = u32::try_from(body.len()).unwrap() | 1 << 31;
    [&mark.to_be_bytes()[..], body].concat()
}

/// A connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn send(&mut self, body: &[u8]) {
        self.0.write_all(&record(body)).await.unwrap();
    }

    /// The next reply; `None` when the server closed the connection.
    pub(crate) async fn reply(&mut self) -> Option<Vec<u8>> {
        tokio::time::timeout(LONG, async {
            let mark = self.0.read_u32().await.ok()?;
            assert_eq!(mark >> 31, 1, "a reply in fragments");
            let mut body = vec![0; (mark & 0x7fff_ffff) as usize];
            self.0.read_exact(&mut body).await.ok()?;
            Some(body)
        })
        .await
        .expect("no reply")
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.0.read_u8())
            .await
            .is_err()
    }

    pub(crate) async fn ask(&mut self, body: &[u8]) -> Option<Vec<u8>> {
        self.send(body).await;
        self.reply().await
    }

    /// A call of NFS that is accepted: its result, which begins with its status.
    pub(crate) async fn nfs(&mut self, xid: u32, procedure: u32, arguments: &[u8]) -> Vec<u8> {
        let reply = self
            .ask(&call(xid, NFS, 3, procedure, arguments))
            .await
            .expect("closed");
        assert_eq!(reply[..24], words(&[xid, 1, 0, 0, 0, 0]), "{reply:?}");
        reply[24..].to_vec()
    }
}

/// The first number of a result.
pub(crate) fn status(result: &[u8]) -> u32 {
    u32::from_be_bytes(result[..4].try_into().unwrap())
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    tokio::time::timeout(LONG, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("does not come to hold");
}
