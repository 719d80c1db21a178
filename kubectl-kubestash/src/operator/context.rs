//! What all reconcilers share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{
    Client, Resource, ResourceExt as _,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use kubestash::{
    api::{Condition, Repository},
    session::job::Image,
};

use super::metrics::Metrics;

/// Variables of the operator that its Jobs need too.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

/// A repository is looked for in its bucket again after so long: `metadata.yaml` can lose an entry to another cluster that writes at the same moment.
const REGISTERED: Duration = Duration::from_secs(540);

/// Client, image, clock, Events and metrics.
pub struct Context {
    /// Asks the API server, and asks again when it is busy.
    pub client: Client,
    /// Image of the Jobs.
    pub image: Image,
    /// Variables of the Jobs.
    pub environment: Vec<(String, String)>,
    /// `metadata.yaml` of a storage is read, changed and written: one at a time.
    pub storage_writes: tokio::sync::Mutex<()>,
    /// What is counted.
    pub metrics: Metrics,
    /// When a repository was last seen in its bucket, and in which generation.
    registered: Mutex<HashMap<String, (Option<i64>, Instant)>>,
    recorder: Recorder,
}

impl Context {
    /// From the environment of the operator's Pod.
    pub fn new(client: Client, image: Image) -> Arc<Self> {
        let variable = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok().filter(|value| !value.is_empty())?));
        let reporter = Reporter { controller: "kubestash-operator".to_owned(), instance: std::env::var("POD_NAME").ok() };
        Arc::new(Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            image,
            environment: PROXIES.iter().filter_map(variable).collect(),
            storage_writes: tokio::sync::Mutex::new(()),
            metrics: Metrics::default(),
            registered: Mutex::default(),
        })
    }

    /// Whether this generation of a repository was seen in its bucket a short time ago. An operator that starts has seen none.
    pub fn was_registered(&self, repository: &Repository) -> bool {
        let seen = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        let own = seen.get(&repository.uid().unwrap_or_default());
        own.is_some_and(|(generation, when)| *generation == repository.metadata.generation && when.elapsed() < REGISTERED)
    }

    /// Remembers that it is there.
    pub fn note_registered(&self, repository: &Repository) {
        let mut seen = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, (_, when)| when.elapsed() < REGISTERED);
        seen.insert(repository.uid().unwrap_or_default(), (repository.metadata.generation, Instant::now()));
    }

    /// Tells of the conditions of an object that say something else than before.
    pub async fn told<K: Resource<DynamicType = ()>>(&self, object: &K, before: &[Condition], now: &[Condition]) {
        let same = |one: &Condition, other: &Condition| (&one.type_, &one.status, &one.message) == (&other.type_, &other.status, &other.message);
        for condition in now.iter().filter(|condition| !before.iter().any(|old| same(old, condition))) {
            let type_ = if condition.is_true() { EventType::Normal } else { EventType::Warning };
            let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
            self.event(object, type_, reason, condition.message.clone().unwrap_or_default()).await;
        }
    }

    /// The time, which decisions get as a value.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Something that went as it should.
    pub async fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: impl Into<String>) {
        self.event(object, EventType::Normal, reason, note.into()).await;
    }

    /// Something that a person should look at.
    pub async fn warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, note: impl Into<String>) {
        self.event(object, EventType::Warning, reason, note.into()).await;
    }

    /// An Event is help, not part of the work: when it cannot be written, the work goes on.
    async fn event<K: Resource<DynamicType = ()>>(&self, object: &K, type_: EventType, reason: &str, note: String) {
        // The API server takes 1,024 bytes.
        let note = note.chars().take(900).collect();
        let event = Event { type_, reason: reason.to_owned(), note: Some(note), action: reason.to_owned(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!("an Event cannot be written: {error}");
        }
    }
}
