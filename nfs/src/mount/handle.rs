//! File handles: what an object is, in 40 bytes that are good after a restart.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::file_system::{Handle, Status};
use crate::lake::TableName;
use crate::render::Format;
use crate::scratch::Id;

/// The first two bytes of every handle: the layout's mark and number.
const LAYOUT: u16 = 0x7001;
/// Bytes of a handle.
const LENGTH: usize = 40;

/// An object of the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// The mount's root: the default schema's tables, and what belongs to the whole lake.
    Root,
    /// A schema other than the default one.
    Schema(u64),
    /// A table's folder.
    Table(u64),
    /// A table's folder at a version.
    Pinned { table: u64, version: u64 },
    /// A table's rows as text that can be written. One handle goes with a line of versions each of which only appends to the one before.
    Text(TextId),
    /// A table's rows as text at a version, for reading.
    PinnedText { table: u64, format: Format, version: u64 },
    /// `schema.sql` of a table; version 0 stands for the latest, n + 1 for version n.
    Definition { table: u64, version: u64 },
    /// A Parquet file of a version, by the hash of its path.
    Data { table: u64, version: u64, file: u64 },
    /// `data.csv.errors` of a table.
    Errors(u64),
    /// `data.csv.rej` of a table.
    Rejected(u64),
    /// `schema.sql` of the lake.
    LakeDefinition,
    /// `.query`, each client's own. The number grows with each result.
    Query(u32),
    /// `.sql`.
    Statements,
    /// `.status`.
    Status,
    /// A file or folder that is no table's.
    Scratch(Id),
}

/// The rows of a table as writable text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TextId {
    pub(crate) table: u64,
    /// Hash of the table's id in its log: a table that was dropped and made again has other handles.
    pub(crate) incarnation: u64,
    pub(crate) format: Format,
    /// The version that the line begins with.
    pub(crate) version: u64,
    /// Grows when the handle must change although the version did not: after a refusal.
    pub(crate) turn: u32,
}

/// Makes and reads handles, with a key that is kept beside the mount's state: a client cannot make up a handle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handles {
    key: u64,
}

/// What stands for a table in handles.
pub(crate) fn table_id(name: &TableName) -> u64 {
    xxh3_64(format!("{}\0{}", name.schema.as_deref().unwrap_or_default(), name.table).as_bytes())
}

/// What stands for a schema in handles.
pub(crate) fn schema_id(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// What stands for any other text in handles.
pub(crate) fn text_id(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

impl Handles {
    pub(crate) fn new(key: u64) -> Self {
        Self { key }
    }

    pub(crate) fn encode(self, node: &Node) -> Handle {
        let bytes = parts(node);
        let mut handle = BytesMut::with_capacity(LENGTH);
        handle.put_slice(&bytes);
        handle.put_u64(xxh3_64_with_seed(&bytes, self.key));
        Handle(handle.freeze())
    }

    /// # Errors
    /// `NFS3ERR_BADHANDLE` for bytes that this mount did not make.
    pub(crate) fn decode(self, handle: &Handle) -> Result<Node, Status> {
        node(self.key, &handle.0).ok_or(Status::NFS3ERR_BADHANDLE)
    }
}

/// The number that `stat` shows for an object. Scratch files have numbers of their own, with the highest bit set.
pub(crate) fn file_id(node: &Node) -> u64 {
    xxh3_64(&parts(node)) & !(1 << 63)
}

fn format_code(format: Format) -> u8 {
    match format {
        Format::Csv => 1,
        Format::JsonLines => 2,
        Format::Json => 3,
    }
}

fn parts(node: &Node) -> Bytes {
    let (kind, format, turn, a, b, c) = match *node {
        Node::Root => (0, 0, 0, 0, 0, 0),
        Node::Schema(schema) => (1, 0, 0, schema, 0, 0),
        Node::Table(table) => (2, 0, 0, table, 0, 0),
        Node::Pinned { table, version } => (3, 0, 0, table, 0, version),
        Node::Text(text) => (
            4,
            format_code(text.format),
            text.turn,
            text.table,
            text.incarnation,
            text.version,
        ),
        Node::PinnedText { table, format, version } => (5, format_code(format), 0, table, 0, version),
        Node::Definition { table, version } => (6, 0, 0, table, 0, version),
        Node::Data { table, version, file } => (7, 0, 0, table, file, version),
        Node::Errors(table) => (8, 0, 0, table, 0, 0),
        Node::Rejected(table) => (9, 0, 0, table, 0, 0),
        Node::LakeDefinition => (10, 0, 0, 0, 0, 0),
        Node::Query(turn) => (11, 0, turn, 0, 0, 0),
        Node::Statements => (12, 0, 0, 0, 0, 0),
        Node::Status => (13, 0, 0, 0, 0, 0),
        Node::Scratch(id) => (14, 0, 0, id.inode, id.birth, 0),
    };
    let mut bytes = BytesMut::with_capacity(LENGTH - 8);
    bytes.put_u16(LAYOUT);
    bytes.put_u8(kind);
    bytes.put_u8(format);
    bytes.put_u32(turn);
    for part in [a, b, c] {
        bytes.put_u64(part);
    }
    bytes.freeze()
}

fn node(key: u64, handle: &[u8]) -> Option<Node> {
    use bytes::Buf;
    if handle.len() != LENGTH {
        return None;
    }
    let (bytes, mut tag) = handle.split_at_checked(LENGTH - 8)?;
    if tag.get_u64() != xxh3_64_with_seed(bytes, key) {
        return None;
    }
    let mut bytes = bytes;
    if bytes.get_u16() != LAYOUT {
        return None;
    }
    let (kind, code, turn) = (bytes.get_u8(), bytes.get_u8(), bytes.get_u32());
    let (a, b, c) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u64());
    let format = match code {
        2 => Format::JsonLines,
        3 => Format::Json,
        _ => Format::Csv,
    };
    Some(match kind {
        0 => Node::Root,
        1 => Node::Schema(a),
        2 => Node::Table(a),
        3 => Node::Pinned { table: a, version: c },
        4 => Node::Text(TextId {
            table: a,
            incarnation: b,
            format,
            version: c,
            turn,
        }),
        5 => Node::PinnedText {
            table: a,
            format,
            version: c,
        },
        6 => Node::Definition { table: a, version: c },
        7 => Node::Data {
            table: a,
            version: c,
            file: b,
        },
        8 => Node::Errors(a),
        9 => Node::Rejected(a),
        10 => Node::LakeDefinition,
        11 => Node::Query(turn),
        12 => Node::Statements,
        13 => Node::Status,
        14 => Node::Scratch(Id { inode: a, birth: b }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_read_as_they_were_made_and_not_made_up() {
        let handles = Handles::new(7);
        let nodes = [
            Node::Root,
            Node::Table(3),
            Node::Text(TextId {
                table: 1,
                incarnation: 2,
                format: Format::JsonLines,
                version: 9,
                turn: 4,
            }),
            Node::Data {
                table: 1,
                version: 2,
                file: 3,
            },
            Node::Scratch(Id { inode: 5, birth: 6 }),
            Node::Query(8),
        ];
        for node in nodes {
            let handle = handles.encode(&node);
            assert_eq!(handles.decode(&handle), Ok(node));
            assert_eq!(Handles::new(8).decode(&handle), Err(Status::NFS3ERR_BADHANDLE));
            assert_eq!(
                handles.decode(&Handle(handle.0.slice(1..))),
                Err(Status::NFS3ERR_BADHANDLE)
            );
        }
    }
}
