//! The arguments of NFSv3's procedures.

use std::fmt;

use bytes::Bytes;
use nfs3_types::nfs3::{NFS3_FHSIZE, createhow3, mknoddata3, nfstime3, sattr3, sattrguard3, stable_how};

use super::LARGEST_TRANSFER;
use super::xdr::{Decoder, Garbage};
use crate::Handle;
use crate::rpc::record::LARGEST_RECORD;

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: Handle,
    pub(crate) name: Vec<u8>,
}

/// A call of an NFSv3 procedure. Lengths and encoding are right; names and numbers are as they came.
#[derive(Debug)]
pub(crate) enum Arguments {
    Null,
    GetAttributes(Handle),
    SetAttributes {
        object: Handle,
        changes: sattr3,
        guard: Option<nfstime3>,
    },
    Lookup(Place),
    Access {
        object: Handle,
        wanted: u32,
    },
    ReadLink(Handle),
    Read {
        file: Handle,
        offset: u64,
        count: u32,
    },
    Write {
        file: Handle,
        offset: u64,
        count: u32,
        stable: stable_how,
        data: Bytes,
    },
    Create {
        place: Place,
        how: createhow3,
    },
    MakeDirectory {
        place: Place,
        attributes: sattr3,
    },
    MakeLink {
        place: Place,
        attributes: sattr3,
        target: Vec<u8>,
    },
    MakeNode(Place),
    Remove(Place),
    RemoveDirectory(Place),
    Rename {
        from: Place,
        to: Place,
    },
    Link {
        file: Handle,
        place: Place,
    },
    List {
        directory: Handle,
        cookie: u64,
        verifier: [u8; 8],
        count: u32,
    },
    ListWithObjects {
        directory: Handle,
        cookie: u64,
        verifier: [u8; 8],
        names: u32,
        count: u32,
    },
    Space(Handle),
    Limits(Handle),
    PathLimits(Handle),
    Commit {
        file: Handle,
        offset: u64,
        count: u32,
    },
}

/// Copied: a handle that lives long must not keep the call's record alive.
fn handle(decoder: &mut Decoder<'_>) -> Result<Handle, Garbage> {
    decoder
        .opaque(NFS3_FHSIZE)
        .map(|bytes| Handle(Bytes::copy_from_slice(bytes)))
}

fn text(decoder: &mut Decoder<'_>) -> Result<Vec<u8>, Garbage> {
    decoder.opaque(LARGEST_RECORD).map(<[u8]>::to_vec)
}

fn place(decoder: &mut Decoder<'_>) -> Result<Place, Garbage> {
    Ok(Place {
        directory: handle(decoder)?,
        name: text(decoder)?,
    })
}

impl Arguments {
    /// The arguments of procedure `number`; `None` where there is no such procedure.
    pub(crate) fn decode(number: u32, bytes: &Bytes) -> Option<Result<Self, Garbage>> {
        let mut decoder = Decoder::new(bytes);
        let arguments = match number {
            0 => Ok(Self::Null),
            1 => handle(&mut decoder).map(Self::GetAttributes),
            2 => set_attributes(&mut decoder),
            3 => place(&mut decoder).map(Self::Lookup),
            4 => access(&mut decoder),
            5 => handle(&mut decoder).map(Self::ReadLink),
            6 => read(&mut decoder),
            7 => write(&mut decoder, bytes),
            8 => create(&mut decoder),
            9 => make_directory(&mut decoder),
            10 => make_link(&mut decoder),
            11 => make_node(&mut decoder),
            12 => place(&mut decoder).map(Self::Remove),
            13 => place(&mut decoder).map(Self::RemoveDirectory),
            14 => rename(&mut decoder),
            15 => link(&mut decoder),
            16 => list(&mut decoder),
            17 => list_with_objects(&mut decoder),
            18 => handle(&mut decoder).map(Self::Space),
            19 => handle(&mut decoder).map(Self::Limits),
            20 => handle(&mut decoder).map(Self::PathLimits),
            21 => commit(&mut decoder),
            _ => return None,
        };
        Some(arguments.and_then(|arguments| decoder.finish().map(|()| arguments)))
    }

    /// About how many bytes the reply has.
    pub(crate) fn reply_size(&self) -> usize {
        let bytes = match self {
            Self::Read { count, .. } | Self::List { count, .. } | Self::ListWithObjects { count, .. } => *count,
            _ => 0,
        };
        usize::try_from(bytes.min(LARGEST_TRANSFER)).unwrap_or(usize::MAX)
    }
}

