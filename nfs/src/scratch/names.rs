//! The map from inodes to names.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::Id;
use super::cache::Cache;
use crate::file_system::Status;

/// Where an object is.
pub(super) struct Node {
    pub(super) parent: u64,
    pub(super) name: Box<[u8]>,
    pub(super) birth: u64,
    /// When its bytes were last read or written, in seconds since 1970, as far as this process knows.
    pub(super) used: u64,
}

/// A folder where paths begin, by its path below the scratch root.
pub(super) struct Base {
    pub(super) path: PathBuf,
    /// The mount's folder whose files these are; `None` for the folder of files that were taken.
    pub(super) folder: Option<Vec<String>>,
}

/// All objects. A folder that is renamed takes its content along, for that refers to its inode.
pub(super) struct Names {
    pub(super) nodes: HashMap<u64, Node>,
    pub(super) bases: HashMap<u64, Base>,
    pub(super) base_of: HashMap<Vec<String>, u64>,
    /// The inode of the folder of files that were taken.
    pub(super) taken: u64,
    pub(super) folders: Cache<Arc<OwnedFd>>,
}

impl Names {
    pub(super) fn new(open_folders: usize) -> Self {
        Self {
            nodes: HashMap::new(),
            bases: HashMap::new(),
            base_of: HashMap::new(),
            taken: 0,
            folders: Cache::new(open_folders),
        }
    }

    pub(super) fn find(&self, id: Id) -> Result<&Node, Status> {
        let node = self.nodes.get(&id.inode).filter(|node| node.birth == id.birth);
        node.ok_or(Status::NFS3ERR_STALE)
    }

    /// The identity that an inode is known by.
    pub(super) fn known(&self, inode: u64) -> Option<Id> {
        let node = self.nodes.get(&inode)?;
        Some(Id {
            inode,
            birth: node.birth,
        })
    }

    pub(super) fn put(&mut self, id: Id, parent: u64, name: &[u8]) {
        let used = match self.nodes.get(&id.inode) {
            Some(node) if node.birth == id.birth => {
                if node.parent == parent && *node.name == *name {
                    return;
                }
                node.used
            }
            _ => 0,
        };
        let node = Node {
            parent,
            name: name.into(),
            birth: id.birth,
            used,
        };
        self.nodes.insert(id.inode, node);
    }

    pub(super) fn forget(&mut self, inode: u64) {
        self.nodes.remove(&inode);
        self.folders.remove(inode);
    }

    /// The names that lead from a base to an object, and the base. The steps are as many as the tree is deep, and end also where the map has a circle.
    pub(super) fn steps(&self, inode: u64) -> Result<(&Base, Vec<&[u8]>), Status> {
        let mut steps = Vec::new();
        let mut at = inode;
        loop {
            if let Some(base) = self.bases.get(&at) {
                steps.reverse();
                return Ok((base, steps));
            }
            let node = self.nodes.get(&at).ok_or(Status::NFS3ERR_STALE)?;
            steps.push(&*node.name);
            at = node.parent;
            if steps.len() > self.nodes.len() {
                return Err(Status::NFS3ERR_STALE);
            }
        }
    }
}
