//! `/metrics`, `/healthz` and `/readyz` for monitoring systems, over HTTP/1.1.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::health::ready;
use super::samples::prometheus;
use crate::catalog::Lake;
use crate::error::{Error, Result};

/// How many clients are answered at a time.
const CLIENTS: usize = 16;
/// The longest head of a request.
const HEAD: usize = 8 << 10;
/// The most header lines of a request.
const LINES: usize = 64;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

/// Answers at an address until the runtime ends. It returns the address, with the port that was taken.
///
/// # Errors
/// Where the address cannot be had.
pub(crate) async fn listen(lake: Arc<Lake>, address: SocketAddr) -> Result<SocketAddr> {
    let refused = |error: std::io::Error| {
        Error::storage(format!("cannot listen for metrics on {address}: {error}")).with_source(error)
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    tokio::spawn(accept(lake, listener));
    Ok(address)
}

async fn accept(lake: Arc<Lake>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, _)) => {
                let lake = lake.clone();
                tokio::spawn(async move {
                    // Whether a client got its answer is the client's affair.
                    let _ = tokio::time::timeout(PATIENCE, answer(&lake, client)).await;
                    drop(place);
                });
            }
            // No more files can be opened, or the client is gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(lake: &Lake, mut client: TcpStream) -> std::io::Result<()> {
    let (answer, has_body) = match request(&mut client).await? {
        Some((method, path)) => (respond(lake, &method, &path).await, method != "HEAD"),
        None => (Answer::text("400 Bad Request", "this is not a request\n"), true),
    };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    );
    client.write_all(head.as_bytes()).await?;
    if has_body {
        client.write_all(answer.body.as_bytes()).await?;
    }
    client.shutdown().await
}

/// The method and the path of a request; none where it is not one.
async fn request(client: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut head = Vec::new();
    while head.len() < HEAD {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
        let mut lines = [httparse::EMPTY_HEADER; LINES];
        let mut request = httparse::Request::new(&mut lines);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
                return Ok(Some((method.to_string(), path.to_string())));
            }
            Ok(httparse::Status::Partial) => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

async fn respond(lake: &Lake, method: &str, path: &str) -> Answer {
    if !["GET", "HEAD"].contains(&method) {
        return Answer::text("405 Method Not Allowed", "only GET and HEAD\n");
    }
    match path.split('?').next().unwrap_or_default() {
        "/metrics" => Answer {
            status: "200 OK",
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: prometheus(lake),
        },
        "/healthz" => Answer::text("200 OK", "ok\n"),
        "/readyz" => match ready(lake).await {
            Ok(()) => Answer::text("200 OK", "ok\n"),
            Err(error) => Answer::text("503 Service Unavailable", format!("{}\n", error.message())),
        },
        _ => Answer::text("404 Not Found", "there are /metrics, /healthz and /readyz\n"),
    }
}
