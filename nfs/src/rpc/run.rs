//! NFSv3's procedures: checks of arguments, the call of the file system, the encoding of what it says.

use nfs3_types::nfs3::{
    FSF3_CANSETTIME, FSF3_HOMOGENEOUS, FSF3_SYMLINK, Nfs3Option, createhow3, fattr3, nfsstat3, nfstime3, post_op_attr,
    sattr3, set_atime, set_mtime, set_size3, wcc_data, writeverf3,
};

use super::LARGEST_TRANSFER;
use super::arguments::{Arguments, Place};
use super::listing::{self, Page};
use super::names;
use super::procedure::Procedure;
use super::reply::{Body, failure};
use crate::{Caller, Effect, FileSystem, Handle, Object, Status};

/// What READDIR is best asked for.
const PREFERRED_LISTING: u32 = 64 << 10;

/// Whose call on what.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn FileSystem,
    pub(crate) caller: &'a Caller,
    pub(crate) xid: u32,
}

/// Does a call.
pub(crate) async fn run(context: Context<'_>, procedure: &Procedure, arguments: Arguments) -> Body {
    let body = match arguments {
        Arguments::Null => Ok(Body::accepted(context.xid)),
        Arguments::GetAttributes(object) => attributes(context, &object).await,
        Arguments::SetAttributes { object, changes, guard } => set_attributes(context, &object, changes, guard).await,
        Arguments::Lookup(place) => lookup(context, &place).await,
        Arguments::Access { object, wanted } => access(context, &object, wanted).await,
        Arguments::ReadLink(link) => read_link(context, &link).await,
        Arguments::Read { file, offset, count } => read(context, &file, offset, count).await,
        Arguments::Create { place, how } => create(context, &place, how).await,
        Arguments::MakeDirectory { place, attributes } => make_directory(context, &place, attributes).await,
        Arguments::MakeLink {
            place,
            attributes,
            target,
        } => make_link(context, &place, attributes, &target).await,
        Arguments::Remove(place) => remove(context, &place).await,
        Arguments::RemoveDirectory(place) => remove_directory(context, &place).await,
        Arguments::Rename { from, to } => rename(context, &from, &to).await,
        // Clients show NFS3ERR_NOTSUPP as an unknown error, and PERM as what a file system without links says.
        Arguments::MakeNode(_) | Arguments::Link { .. } => Err(nfsstat3::NFS3ERR_PERM),
        Arguments::Space(object) => space(context, &object).await,
        Arguments::Limits(object) => limits(context, &object).await,
        Arguments::PathLimits(object) => path_limits(context, &object).await,
        Arguments::Commit { file, offset, count } => commit(context, &file, offset, count).await,
        arguments @ Arguments::Write { .. } => write(context, arguments).await,
        Arguments::List {
            directory,
            cookie,
            verifier,
            count,
        } => listing::list(context, &directory, Page::names(cookie, verifier, count)).await,
        Arguments::ListWithObjects {
            directory,
            cookie,
            verifier,
            names,
            count,
        } => listing::list(context, &directory, Page::objects(cookie, verifier, names, count)).await,
    };
    body.unwrap_or_else(|status| Body::failed(context.xid, procedure, status))
}

/// Attributes that a reply may have, where they are at hand.
pub(crate) fn optional(attributes: Option<fattr3>) -> post_op_attr {
    attributes.map_or(Nfs3Option::None, Nfs3Option::Some)
}

impl Context<'_> {
    fn done(&self) -> Body {
        Body::with_status(self.xid, nfsstat3::NFS3_OK)
    }

    /// Attributes of a directory that is about to be read. Those from before the call are never newer than what it finds, so that a client which
    /// believes them sees later changes.
    pub(crate) async fn attributes_before(&self, object: &Handle) -> post_op_attr {
        optional(self.files.attributes(self.caller, object).await.ok())
    }

    /// A change without a result.
    fn changed(&self, effect: Effect<()>) -> Body {
        let mut body = Body::with_status(self.xid, status(&effect));
        body.put(&wcc(&effect));
        body
    }

    /// A change that made an object.
    fn made(&self, effect: Effect<Object>) -> Body {
        let mut body = Body::with_status(self.xid, status(&effect));
        let around = wcc(&effect);
        if let Ok(object) = effect.result {
            body.put(&true);
            body.put_handle(&object.handle);
            body.put(&optional(Some(object.attributes)));
        }
        body.put(&around);
        body
    }
}

fn status<T>(effect: &Effect<T>) -> Status {
    match effect.result {
        Ok(_) => nfsstat3::NFS3_OK,
        Err(status) => failure(status),
    }
}

fn wcc<T>(effect: &Effect<T>) -> wcc_data {
    wcc_data {
        before: effect.before.map_or(Nfs3Option::None, Nfs3Option::Some),
        after: optional(effect.after.clone()),
    }
}

