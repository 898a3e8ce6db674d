//! How a server is set up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

/// Maps the user that a client claims to one of this host.
pub type UserMap = Arc<dyn Fn(u32) -> u32 + Send + Sync>;

/// Whose AUTH_UNIX credentials are believed. They are a claim: any program on a client host can send any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Everybody's.
    #[default]
    Any,
    /// Those that come from a port below 1024, which on most systems only root can use. Calls from other ports are refused (`AUTH_TOOWEAK`).
    PrivilegedPorts,
}

/// Who callers become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Squash {
    /// Who they say they are.
    #[default]
    Nobody,
    /// Root becomes this user and group.
    Root {
        /// Instead of user 0.
        uid: u32,
        /// Instead of group 0.
        gid: u32,
    },
    /// Everybody becomes this user and group.
    All {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

/// What a server does for whom.
#[derive(Clone)]
pub struct Options {
    /// Addresses to listen on. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Paths that the MOUNT protocol lists (EXPORT). What can be mounted is up to the file system.
    pub exports: Vec<String>,
    /// Networks whose hosts may connect; all hosts where there are none. Other hosts' connections are closed at once.
    pub clients: Vec<IpNet>,
    /// Whose credentials are believed.
    pub trust: Trust,
    /// Maps claimed users, before `squash`.
    pub map_user: Option<UserMap>,
    /// Who callers become.
    pub squash: Squash,
    /// How many connections there may be; further ones are closed at once.
    pub connections: usize,
    /// Bytes of calls and replies that one connection may have under way before it is not read from.
    pub connection_memory: usize,
    /// Bytes of calls and replies that all connections together may have under way.
    pub memory: usize,
    /// How long a record that has begun, or a reply, may make no progress before the connection is closed.
    pub stall: Duration,
    /// How many replies are kept for repeated calls.
    pub replies: usize,
    /// How long replies are kept for repeated calls.
    pub replies_for: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2049)],
            exports: vec!["/".to_owned(), "/share".to_owned()],
            clients: Vec::new(),
            trust: Trust::default(),
            map_user: None,
            squash: Squash::default(),
            connections: 16 << 10,
            connection_memory: 32 << 20,
            memory: 512 << 20,
            stall: Duration::from_secs(60),
            replies: 64 << 10,
            replies_for: Duration::from_secs(600),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("exports", &self.exports)
            .field("clients", &self.clients)
            .field("trust", &self.trust)
            .field("map_user", &self.map_user.is_some())
            .field("squash", &self.squash)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Whether the host at `address` may connect.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.clients.is_empty() || self.clients.iter().any(|network| network.contains(&address))
    }
}

/// A text that names no network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 192.168.1.0/24 or fd00::/8")]
pub struct ParseNetworkError(String);

/// Reads an address (`192.168.1.7`) or a network (`192.168.1.0/24`, `fd00::/8`).
///
/// # Errors
/// For other texts.
pub fn parse_network(text: &str) -> Result<IpNet, ParseNetworkError> {
    let address = text.parse::<IpAddr>().map(IpNet::from).ok();
    address
        .or_else(|| text.parse().ok())
        .ok_or_else(|| ParseNetworkError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_admit_their_hosts_whatever_the_socket_calls_them() {
        let options = Options {
            clients: vec![parse_network("10.1.0.0/16").unwrap(), parse_network("fd00::7").unwrap()],
            ..Options::default()
        };
        for (address, admitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::7", true),
            ("fd00::8", false),
        ] {
            assert_eq!(options.admits(address.parse().unwrap()), admitted, "{address}");
        }
        assert!(Options::default().admits("8.8.8.8".parse().unwrap()));
        assert!(parse_network("10.1.0.0/33").is_err());
        assert!(parse_network("localhost").is_err());
    }
}
