//! Waiting for what the API server asks before it takes an object: admission webhooks that refuse what they are not asked about, and webhooks
//! that convert between the versions of a kind.
//!
//! Their servers may be coming back in this very restore. Where that is so and they cannot be there yet, nothing is waited for: the requests
//! themselves are tried again for a while.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;

use super::Run;
use crate::{
    cluster::percent_encode,
    object::GroupResource,
    restore::{
        api::{self, Call},
        order::Stage,
        plan::{Action, Plan, Step},
        policy::is_built_in,
        transforms::at,
    },
};

const CONFIGURATIONS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Looks at the same time.
const PARALLEL: usize = 8;

/// The Service that answers for a webhook.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Backend {
    namespace: String,
    name: String,
}

/// A webhook without whose answer objects are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Webhook {
    /// What it is, for a sentence.
    label: String,
    backend: Backend,
    asked: Asked,
}

/// What a webhook is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// Requests that a rule fits.
    Requests(Vec<Rule>),
    /// Every object of a kind.
    Kind(GroupResource),
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
}

impl Rule {
    /// Versions do not count: a webhook is asked about equivalent ones as well.
    fn fits(&self, step: &Step) -> bool {
        let operation = match step.action {
            Action::Update => "UPDATE",
            Action::Delete => "DELETE",
            _ => "CREATE",
        };
        let one = |list: &[String], words: &[&str]| list.iter().any(|own| words.contains(&own.as_str()));
        one(&self.api_groups, &["*", &step.kind.group])
            && one(&self.resources, &["*", "*/*", &step.kind.resource])
            && one(&self.operations, &["*", operation])
    }
}

impl Webhook {
    fn is_asked_about(&self, step: &Step) -> bool {
        match &self.asked {
            Asked::Requests(rules) => rules.iter().any(|rule| rule.fits(step)),
            Asked::Kind(kind) => step.kind.group_resource() == *kind && step.action != Action::Delete,
        }
    }
}

/// The webhooks of a configuration that refuse where they do not answer. Those at a URL are left out: nobody here can see whether they answer.
fn admission(configuration: &Value) -> Vec<Webhook> {
    let owner = at(configuration, &["metadata", "name"]).and_then(Value::as_str).unwrap_or_default();
    let webhooks = at(configuration, &["webhooks"]).and_then(Value::as_array);
    let read = |webhook: &Value| {
        let fails = at(webhook, &["failurePolicy"]).and_then(Value::as_str) != Some("Ignore");
        let name = at(webhook, &["name"]).and_then(Value::as_str).unwrap_or_default();
        Some(Webhook {
            label: format!("webhook {name} of {owner}"),
            backend: serde_json::from_value(at(webhook, &["clientConfig", "service"])?.clone()).ok().filter(|_| fails)?,
            asked: Asked::Requests(serde_json::from_value(at(webhook, &["rules"])?.clone()).ok()?),
        })
    };
    webhooks.into_iter().flatten().filter_map(read).collect()
}

/// The webhook of a definition that converts between its versions.
fn conversion(definition: &Value) -> Option<Webhook> {
    let name = at(definition, &["metadata", "name"]).and_then(Value::as_str)?;
    let service = at(definition, &["spec", "conversion", "webhook", "clientConfig", "service"])?;
    let Ok(kind) = name.parse();
    Some(Webhook {
        label: format!("the webhook that converts {name}"),
        backend: serde_json::from_value(service.clone()).ok()?,
        asked: Asked::Kind(kind),
    })
}

/// Whether what answers for a webhook is made by this wave or a later one, so that waiting for it would only cost time.
fn comes_later(plan: &Plan, wave: usize, backend: &Backend) -> bool {
    let steps = plan.waves.iter().skip(wave).flat_map(|wave| &wave.steps);
    steps.into_iter().any(|step| {
        let kind = step.kind.group_resource();
        let is_service = kind == GroupResource::new("", "services") && step.name == backend.name;
        step.action.makes() && step.namespace.as_ref() == Some(&backend.namespace) && (is_service || Stage::of(&kind) == Stage::Workloads)
    })
}