type Outcome = Result<Body, Status>;

async fn attributes(context: Context<'_>, object: &Handle) -> Outcome {
    let attributes = context.files.attributes(context.caller, object).await?;
    let mut body = context.done();
    body.put(&attributes);
    Ok(body)
}

async fn set_attributes(context: Context<'_>, object: &Handle, changes: sattr3, guard: Option<nfstime3>) -> Outcome {
    check(context, &changes)?;
    let effect = context
        .files
        .set_attributes(context.caller, object, changes, guard)
        .await;
    Ok(context.changed(effect))
}

async fn lookup(context: Context<'_>, place: &Place) -> Outcome {
    let directory = context.attributes_before(&place.directory).await;
    let found = match names::looked_up(&place.name) {
        Ok(()) => {
            context
                .files
                .lookup(context.caller, &place.directory, &place.name)
                .await
        }
        Err(status) => Err(status),
    };
    Ok(match found {
        Ok(object) => {
            let mut body = context.done();
            body.put_handle(&object.handle);
            body.put(&optional(Some(object.attributes)));
            body.put(&directory);
            body
        }
        Err(status) => {
            let mut body = Body::with_status(context.xid, failure(status));
            body.put(&directory);
            body
        }
    })
}

async fn access(context: Context<'_>, object: &Handle, wanted: u32) -> Outcome {
    let (granted, attributes) = context.files.access(context.caller, object, wanted).await?;
    let mut body = context.done();
    body.put(&optional(Some(attributes)));
    body.put(&(granted & wanted));
    Ok(body)
}

async fn read_link(context: Context<'_>, link: &Handle) -> Outcome {
    let attributes = context.attributes_before(link).await;
    let target = context.files.read_link(context.caller, link).await?;
    let mut body = context.done();
    body.put(&attributes);
    body.put_opaque(&target);
    Ok(body)
}

async fn read(context: Context<'_>, file: &Handle, offset: u64, count: u32) -> Outcome {
    let to_the_end = u32::try_from(u64::MAX - offset).unwrap_or(u32::MAX);
    let count = count.min(LARGEST_TRANSFER).min(to_the_end);
    let mut part = context.files.read(context.caller, file, offset, count).await?;
    let most = usize::try_from(count).unwrap_or(usize::MAX);
    let end = part.end && part.data.len() <= most;
    part.data.truncate(most);
    let mut body = context.done();
    body.put(&optional(Some(part.attributes)));
    body.put(&u32::try_from(part.data.len()).unwrap_or(u32::MAX));
    body.put(&end);
    body.put_data(part.data);
    Ok(body)
}

async fn write(context: Context<'_>, arguments: Arguments) -> Outcome {
    let Arguments::Write {
        file,
        offset,
        count,
        stable,
        mut data,
    } = arguments
    else {
        return Err(nfsstat3::NFS3ERR_SERVERFAULT);
    };
    if usize::try_from(count) != Ok(data.len()) {
        return Err(nfsstat3::NFS3ERR_INVAL);
    }
    data.truncate(usize::try_from(LARGEST_TRANSFER).unwrap_or(usize::MAX));
    let end = offset.checked_add(u64::from(count));
    if end.is_none_or(|end| end > context.files.limits().file_size) {
        return Err(nfsstat3::NFS3ERR_FBIG);
    }
    // From before the write: were the data lost while it is answered, the client must see the verifier change.
    let verifier = writeverf3(context.files.write_verifier());
    let effect = context.files.write(context.caller, &file, offset, data, stable).await;
    let mut body = Body::with_status(context.xid, status(&effect));
    body.put(&wcc(&effect));
    if let Ok(written) = effect.result {
        body.put(&written.count);
        body.put(&written.committed);
        body.put(&verifier);
    }
    Ok(body)
}

async fn commit(context: Context<'_>, file: &Handle, offset: u64, count: u32) -> Outcome {
    // A range beyond all files is one to the end, which is what 0 says.
    let count = offset.checked_add(u64::from(count)).map_or(0, |_| count);
    let verifier = writeverf3(context.files.write_verifier());
    let effect = context.files.commit(context.caller, file, offset, count).await;
    let done = effect.result.is_ok();
    let mut body = context.changed(effect);
    if done {
        body.put(&verifier);
    }
    Ok(body)
}

async fn create(context: Context<'_>, place: &Place, how: createhow3) -> Outcome {
    names::changed(&place.name, nfsstat3::NFS3ERR_EXIST, nfsstat3::NFS3ERR_EXIST)?;
    if let createhow3::UNCHECKED(attributes) | createhow3::GUARDED(attributes) = &how {
        check(context, attributes)?;
    }
    let effect = context
        .files
        .create(context.caller, &place.directory, &place.name, how)
        .await;
    Ok(context.made(effect))
}

