//! As much of the port mapper (RFC 1833, version 2) as clients ask: everything is here, on this port.

use nfs3_types::portmap::{IPPROTO_TCP, PROGRAM, VERSION, mapping};
use nfs3_types::{mount, nfs3};

use super::reply::Body;
use super::xdr::{Decoder, Garbage};

/// Names of the procedures by number; those that register are not served.
pub(crate) const PROCEDURES: [&str; 5] = ["NULL", "SET", "UNSET", "GETPORT", "DUMP"];

const PROGRAMS: [(u32, u32); 3] = [
    (PROGRAM, VERSION),
    (mount::PROGRAM, mount::VERSION),
    (nfs3::PROGRAM, nfs3::VERSION),
];

/// Does a call; `None` where there is no such procedure.
pub(crate) fn run(xid: u32, number: u32, bytes: &[u8], port: u16) -> Option<Result<Body, Garbage>> {
    let mut decoder = Decoder::new(bytes);
    let mut body = Body::accepted(xid);
    match number {
        0 => {}
        3 => {
            let Ok(asked) = decoder.fixed::<mapping>() else {
                return Some(Err(Garbage));
            };
            let here = asked.prot == IPPROTO_TCP && PROGRAMS.iter().any(|(program, _)| *program == asked.prog);
            body.put(&if here { u32::from(port) } else { 0 });
        }
        4 => {
            for (prog, vers) in PROGRAMS {
                body.put(&true);
                body.put(&mapping {
                    prog,
                    vers,
                    prot: IPPROTO_TCP,
                    port: u32::from(port),
                });
            }
            body.put(&false);
        }
        _ => return None,
    }
    Some(decoder.finish().map(|()| body))
}
