//! The dictionaries that the writer of a kind compresses with: those of the parent, else made from the first full block.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{
    RepositoryError,
    format::{BLOCK_TARGET, BlockId, Class, Content, content},
    writer::Shared,
};
use crate::object::GroupResource;

/// Bytes that a block is compressed with.
#[derive(Clone)]
pub(super) struct Dictionary {
    pub(super) id: BlockId,
    pub(super) raw: Bytes,
}

/// What there is for the blocks of a class.
enum State {
    Nothing,
    /// Of the first full block; stored when another block comes.
    Sample(Vec<u8>),
    Stored(Dictionary),
}

/// Those of one kind, by the class of the blocks.
pub(super) struct Dictionaries {
    shared: Arc<Shared>,
    kind: GroupResource,
    known: HashMap<Class, State>,
}

impl Dictionaries {
    pub(super) fn new(shared: Arc<Shared>, kind: GroupResource) -> Self {
        Self { shared, kind, known: HashMap::new() }
    }

    /// The one for the next block of this class, if there is one.
    pub(super) fn get(&mut self, class: Class) -> Result<Option<Dictionary>, RepositoryError> {
        let state = match self.known.remove(&class) {
            None => self.of_parent(class)?.map_or(State::Nothing, State::Stored),
            Some(State::Sample(sample)) => {
                let id = self.shared.store_block_blocking(Class { content: Content::Dictionary, ..class }, &sample, None)?;
                State::Stored(Dictionary { id, raw: sample.into() })
            }
            Some(state) => state,
        };
        let found = if let State::Stored(dictionary) = &state { Some(dictionary.clone()) } else { None };
        self.known.insert(class, state);
        Ok(found)
    }

    /// Learns from a block that was stored: from the first full one, so that small kinds have no dictionary. It would cost more than it saves.
    pub(super) fn learn(&mut self, class: Class, raw: &[u8]) {
        if raw.len() >= BLOCK_TARGET / 2
            && let Some(state @ State::Nothing) = self.known.get_mut(&class)
        {
            *state = State::Sample(content::sample(raw));
        }
    }

    /// What the parent's blocks of this class were compressed with. Damage of it only costs the reuse.
    fn of_parent(&self, class: Class) -> Result<Option<Dictionary>, RepositoryError> {
        if self.shared.anew {
            return Ok(None);
        }
        let Some(id) = self.named_by_parent(class) else { return Ok(None) };
        match self.shared.handle.block_on(self.shared.repository.inner.blocks.get(id)) {
            Err(error) if error.is_damage() => Ok(None),
            raw => Ok(Some(Dictionary { id, raw: raw? })),
        }
    }

    fn named_by_parent(&self, class: Class) -> Option<BlockId> {
        let index = self.shared.repository.inner.blocks.index();
        let kinds = self.shared.dictionary_tops.iter().rev().flat_map(|top| &top.kinds).filter(|kind| kind.info.group_resource() == self.kind);
        let places = kinds.flat_map(|kind| &kind.blocks).flat_map(|id| index.places(*id));
        let mut dictionaries = places.filter(|place| place.class == class).filter_map(|place| place.dictionary);
        dictionaries.find(|id| self.shared.holds(&index, *id))
    }
}
