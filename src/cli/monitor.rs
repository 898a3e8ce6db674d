//! `health` and `metrics`: what a monitoring script asks for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;
use datafusion_cli::print_format::PrintFormat;

use super::login::LoginArguments;
use super::server::servers;
use crate::error::{Error, ErrorKind, Result};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// `posixlake health`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HealthArguments {
    /// The lake: a folder, or a URL
    pub(crate) lake: String,

    /// How rows are printed
    #[arg(long, value_enum, ignore_case = true, default_value_t = PrintFormat::Automatic)]
    pub(crate) format: PrintFormat,

    /// A setting of the store, such as aws_region=eu-central-1; may be repeated
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = super::arguments::parse_option)]
    pub(crate) options: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) login: LoginArguments,
}

/// `posixlake metrics`.
#[derive(Debug, Clone, Args)]
pub(crate) struct MetricsArguments {
    /// Where a server listens for it (its --metrics-listen) [default: the mounts and servers of this user]
    pub(crate) address: Option<SocketAddr>,
}

/// The metrics of servers that run, in Prometheus's text format.
///
/// # Errors
/// Where none answers.
pub(crate) fn metrics(arguments: &MetricsArguments) -> Result<String> {
    let addresses = match arguments.address {
        Some(address) => vec![address],
        None => servers().into_iter().filter_map(|server| server.metrics).collect(),
    };
    if addresses.is_empty() {
        return Err(Error::not_found(
            "no mount or server of this user listens for it: start one with --metrics-listen ADDRESS:PORT, or name the address",
        ));
    }
    addresses.into_iter().map(fetch).collect()
}

fn fetch(address: SocketAddr) -> Result<String> {
    let failed = |what: String| Error::new(ErrorKind::Storage, format!("{address}: {what}"));
    let attempt = || -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect_timeout(&address, PATIENCE)?;
        server.set_read_timeout(Some(PATIENCE))?;
        server
            .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = attempt().map_err(|error| failed(error.to_string()))?;
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut lines);
    match response.parse(&answer) {
        Ok(httparse::Status::Complete(head)) if response.code == Some(200) => {
            Ok(String::from_utf8_lossy(answer.get(head..).unwrap_or_default()).into_owned())
        }
        _ => Err(failed("this is not a server of metrics".to_string())),
    }
}