/// Whether any endpoint in a list of slices takes requests.
fn has_ready(slices: &Value) -> bool {
    let endpoints =
        at(slices, &["items"]).and_then(Value::as_array).into_iter().flatten().filter_map(|slice| slice.get("endpoints")?.as_array()).flatten();
    endpoints.into_iter().any(|endpoint| at(endpoint, &["conditions", "ready"]) != Some(&Value::Bool(false)))
}

/// Holds waves back until the webhooks that they need answer. Each is awaited once.
#[derive(Default)]
pub struct Gate {
    /// Those of admission; none before they are read.
    admission: Option<Vec<Webhook>>,
    /// Those of definitions, by kind, of kinds that were looked at.
    conversions: BTreeMap<GroupResource, Option<Webhook>>,
    settled: BTreeSet<Backend>,
}

impl Gate {
    /// Waits before a wave. What does not answer in time is reported, and the wave begins.
    pub async fn wait(&mut self, run: &Run, wave: usize) {
        let writes: Vec<&Step> = run.plan.waves.get(wave).into_iter().flat_map(|wave| &wave.steps).filter(|step| step.action.writes()).collect();
        if writes.is_empty() || run.stopped() {
            return;
        }
        self.look(run, &writes).await;
        let mut awaited: BTreeMap<Backend, Vec<String>> = BTreeMap::new();
        for webhook in self.admission.iter().flatten().chain(self.conversions.values().flatten()) {
            let is_asked = || writes.iter().any(|step| webhook.is_asked_about(step));
            if !self.settled.contains(&webhook.backend) && is_asked() && !comes_later(&run.plan, wave, &webhook.backend) {
                awaited.entry(webhook.backend.clone()).or_default().push(webhook.label.clone());
            }
        }
        let end = Instant::now() + run.patience.settle;
        let looks = stream::iter(awaited).map(|(backend, labels)| async move { (ready(run, &backend, end).await, backend, labels) });
        for (outcome, backend, labels) in looks.buffer_unordered(PARALLEL).collect::<Vec<_>>().await {
            if let Err(why) = outcome {
                let line = format!(
                    "{}: {why}; what it is asked about may be refused: see to Service {}/{}, or set failurePolicy: Ignore for the time of the restore",
                    labels.join(", "),
                    backend.namespace,
                    backend.name
                );
                run.report(|report| report.warnings.push(line));
            }
            self.settled.insert(backend);
        }
    }

    /// Reads the configurations, once, and definitions of custom kinds when they are first written.
    async fn look(&mut self, run: &Run, writes: &[&Step]) {
        // Who may not look is told by refusals, as before.
        if self.admission.is_none() {
            let mut found = Vec::new();
            for resource in CONFIGURATIONS {
                let path = format!("/apis/admissionregistration.k8s.io/v1/{resource}");
                let list = api::look(&run.cluster, Call::get(path)).await.and_then(|answer| answer.value()).unwrap_or_default();
                found.extend(at(&list, &["items"]).and_then(Value::as_array).into_iter().flatten().flat_map(admission));
            }
            self.admission = Some(found);
        }
        let kinds: BTreeSet<GroupResource> = writes.iter().map(|step| step.kind.group_resource()).collect();
        let new = kinds.into_iter().filter(|kind| !is_built_in(&kind.group) && !self.conversions.contains_key(kind));
        let looks = stream::iter(new.collect::<Vec<_>>()).map(|kind| async move {
            let definition = api::look(&run.cluster, Call::get(format!("{DEFINITIONS}/{kind}"))).await.and_then(|answer| answer.value());
            (kind, definition.ok().as_ref().and_then(conversion))
        });
        self.conversions.extend(looks.buffer_unordered(PARALLEL).collect::<Vec<_>>().await);
    }
}

