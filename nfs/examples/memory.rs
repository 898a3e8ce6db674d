//! An NFS server of a file system in memory: `memory [ADDRESS] [NAME=BYTES …]`. Ends on SIGINT and SIGTERM, after the calls under way.

#[path = "../tests/support/memory.rs"]
mod memory;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use memory::Memory;
use posixlake_nfs::FileSystem;
use posixlake_nfs::rpc::{Options, Server};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
#[allow(clippy::print_stdout)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:2049".to_owned());
    let files = Memory::default();
    for argument in arguments {
        let (name, size) = argument.split_once('=').ok_or("not NAME=BYTES")?;
        files.fill(name, size.parse()?);
    }
    let options = Options {
        listen: vec![address.parse()?],
        ..Options::default()
    };
    let server = Arc::new(Server::bind(options, Arc::new(files) as Arc<dyn FileSystem>)?);
    for address in server.addresses() {
        println!("listening on {address}");
    }
    let serving = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.serve().await }
    });
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let done = server.shutdown(Duration::from_secs(10)).await;
    serving.await?;
    let counters = server.counters();
    for it in counters.procedures.iter().filter(|it| it.calls > 0) {
        println!(
            "{} {}: {} calls, {} errors, {} bytes in, {} bytes out, {:?}",
            it.program, it.procedure, it.calls, it.errors, it.received, it.sent, it.time
        );
    }
    println!("{}", if done { "all calls answered" } else { "calls were left" });
    Ok(())
}
