//! The server: addresses, connections, the end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{self, Memory, Phase};
use super::counters::Counters;
use super::options::Options;
use super::service::{Peer, Service};
use crate::FileSystem;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// A server of a file system.
pub struct Server {
    service: Arc<Service>,
    addresses: Vec<SocketAddr>,
    listeners: Mutex<Vec<TcpListener>>,
    /// A permit for each connection that there may be.
    connections: Arc<Semaphore>,
    most_connections: u32,
    memory: Memory,
    phase: watch::Sender<Phase>,
}

impl Server {
    /// Takes the addresses of `options`, so that clients can connect; [`Server::serve`] accepts them. Must be called in a Tokio runtime.
    ///
    /// # Errors
    /// Where an address cannot be had.
    pub fn bind(options: Options, files: Arc<dyn FileSystem>) -> io::Result<Self> {
        let both = options.listen.iter().any(SocketAddr::is_ipv4);
        let mut listeners = Vec::new();
        for address in &options.listen {
            let listener = listen(*address, both)
                .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
            listeners.push(listener);
        }
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<_>>()?;
        let most = options.connections.clamp(1, 1 << 20);
        Ok(Self {
            addresses,
            listeners: Mutex::new(listeners),
            connections: Arc::new(Semaphore::new(most)),
            most_connections: u32::try_from(most).unwrap_or(u32::MAX),
            memory: Memory::new(options.memory),
            phase: watch::Sender::new(Phase::Serving),
            service: Arc::new(Service::new(options, files)),
        })
    }

    /// The addresses it listens on, in the order of the options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it did.
    pub fn counters(&self) -> Counters {
        self.service.tally.read()
    }

    /// Accepts connections until [`Server::shutdown`]. A second call returns at once.
    pub async fn serve(&self) {
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        let mut loops = JoinSet::new();
        for listener in listeners {
            loops.spawn(accept_all(
                listener,
                Arc::clone(&self.service),
                Arc::clone(&self.connections),
                self.memory.clone(),
                self.phase.subscribe(),
            ));
        }
        loops.join_all().await;
    }

    /// Stops: no connection is accepted and no call read from here on, calls under way are answered, and connections closed. What is not done within
    /// `limit` is left, and its connection closed. Says whether all was done.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.phase.send_replace(Phase::Draining);
        drop(std::mem::take(
            &mut *self.listeners.lock().unwrap_or_else(PoisonError::into_inner),
        ));
        let all = self.connections.acquire_many(self.most_connections);
        let done = tokio::time::timeout(limit, all).await.is_ok();
        self.phase.send_replace(Phase::Cut);
        done
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Cut);
    }
}

/// `both`: IPv4 has a socket of its own, which an IPv6 one must not take from it.
fn listen(address: SocketAddr, both: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(both)?;
    }
    // A server that is started again must not wait for its old connections to be forgotten. On Windows the option means something else.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept_all(
    listener: TcpListener,
    service: Arc<Service>,
    connections: Arc<Semaphore>,
    memory: Memory,
    mut phase: watch::Receiver<Phase>,
) {
    let local_port = listener.local_addr().map_or(0, |address| address.port());
    let mut pause = Duration::ZERO;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                pause = Duration::ZERO;
                let peer = Peer { address, local_port };
                let Some(permit) = admit(&service, &connections, address.ip()) else {
                    service.tally.refused.fetch_add(1, Relaxed);
                    continue;
                };
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(client = %address, "connection lost before it began: {error}");
                    continue;
                }
                service.tally.accepted.fetch_add(1, Relaxed);
                let (service, memory, phase) = (Arc::clone(&service), memory.clone(), phase.clone());
                tokio::spawn(serve_counted(stream, peer, service, memory, phase, permit));
            }
            // The client left before it was accepted.
            Err(error) if is_of_one_connection(&error) => {}
            // The system has no room for a connection: it will, when others end.
            Err(error) => {
                if pause.is_zero() {
                    tracing::warn!("cannot accept connections: {error}");
                }
                pause = (pause * 2).clamp(Duration::from_millis(10), Duration::from_secs(1));
                tokio::time::sleep(pause).await;
            }
        }
    }
}

fn admit(service: &Service, connections: &Arc<Semaphore>, address: IpAddr) -> Option<OwnedSemaphorePermit> {
    if !service.options.admits(address) {
        tracing::debug!("connection from {address}, which is in no client network, refused");
        return None;
    }
    let permit = Arc::clone(connections).try_acquire_owned().ok();
    if permit.is_none() {
        tracing::warn!(
            "connection from {address} refused: there are {} already",
            service.options.connections
        );
    }
    permit
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
    )
}

/// One connection among those that are counted.
struct Counted(Arc<Service>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tally.connections.fetch_sub(1, Relaxed);
    }
}

async fn serve_counted(
    stream: TcpStream,
    peer: Peer,
    service: Arc<Service>,
    memory: Memory,
    phase: watch::Receiver<Phase>,
    _permit: OwnedSemaphorePermit,
) {
    service.tally.connections.fetch_add(1, Relaxed);
    let _counted = Counted(Arc::clone(&service));
    connection::serve(stream, peer, service, memory, phase).await;
}
