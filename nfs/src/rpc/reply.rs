//! Replies, ready to be sent.

use std::io::IoSlice;

use bytes::Bytes;
use nfs3_types::nfs3::{NFS3_FHSIZE, nfsstat3};
use nfs3_types::rpc::{accept_stat, auth_stat, reject_stat, reply_stat};
use nfs3_types::xdr_codec::Pack;

use super::procedure::Procedure;
use super::xdr::{padding, put, put_opaque};
use crate::{Data, Handle, Status};

const REPLY: u32 = 1;
const ZEROS: [u8; 3] = [0; 3];

/// A reply with its record mark. The data of a READ stays where the file system has it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    head: Bytes,
    data: Data,
}

impl Reply {
    pub(crate) fn size(&self) -> usize {
        self.head.len() + self.data.len() + padding(self.data.len())
    }

    /// Appends what is to be written.
    pub(crate) fn slices<'a>(&'a self, out: &mut Vec<IoSlice<'a>>) {
        out.push(IoSlice::new(&self.head));
        if !self.data.is_empty() {
            out.extend(self.data.pieces().iter().map(|piece| IoSlice::new(piece)));
            let padding = ZEROS.get(..padding(self.data.len())).unwrap_or_default();
            if !padding.is_empty() {
                out.push(IoSlice::new(padding));
            }
        }
    }

    /// The call was not done: `reason`.
    pub(crate) fn refused(xid: u32, reason: accept_stat) -> Self {
        let mut body = Body::begin(xid);
        body.put(&reply_stat::MSG_ACCEPTED);
        body.put(&[0; 8]);
        body.put(&reason);
        body.finish()
    }

    /// There are only versions `low` to `high` of the program.
    pub(crate) fn program_versions(xid: u32, low: u32, high: u32) -> Self {
        let mut body = Body::begin(xid);
        body.put(&reply_stat::MSG_ACCEPTED);
        body.put(&[0; 8]);
        body.put(&accept_stat::PROG_MISMATCH);
        body.put(&low);
        body.put(&high);
        body.finish()
    }

    /// There is only version 2 of RPC.
    pub(crate) fn rpc_version(xid: u32) -> Self {
        let mut body = Body::begin(xid);
        body.put(&reply_stat::MSG_DENIED);
        body.put(&reject_stat::RPC_MISMATCH);
        body.put(&2_u32);
        body.put(&2_u32);
        body.finish()
    }

    /// The credentials are refused.
    pub(crate) fn credential(xid: u32, reason: auth_stat) -> Self {
        let mut body = Body::begin(xid);
        body.put(&reply_stat::MSG_DENIED);
        body.put(&reject_stat::AUTH_ERROR);
        body.put(&reason);
        body.finish()
    }
}

/// A reply being made.
#[derive(Debug)]
pub(crate) struct Body {
    out: Vec<u8>,
    data: Data,
    status: Status,
}

impl Body {
    fn begin(xid: u32) -> Self {
        let mut body = Self {
            out: Vec::with_capacity(320),
            data: Data::default(),
            status: nfsstat3::NFS3_OK,
        };
        // The record mark, known at the end.
        body.put(&0_u32);
        body.put(&xid);
        body.put(&REPLY);
        body
    }

    /// A call that was done; its result is to follow.
    pub(crate) fn accepted(xid: u32) -> Self {
        let mut body = Self::begin(xid);
        body.put(&reply_stat::MSG_ACCEPTED);
        body.put(&[0; 8]);
        body.put(&accept_stat::SUCCESS);
        body
    }

    /// A call that was done with this status.
    pub(crate) fn with_status(xid: u32, status: Status) -> Self {
        let mut body = Self::accepted(xid);
        body.put(&status);
        body.status = status;
        body
    }

    /// A failure of `procedure` about which no attributes are known.
    pub(crate) fn failed(xid: u32, procedure: &Procedure, status: Status) -> Self {
        let status = failure(status);
        let mut body = Self::with_status(xid, status);
        for _ in 0..procedure.absent_on_failure {
            body.put(&0_u32);
        }
        body
    }

    pub(crate) fn put(&mut self, value: &impl Pack) {
        put(&mut self.out, value);
    }

    pub(crate) fn put_opaque(&mut self, bytes: &[u8]) {
        put_opaque(&mut self.out, bytes);
    }

    pub(crate) fn put_handle(&mut self, handle: &Handle) {
        debug_assert!(handle.0.len() <= NFS3_FHSIZE, "a handle of {} bytes", handle.0.len());
        self.put_opaque(&handle.0);
    }

    /// Ends the reply with `data`.
    pub(crate) fn put_data(&mut self, data: Data) {
        self.put(&u32::try_from(data.len()).unwrap_or(u32::MAX));
        self.data = data;
    }

    /// Bytes of the result so far.
    pub(crate) fn size(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn finish(mut self) -> Reply {
        let length = self.out.len() - 4 + self.data.len() + padding(self.data.len());
        if let (Some(mark), Ok(length)) = (self.out.first_chunk_mut::<4>(), u32::try_from(length)) {
            *mark = (length | 1 << 31).to_be_bytes();
        }
        Reply {
            head: self.out.into(),
            data: self.data,
        }
    }
}

/// A failure cannot have the status of a success.
pub(crate) fn failure(status: Status) -> Status {
    match status {
        nfsstat3::NFS3_OK => nfsstat3::NFS3ERR_SERVERFAULT,
        status => status,
    }
}
