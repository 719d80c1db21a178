//! The blocking side of the pipeline: items of one kind into the writers of all snapshots.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use tokio::sync::mpsc::Receiver;

use super::{filters::Matcher, read::Progress};
use crate::{
    object::{KindInfo, ObjectError, scan_identity},
    repository::{KindWriter, RepositoryError},
};

/// In sorted mode a kind is held in memory; more than this is refused.
const MAX_SORTED_BYTES: usize = 64 << 20;
/// Objects that could not be stored and are named one by one; more of them are counted.
const MAX_NAMED: usize = 100;

/// Items as they came, back to back.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<usize>,
}

/// What reaches a worker.
pub(super) enum Message {
    Items(Batch),
    /// The list is complete. Without it the kind is dropped.
    Complete,
}

/// What a worker counted.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) left_out: BTreeMap<String, u64>,
    /// Objects that cannot be stored, with the reason. They do not keep the rest of their kind from being stored.
    pub(super) not_stored: BTreeMap<String, String>,
    unnamed: u64,
}

impl Taken {
    fn refuse(&mut self, object: String, reason: &ObjectError) {
        if self.not_stored.len() < MAX_NAMED {
            self.not_stored.insert(object, reason.to_string());
        } else {
            self.unnamed += 1;
        }
    }

    /// For the report.
    pub(super) fn take_not_stored(&mut self) -> BTreeMap<String, String> {
        if self.unnamed > 0 {
            self.not_stored.insert("others".to_owned(), format!("{} more objects of this kind", self.unnamed));
        }
        std::mem::take(&mut self.not_stored)
    }
}

/// Why a worker stopped.
#[derive(Debug)]
pub(super) enum WorkerError {
    /// The list was given up by the reader.
    Abandoned,
    /// This server does not list the kind in order: sort it first.
    OutOfOrder,
    /// An item cannot be read.
    Item(ObjectError),
    /// Too large to be sorted.
    TooLarge,
    /// A snapshot cannot be written: the whole backup fails.
    Repository(RepositoryError),
}

impl From<RepositoryError> for WorkerError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::OutOfOrder { .. } => Self::OutOfOrder,
            RepositoryError::Object { source, .. } => Self::Item(source),
            error => Self::Repository(error),
        }
    }
}

pub(super) struct Worker {
    pub(super) kind: KindInfo,
    pub(super) matcher: Arc<Matcher>,
    pub(super) writers: Vec<KindWriter>,
    pub(super) progress: Arc<Progress>,
    /// Collect and sort before writing.
    pub(super) sorted: bool,
}

impl Worker {
    /// Runs until the list is complete. Blocks its thread.
    pub(super) fn run(mut self, mut messages: Receiver<Message>) -> Result<Taken, WorkerError> {
        let mut taken = Taken::default();
        let mut held: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut held_bytes = 0;
        loop {
            let batch = match messages.blocking_recv() {
                None => return Err(WorkerError::Abandoned),
                Some(Message::Complete) => break,
                Some(Message::Items(batch)) => batch,
            };
            let mut start = 0;
            for &end in &batch.ends {
                let item = batch.bytes.get(start..end).unwrap_or_default();
                start = end;
                let (namespace, name) = scan_identity(item).map_err(WorkerError::Item)?;
                if let Err(reason) = self.matcher.object(&self.kind, namespace.as_deref(), &name, item) {
                    *taken.left_out.entry(reason.to_owned()).or_default() += 1;
                    continue;
                }
                taken.objects += 1;
                taken.bytes += item.len() as u64;
                self.progress.objects.fetch_add(1, Ordering::Relaxed);
                self.progress.bytes.fetch_add(item.len() as u64, Ordering::Relaxed);
                if self.sorted {
                    held_bytes += item.len();
                    if held_bytes > MAX_SORTED_BYTES {
                        return Err(WorkerError::TooLarge);
                    }
                    held.insert(namespace.map_or_else(|| name.to_string(), |namespace| format!("{namespace}/{name}")), item.to_vec());
                } else {
                    self.write(namespace.as_deref(), &name, item, &mut taken)?;
                }
            }
        }
        for item in held.values() {
            let (namespace, name) = scan_identity(item).map_err(WorkerError::Item)?;
            self.write(namespace.as_deref(), &name, item, &mut taken)?;
        }
        for writer in self.writers {
            writer.finish()?;
        }
        Ok(taken)
    }

    fn write(&mut self, namespace: Option<&str>, name: &str, item: &[u8], taken: &mut Taken) -> Result<(), WorkerError> {
        let mut refused = None;
        for writer in &mut self.writers {
            match writer.push(namespace, name, item) {
                Err(RepositoryError::Object { object, source }) => refused = Some((object, source)),
                other => other?,
            }
        }
        if let Some((object, reason)) = refused {
            taken.objects -= 1;
            taken.refuse(object, &reason);
        }
        Ok(())
    }
}