fn set_attributes(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::SetAttributes {
        object: handle(decoder)?,
        changes: decoder.fixed()?,
        guard: match decoder.fixed()? {
            sattrguard3::Some(time) => Some(time),
            sattrguard3::None => None,
        },
    })
}

fn access(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::Access {
        object: handle(decoder)?,
        wanted: decoder.u32()?,
    })
}

fn read(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::Read {
        file: handle(decoder)?,
        offset: decoder.u64()?,
        count: decoder.u32()?,
    })
}

fn write(decoder: &mut Decoder<'_>, bytes: &Bytes) -> Result<Arguments, Garbage> {
    Ok(Arguments::Write {
        file: handle(decoder)?,
        offset: decoder.u64()?,
        count: decoder.u32()?,
        stable: decoder.fixed()?,
        data: bytes.slice_ref(decoder.opaque(LARGEST_RECORD)?),
    })
}

fn create(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::Create {
        place: place(decoder)?,
        how: decoder.fixed()?,
    })
}

fn make_directory(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::MakeDirectory {
        place: place(decoder)?,
        attributes: decoder.fixed()?,
    })
}

fn make_link(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::MakeLink {
        place: place(decoder)?,
        attributes: decoder.fixed()?,
        target: text(decoder)?,
    })
}

fn make_node(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    let place = place(decoder)?;
    let _what: mknoddata3 = decoder.fixed()?;
    Ok(Arguments::MakeNode(place))
}

fn rename(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::Rename {
        from: place(decoder)?,
        to: place(decoder)?,
    })
}

fn link(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::Link {
        file: handle(decoder)?,
        place: place(decoder)?,
    })
}

fn list(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::List {
        directory: handle(decoder)?,
        cookie: decoder.u64()?,
        verifier: decoder.array()?,
        count: decoder.u32()?,
    })
}

fn list_with_objects(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::ListWithObjects {
        directory: handle(decoder)?,
        cookie: decoder.u64()?,
        verifier: decoder.array()?,
        names: decoder.u32()?,
        count: decoder.u32()?,
    })
}

fn commit(decoder: &mut Decoder<'_>) -> Result<Arguments, Garbage> {
    Ok(Arguments::Commit {
        file: handle(decoder)?,
        offset: decoder.u64()?,
        count: decoder.u32()?,
    })
}

/// A handle as hexadecimal digits.
struct Hex<'a>(&'a Handle);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.get(..300).unwrap_or(&self.name);
        write!(f, "{} \"{}\"", Hex(&self.directory), name.escape_ascii())
    }
}

/// One line for a trace.
impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::GetAttributes(object)
            | Self::ReadLink(object)
            | Self::Space(object)
            | Self::Limits(object)
            | Self::PathLimits(object) => Hex(object).fmt(f),
            Self::SetAttributes { object, changes, guard } => {
                write!(
                    f,
                    "{} {changes:?}{}",
                    Hex(object),
                    if guard.is_some() { " guarded" } else { "" }
                )
            }
            Self::Lookup(place) | Self::MakeNode(place) | Self::Remove(place) | Self::RemoveDirectory(place) => {
                place.fmt(f)
            }
            Self::Access { object, wanted } => write!(f, "{} {wanted:#x}", Hex(object)),
            Self::Read { file, offset, count } | Self::Commit { file, offset, count } => {
                write!(f, "{} {offset}+{count}", Hex(file))
            }
            Self::Write {
                file,
                offset,
                count,
                stable,
                ..
            } => write!(f, "{} {offset}+{count} {stable}", Hex(file)),
            Self::Create { place, how } => write!(f, "{place} {how:?}"),
            Self::MakeDirectory { place, attributes } => write!(f, "{place} {attributes:?}"),
            Self::MakeLink { place, target, .. } => write!(f, "{place} -> \"{}\"", target.escape_ascii()),
            Self::Rename { from, to } => write!(f, "{from} -> {to}"),
            Self::Link { file, place } => write!(f, "{} -> {place}", Hex(file)),
            Self::List {
                directory,
                cookie,
                count,
                ..
            }
            | Self::ListWithObjects {
                directory,
                cookie,
                count,
                ..
            } => write!(f, "{} from {cookie} {count} bytes", Hex(directory)),
        }
    }
}
