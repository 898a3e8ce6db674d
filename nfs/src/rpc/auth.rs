//! From what a call claims to who it acts for.

use std::net::SocketAddr;

use nfs3_types::rpc::auth_stat;

use super::message::Credential;
use super::options::{Options, Squash, Trust};
use crate::Caller;

/// The user and group of callers without a name of their own.
const NOBODY: u32 = 65_534;

/// Who calls with `credential` from `address`, or why nobody does.
pub(crate) fn caller(options: &Options, address: SocketAddr, credential: Credential) -> Result<Caller, auth_stat> {
    if options.trust == Trust::PrivilegedPorts && address.port() >= 1024 {
        return Err(auth_stat::AUTH_TOOWEAK);
    }
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let mut caller = match credential {
        Credential::None => nobody(address),
        Credential::Unix {
            machine,
            uid,
            gid,
            groups,
        } => Caller {
            address,
            uid: options.map_user.as_ref().map_or(uid, |map| map(uid)),
            gid,
            groups,
            machine,
        },
    };
    match options.squash {
        Squash::Nobody => {}
        Squash::Root { uid, gid } => {
            if caller.uid == 0 {
                caller.uid = uid;
            }
            if caller.gid == 0 {
                caller.gid = gid;
            }
            caller.groups.retain(|&group| group != 0);
        }
        Squash::All { uid, gid } => {
            caller.uid = uid;
            caller.gid = gid;
            caller.groups.clear();
        }
    }
    Ok(caller)
}

/// A caller without a name.
pub(crate) fn nobody(address: SocketAddr) -> Caller {
    Caller {
        address,
        uid: NOBODY,
        gid: NOBODY,
        groups: Vec::new(),
        machine: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn unix(uid: u32, gid: u32, groups: &[u32]) -> Credential {
        Credential::Unix {
            machine: "host".into(),
            uid,
            gid,
            groups: groups.into(),
        }
    }

    fn who(options: &Options, credential: Credential) -> (u32, u32, Vec<u32>) {
        let caller = caller(options, "127.0.0.1:5000".parse().unwrap(), credential).unwrap();
        (caller.uid, caller.gid, caller.groups)
    }

    #[test]
    fn squashing_and_mapping() {
        let plain = Options::default();
        assert_eq!(who(&plain, unix(0, 0, &[0, 4])), (0, 0, vec![0, 4]));
        assert_eq!(who(&plain, Credential::None), (65_534, 65_534, vec![]));
        let root = Options {
            squash: Squash::Root { uid: 7, gid: 8 },
            ..Options::default()
        };
        assert_eq!(who(&root, unix(0, 0, &[0, 4])), (7, 8, vec![4]));
        assert_eq!(who(&root, unix(1000, 0, &[])), (1000, 8, vec![]));
        let all = Options {
            squash: Squash::All { uid: 7, gid: 8 },
            ..Options::default()
        };
        assert_eq!(who(&all, unix(1000, 5, &[1])), (7, 8, vec![]));
        assert_eq!(who(&all, Credential::None), (7, 8, vec![]));
        let mapped = Options {
            map_user: Some(Arc::new(|uid| uid + 1)),
            ..Options::default()
        };
        assert_eq!(who(&mapped, unix(1000, 5, &[1])), (1001, 5, vec![1]));
    }

    #[test]
    fn only_privileged_ports_are_trusted_where_that_is_asked_for() {
        let options = Options {
            trust: Trust::PrivilegedPorts,
            ..Options::default()
        };
        let from =
            |port| caller(&options, SocketAddr::new([127, 0, 0, 1].into(), port), unix(1, 1, &[])).map(|it| it.uid);
        assert_eq!(from(1024), Err(auth_stat::AUTH_TOOWEAK));
        assert_eq!(from(1023), Ok(1));
    }
}
