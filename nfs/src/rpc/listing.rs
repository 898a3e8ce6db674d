//! READDIR and READDIRPLUS: as many entries as the client has room for.

use nfs3_types::nfs3::{cookieverf3, nfsstat3};

use super::LARGEST_TRANSFER;
use super::reply::Body;
use super::run::{Context, optional};
use super::xdr::padding;
use crate::{Entry, Handle, Status};

/// An entry with a name of eight bytes.
const TYPICAL_ENTRY: u32 = 4 + 8 + 12 + 8;

/// The same with attributes and a handle.
const TYPICAL_OBJECT: u32 = TYPICAL_ENTRY + 88 + 40;

/// The end of a list, and whether it is that of the directory.
const TAIL: usize = 8;

/// What the client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    cookie: u64,
    verifier: [u8; 8],
    /// The most bytes of ids, names and cookies.
    names: u32,
    /// The most bytes of the result after its status.
    count: u32,
    objects: bool,
}

impl Page {
    pub(crate) fn names(cookie: u64, verifier: [u8; 8], count: u32) -> Self {
        let count = count.min(LARGEST_TRANSFER);
        Self {
            cookie,
            verifier,
            names: count,
            count,
            objects: false,
        }
    }

    pub(crate) fn objects(cookie: u64, verifier: [u8; 8], names: u32, count: u32) -> Self {
        Self {
            cookie,
            verifier,
            names: names.min(LARGEST_TRANSFER),
            count: count.min(LARGEST_TRANSFER),
            objects: true,
        }
    }

    /// About how many entries fit.
    fn entries(&self) -> usize {
        let entries = if self.objects {
            (self.count / TYPICAL_OBJECT).min(self.names / TYPICAL_ENTRY)
        } else {
            self.count / TYPICAL_ENTRY
        };
        usize::try_from(entries).unwrap_or(usize::MAX).saturating_add(1)
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(crate) async fn list(context: Context<'_>, directory: &Handle, page: Page) -> Result<Body, Status> {
    let attributes = context.attributes_before(directory).await;
    let listing = context
        .files
        .list(
            context.caller,
            directory,
            page.cookie,
            page.verifier,
            page.entries(),
            page.objects,
        )
        .await?;
    let mut body = Body::with_status(context.xid, nfsstat3::NFS3_OK);
    let start = body.size();
    body.put(&attributes);
    body.put(&cookieverf3(listing.verifier));
    let (mut names, mut sent) = (0, 0);
    for entry in &listing.entries {
        let name = 8 + 4 + entry.name.len() + padding(entry.name.len()) + 8;
        let object = if page.objects { object_size(entry) } else { 0 };
        let full = body.size() - start + 4 + name + object + TAIL > size(page.count);
        if full || (sent > 0 && names + name > size(page.names)) {
            break;
        }
        names += name;
        sent += 1;
        body.put(&true);
        put_entry(&mut body, entry, page.objects);
    }
    if (sent == 0 && !listing.entries.is_empty()) || body.size() - start + TAIL > size(page.count) {
        return Err(nfsstat3::NFS3ERR_TOOSMALL);
    }
    body.put(&false);
    body.put(&(listing.end && sent == listing.entries.len()));
    Ok(body)
}

fn object_size(entry: &Entry) -> usize {
    entry.object.as_ref().map_or(8, |object| {
        let handle = object.handle.0.len();
        88 + 8 + handle + padding(handle)
    })
}

fn put_entry(body: &mut Body, entry: &Entry, objects: bool) {
    body.put(&entry.id);
    body.put_opaque(&entry.name);
    body.put(&entry.cookie);
    if objects {
        body.put(&optional(entry.object.as_ref().map(|object| object.attributes.clone())));
        body.put(&entry.object.is_some());
        if let Some(object) = &entry.object {
            body.put_handle(&object.handle);
        }
    }
}
