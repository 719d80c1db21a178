//! What all reconcilers share.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use kubestash::session::job::Image;

use super::metrics::Metrics;

/// Variables of the operator that its Jobs need too.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

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
        })
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
