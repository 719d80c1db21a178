//! Writing the index anew, and deleting as far as the store allows it.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use crate::{
    repository::{
        Repository, RepositoryError,
        blocks::INDEX_BINDING,
        format::{
            content, hex,
            pack::{PackInfo, encode_index},
        },
    },
    store::{Store, StoreError},
};

/// Encoded bytes of one index file: half of what a reader takes.
const FILE_TARGET: usize = 32 << 20;
/// At most so many bytes stand for a block, and for a pack, in an index file.
const ENTRY: usize = 80;

/// Packs that an index shall name.
pub(in crate::repository) type Indexed = BTreeMap<[u8; 32], PackInfo>;

/// Whether an index file that names the same packs already may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repository) enum Reuse {
    Yes,
    /// Each is sealed anew.
    No,
}

/// In files of at most about `target` bytes. The same packs give the same files.
fn files(packs: &Indexed, target: usize) -> Vec<Vec<PackInfo>> {
    let mut files: Vec<Vec<PackInfo>> = Vec::new();
    let mut bytes = usize::MAX;
    for pack in packs.values() {
        let own = ENTRY * (pack.entries.len() + 1);
        bytes = bytes.saturating_add(own);
        match files.last_mut() {
            Some(file) if bytes <= target => file.push(pack.clone()),
            _ => {
                files.push(vec![pack.clone()]);
                bytes = own;
            }
        }
    }
    files
}

impl Repository {
    /// Writes index files that name these packs and no others, but for those that are there already. Gives the files that are needed from
    /// now on; whoever calls deletes the others afterwards.
    pub(in crate::repository) async fn write_index(
        &self,
        packs: &Indexed,
        old: &[(String, Vec<PackInfo>)],
    ) -> Result<HashSet<String>, RepositoryError> {
        let mut needed = HashSet::new();
        for file in files(packs, FILE_TARGET) {
            let same = |found: &[PackInfo]| {
                let found: HashMap<[u8; 32], &PackInfo> = found.iter().map(|pack| (pack.hash, pack)).collect();
                found.len() == file.len() && file.iter().all(|pack| found.get(&pack.hash) == Some(&pack))
            };
            if let Some((key, _)) = old.iter().find(|(_, found)| same(found)) {
                needed.insert(key.clone());
                continue;
            }
            let sealed = self.inner.ring.seal(false, &content::encode_raw(&encode_index(&file)), INDEX_BINDING)?;
            let key = format!("index/{}", hex(blake3::hash(&sealed).as_bytes()));
            self.inner.store.put(&key, Bytes::from(sealed)).await?;
            needed.insert(key);
        }
        Ok(needed)
    }

    /// Replaces all index files by such that name these packs and no others: first the new ones are written, then the old ones go. Gives
    /// the names of the old ones that the store does not let go.
    pub(in crate::repository) async fn replace_index(
        &self,
        packs: &Indexed,
        old: &[(String, Vec<PackInfo>)],
        unreadable: &[String],
        reuse: Reuse,
    ) -> Result<Vec<String>, RepositoryError> {
        let needed = self.write_index(packs, if reuse == Reuse::Yes { old } else { &[] }).await?;
        let mut denied = Vec::new();
        for key in old.iter().map(|(key, _)| key).chain(unreadable).filter(|key| !needed.contains(*key)) {
            if !delete_allowed(&self.inner.store, key).await? {
                denied.push(key.clone());
            }
        }
        Ok(denied)
    }
}

/// Deletes an object; `false` when the store does not allow it, as under an object lock whose time is not over.
pub(in crate::repository) async fn delete_allowed(store: &Store, key: &str) -> Result<bool, StoreError> {
    match store.delete(key).await {
        Err(StoreError::Denied { .. }) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Writes an object over an old one; `false` when the store does not allow it.
pub(in crate::repository) async fn replace_allowed(store: &Store, key: &str, content: Bytes) -> Result<bool, StoreError> {
    match store.put(key, content).await {
        Err(StoreError::Denied { .. }) => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::repository::format::{BlockId, Class, Content, pack::PackEntry};

    #[test]
    fn many_packs_give_several_files() {
        let entry = PackEntry { id: BlockId([1; 32]), class: Class::general(Content::Rest), dictionary: None, offset: 0, stored: 1, raw: 1 };
        let packs: Indexed = (0..10).map(|n| ([n; 32], PackInfo { hash: [n; 32], size: 1, entries: vec![entry.clone(); 9] })).collect();
        let lengths = |target| files(&packs, target).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(usize::MAX), [10]);
        assert_eq!(lengths(30 * ENTRY), [3, 3, 3, 1]);
        // A pack is never divided.
        assert_eq!(lengths(1), [1; 10]);
        assert!(files(&Indexed::new(), 1).is_empty());
    }
}
