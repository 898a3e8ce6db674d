//! The head of a call (RFC 5531, sections 8 and 9; AUTH_UNIX: appendix A).

use bytes::Bytes;
use nfs3_types::rpc::auth_stat;

use super::xdr::{Decoder, Garbage};

/// The most bytes of a credential or verifier.
const LARGEST_AUTHENTICATOR: usize = 400;

/// Who calls, as the call says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    None,
    Unix {
        machine: String,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
}

/// The head of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) xid: u32,
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) procedure: u32,
    pub(crate) credential: Credential,
}

/// Why a record is no call to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Not a call at all: there is nothing to answer.
    Malformed,
    /// Another version of RPC than 2.
    Version { xid: u32 },
    /// Credentials that are refused as such.
    Credential { xid: u32, reason: auth_stat },
}

impl From<Garbage> for CallError {
    fn from(Garbage: Garbage) -> Self {
        Self::Malformed
    }
}

impl Call {
    /// The head of the call in `record`, and what follows it.
    pub(crate) fn decode(record: &[u8]) -> Result<(Self, &[u8]), CallError> {
        let mut decoder = Decoder::new(record);
        let xid = decoder.u32()?;
        if decoder.u32()? != 0 {
            return Err(CallError::Malformed);
        }
        if decoder.u32()? != 2 {
            return Err(CallError::Version { xid });
        }
        let (program, version, procedure) = (decoder.u32()?, decoder.u32()?, decoder.u32()?);
        let (flavor, body) = (decoder.u32()?, decoder.opaque(LARGEST_AUTHENTICATOR)?);
        let (_flavor, _verifier) = (decoder.u32()?, decoder.opaque(LARGEST_AUTHENTICATOR)?);
        let credential = credential(flavor, body).map_err(|Garbage| CallError::Credential {
            xid,
            reason: auth_stat::AUTH_BADCRED,
        })?;
        let call = Self {
            xid,
            program,
            version,
            procedure,
            credential,
        };
        Ok((call, decoder.rest()))
    }
}

fn credential(flavor: u32, body: &[u8]) -> Result<Credential, Garbage> {
    match flavor {
        0 => Ok(Credential::None),
        1 => {
            let mut decoder = Decoder::new(body);
            let _stamp = decoder.u32()?;
            let machine = decoder.opaque(255)?;
            let (uid, gid) = (decoder.u32()?, decoder.u32()?);
            let groups = decoder.numbers(16)?;
            decoder.finish()?;
            Ok(Credential::Unix {
                machine: String::from_utf8_lossy(machine).into_owned(),
                uid,
                gid,
                groups,
            })
        }
        _ => Err(Garbage),
    }
}

/// The arguments of a call, without a copy.
pub(crate) fn arguments(record: &Bytes, rest: &[u8]) -> Bytes {
    record.slice(record.len() - rest.len()..)
}