/// Waits until a Service has an endpoint that takes requests.
async fn ready(run: &Run, backend: &Backend, end: Instant) -> Result<(), String> {
    let namespace = format!("namespaces/{}", percent_encode(&backend.namespace));
    let name = percent_encode(&backend.name);
    loop {
        let service = api::look(&run.cluster, Call::get(format!("/api/v1/{namespace}/services/{name}"))).await.and_then(|answer| answer.value());
        match service {
            Err(error) if error.status() == 404 => return Err("its Service is not there".to_owned()),
            // It may not be looked at, or lies elsewhere.
            Err(_) => return Ok(()),
            Ok(service) if at(&service, &["spec", "type"]).and_then(Value::as_str) == Some("ExternalName") => return Ok(()),
            Ok(_) => {}
        }
        let path = format!("/apis/discovery.k8s.io/v1/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}");
        match api::look(&run.cluster, Call::get(path)).await.and_then(|answer| answer.value()) {
            Ok(slices) if !has_ready(&slices) => {}
            _ => return Ok(()),
        }
        if Instant::now() >= end || run.stopped() {
            return Err(format!("its Service has no endpoint that is ready after {} s", run.patience.settle.as_secs()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        object::{KindInfo, ObjectId},
        restore::{Reason, plan::Wave},
    };

    fn step(text: &str, name: &str, action: Action) -> Step {
        let gr: GroupResource = text.parse().unwrap();
        let kind = KindInfo { group: gr.group, version: "v1".into(), resource: gr.resource, kind: "K".into(), namespaced: true };
        let id = ObjectId { kind: kind.group_resource(), namespace: Some("hooks".into()), name: name.into() };
        Step::new(kind, id, action, Reason::Missing)
    }

    fn backend() -> Backend {
        Backend { namespace: "hooks".into(), name: "judge".into() }
    }

    #[test]
    fn webhooks_that_refuse_are_read() {
        let service = json!({"service": {"namespace": "hooks", "name": "judge", "port": 443}});
        let rules =
            json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments", "deployments/scale"]}]);
        let configuration = json!({"metadata": {"name": "judges"}, "webhooks": [
            {"name": "a", "clientConfig": service, "rules": rules, "failurePolicy": "Fail"},
            {"name": "b", "clientConfig": service, "rules": rules, "failurePolicy": "Ignore"},
            {"name": "c", "clientConfig": {"url": "https://c"}, "rules": rules},
            {"name": "d", "clientConfig": service}]});
        let found = admission(&configuration);
        assert_eq!(found.iter().map(|one| one.label.as_str()).collect::<Vec<_>>(), ["webhook a of judges"]);
        for (text, action, asked) in [
            ("deployments.apps", Action::Create, true),
            ("deployments.apps", Action::Recreate, true),
            ("deployments.apps", Action::Update, false),
            ("statefulsets.apps", Action::Create, false),
            ("deployments.other", Action::Create, false),
        ] {
            assert_eq!(found[0].is_asked_about(&step(text, "x", action)), asked, "{text} {action:?}");
        }
        let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {"conversion": {"strategy": "Webhook", "webhook": {"clientConfig": service}}}});
        let converts = conversion(&definition).unwrap();
        assert_eq!(converts.backend, backend());
        assert!(
            converts.is_asked_about(&step("widgets.example.com", "x", Action::Update))
                && !converts.is_asked_about(&step("pods", "x", Action::Create))
        );
        assert_eq!(conversion(&json!({"metadata": {"name": "x.y"}, "spec": {"conversion": {"strategy": "None"}}})), None);
    }

    #[test]
    fn what_this_restore_makes_later_is_not_awaited() {
        let wave = |stage, steps| Wave { stage, depth: 0, steps };
        let plan = Plan {
            waves: vec![
                wave(Stage::Configuration, vec![step("services", "judge", Action::Create), step("services", "other", Action::Create)]),
                wave(Stage::Workloads, vec![step("deployments.apps", "judge", Action::Create)]),
                wave(Stage::CustomResources, vec![step("widgets.example.com", "w", Action::Create)]),
            ],
            ..Plan::default()
        };
        let later: Vec<bool> = (0..3).map(|wave| comes_later(&plan, wave, &backend())).collect();
        assert_eq!(later, [true, true, false]);
        let elsewhere = Backend { namespace: "else".into(), ..backend() };
        assert!(!comes_later(&plan, 0, &elsewhere));
    }

    #[test]
    fn an_endpoint_is_ready_unless_it_says_otherwise() {
        let slices = |endpoints: Value| json!({"items": [{"addressType": "IPv4"}, {"endpoints": endpoints}]});
        assert!(!has_ready(&json!({})) && !has_ready(&slices(json!([]))));
        assert!(!has_ready(&slices(json!([{"conditions": {"ready": false}}]))));
        assert!(has_ready(&slices(json!([{"conditions": {"ready": false}}, {"conditions": {"ready": true}}]))));
        assert!(has_ready(&slices(json!([{"addresses": ["10.0.0.1"]}]))));
    }
}