async fn make_directory(context: Context<'_>, place: &Place, attributes: sattr3) -> Outcome {
    names::changed(&place.name, nfsstat3::NFS3ERR_EXIST, nfsstat3::NFS3ERR_EXIST)?;
    check(context, &attributes)?;
    let effect = context
        .files
        .make_directory(context.caller, &place.directory, &place.name, attributes)
        .await;
    Ok(context.made(effect))
}

async fn make_link(context: Context<'_>, place: &Place, attributes: sattr3, target: &[u8]) -> Outcome {
    names::changed(&place.name, nfsstat3::NFS3ERR_EXIST, nfsstat3::NFS3ERR_EXIST)?;
    names::target(target)?;
    check(context, &attributes)?;
    let effect = context
        .files
        .make_link(context.caller, &place.directory, &place.name, target, attributes)
        .await;
    Ok(context.made(effect))
}

async fn remove(context: Context<'_>, place: &Place) -> Outcome {
    names::changed(&place.name, nfsstat3::NFS3ERR_ACCES, nfsstat3::NFS3ERR_ACCES)?;
    let effect = context
        .files
        .remove(context.caller, &place.directory, &place.name)
        .await;
    Ok(context.changed(effect))
}

async fn remove_directory(context: Context<'_>, place: &Place) -> Outcome {
    // RFC 1813, section 3.3.13.
    names::changed(&place.name, nfsstat3::NFS3ERR_INVAL, nfsstat3::NFS3ERR_EXIST)?;
    let effect = context
        .files
        .remove_directory(context.caller, &place.directory, &place.name)
        .await;
    Ok(context.changed(effect))
}

async fn rename(context: Context<'_>, from: &Place, to: &Place) -> Outcome {
    for place in [from, to] {
        names::changed(&place.name, nfsstat3::NFS3ERR_INVAL, nfsstat3::NFS3ERR_INVAL)?;
    }
    let (old, new) = context
        .files
        .rename(context.caller, (&from.directory, &from.name), (&to.directory, &to.name))
        .await;
    let mut body = Body::with_status(context.xid, status(&old));
    body.put(&wcc(&old));
    body.put(&wcc(&new));
    Ok(body)
}

async fn space(context: Context<'_>, object: &Handle) -> Outcome {
    let attributes = context.attributes_before(object).await;
    let space = context.files.space(context.caller, object).await?;
    let mut body = context.done();
    body.put(&attributes);
    for number in [
        space.total,
        space.free,
        space.available,
        space.files,
        space.free_files,
        space.free_files,
    ] {
        body.put(&number);
    }
    // Seconds for which this is expected to hold: unknown.
    body.put(&0_u32);
    Ok(body)
}

async fn limits(context: Context<'_>, object: &Handle) -> Outcome {
    let attributes = context.files.attributes(context.caller, object).await?;
    let limits = context.files.limits();
    let mut body = context.done();
    body.put(&optional(Some(attributes)));
    // Most, preferred and suggested multiple: of READ, then of WRITE.
    for number in [
        LARGEST_TRANSFER,
        LARGEST_TRANSFER,
        4096,
        LARGEST_TRANSFER,
        LARGEST_TRANSFER,
        4096,
    ] {
        body.put(&number);
    }
    body.put(&PREFERRED_LISTING);
    body.put(&limits.file_size);
    body.put(&nfstime3 {
        seconds: 0,
        nseconds: limits.time_delta,
    });
    body.put(&(FSF3_SYMLINK | FSF3_HOMOGENEOUS | FSF3_CANSETTIME));
    Ok(body)
}

async fn path_limits(context: Context<'_>, object: &Handle) -> Outcome {
    let attributes = context.files.attributes(context.caller, object).await?;
    let mut body = context.done();
    body.put(&optional(Some(attributes)));
    // One link a file.
    body.put(&1_u32);
    body.put(&u32::try_from(names::LONGEST_NAME).unwrap_or(u32::MAX));
    let (no_truncation, chown_restricted, case_insensitive, case_preserving) = (true, true, false, true);
    for property in [no_truncation, chown_restricted, case_insensitive, case_preserving] {
        body.put(&property);
    }
    Ok(body)
}

/// Refuses attributes that no file system has.
fn check(context: Context<'_>, changes: &sattr3) -> Result<(), Status> {
    let times = [
        match changes.atime {
            set_atime::SET_TO_CLIENT_TIME(time) => Some(time),
            _ => None,
        },
        match changes.mtime {
            set_mtime::SET_TO_CLIENT_TIME(time) => Some(time),
            _ => None,
        },
    ];
    if times.iter().flatten().any(|time| time.nseconds >= 1_000_000_000) {
        return Err(nfsstat3::NFS3ERR_INVAL);
    }
    match changes.size {
        set_size3::Some(size) if size > context.files.limits().file_size => Err(nfsstat3::NFS3ERR_FBIG),
        _ => Ok(()),
    }
}
