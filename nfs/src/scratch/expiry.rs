//! Removal of what nobody uses.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;

use super::Id;
use super::data::now;
use super::host::{Facts, status};
use super::names::Names;
use super::tree::Tree;
use crate::file_system::Status;

impl Tree {
    pub(super) fn expire(&self) -> Result<usize, Status> {
        let Some(limit) = now().checked_sub(self.options.unused.as_secs()) else {
            return Ok(0);
        };
        let mut candidates: Vec<Id> = {
            let names = self.names.lock();
            let nodes = names.nodes.iter().filter(|(_, node)| node.parent != names.taken);
            nodes
                .map(|(inode, node)| Id {
                    inode: *inode,
                    birth: node.birth,
                })
                .collect()
        };
        // The content of a folder before the folder: what was made in it later is mostly there first.
        candidates.sort_by_key(|id| std::cmp::Reverse(id.birth));
        let mut removed = 0;
        for id in candidates {
            // One lock each: clients wait for one removal, not for all.
            match self.expire_one(&mut self.names.lock(), id, limit) {
                Ok(true) => removed += 1,
                Ok(false) | Err(Status::NFS3ERR_STALE | Status::NFS3ERR_NOTEMPTY | Status::NFS3ERR_NOENT) => {}
                Err(status) => return Err(status),
            }
        }
        Ok(removed)
    }

    fn expire_one(&self, names: &mut Names, id: Id, limit: u64) -> Result<bool, Status> {
        let located = self.locate(names, id)?;
        if self.last_used(names, id, &located.facts) > limit {
            return Ok(false);
        }
        let folder = &located.parent.file;
        let (flags, gone) = if located.facts.is_directory() {
            (AtFlags::REMOVEDIR, None)
        } else {
            let gone = self.hold(folder.as_fd(), &located.name, &located.facts);
            (AtFlags::empty(), gone)
        };
        let _lock = self.stripe(id.inode);
        rustix::fs::unlinkat(folder, &*located.name, flags).map_err(status)?;
        self.dropped(names, &located.facts, gone.as_ref());
        Ok(true)
    }

    /// The last use that the disk or this process knows of. The modification time is the client's to set and says nothing.
    fn last_used(&self, names: &Names, id: Id, facts: &Facts) -> u64 {
        let open = self.cached(id).map(|open| open.used.load(Ordering::Relaxed));
        let node = names.nodes.get(&id.inode).map(|node| node.used);
        let known = open.max(node).unwrap_or_default();
        known.max(facts.ctime.seconds.into())
    }
}
