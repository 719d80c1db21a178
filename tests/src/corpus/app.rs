//! One application: the unit that shares a namespace, names, labels and images.

use serde_json::{Map, Value, json};

use super::{
    Object, fields,
    kind::{self, Kind},
    random::Random,
    words,
};

/// The namespace that all `Application` objects live in.
pub(super) const DELIVERY_NAMESPACE: &str = "argocd";

/// An object that owns another.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) uid: String,
}

/// Everything of an object but its content.
#[derive(Debug, Default)]
pub(super) struct Meta<'a> {
    pub(super) labels: Option<Value>,
    pub(super) annotations: Option<Value>,
    pub(super) owner: Option<&'a Owner>,
    /// Who wrote the object.
    pub(super) manager: &'a str,
    /// Who wrote its status, if somebody else did.
    pub(super) status_manager: Option<&'a str>,
    pub(super) generation: Option<usize>,
    pub(super) created: Option<String>,
    pub(super) generate_name: Option<String>,
    /// A namespace other than the app's.
    pub(super) namespace: Option<&'a str>,
}

pub(super) struct App {
    pub(super) random: Random,
    pub(super) namespace: String,
    pub(super) team: &'static str,
    pub(super) stage: &'static str,
    pub(super) meshed: bool,
    pub(super) name: String,
    /// The name without its number: container and image.
    pub(super) short: String,
    pub(super) registry: &'static str,
    version: (usize, usize),
    pub(super) patch: usize,
    pub(super) digest: String,
    pub(super) port: usize,
    /// Installed by Helm, or else by Argo CD.
    pub(super) helm: bool,
    pub(super) manager: &'static str,
    /// The labels that select its pods.
    pub(super) selector: Value,
    /// All its labels.
    pub(super) labels: Value,
    pub(super) objects: Vec<Object>,
}

/// Name, team and stage of a namespace, and whether it is in the service mesh: every third is.
pub(super) fn namespace(seed: &str, number: usize) -> (String, &'static str, &'static str, bool) {
    let mut random = Random::of(&format!("{seed}/namespace/{number}"));
    let (team, stage) = (random.pick(words::TEAMS), random.pick(words::STAGES));
    (format!("{team}-{stage}-{number:02}"), team, stage, number % 3 == 1)
}

impl App {
    pub(super) fn new(seed: &str, number: usize, namespaces: usize) -> Self {
        let mut random = Random::of(&format!("{seed}/app/{number}"));
        let (namespace, team, stage, meshed) = namespace(seed, number % namespaces);
        let short = format!("{}-{}", random.pick(words::TRADES), random.pick(words::PARTS));
        let name = format!("{short}-{}", number / namespaces);
        let (major, minor, patch) = (random.between(1, 9), random.below(30), random.below(20));
        let helm = random.percent(60);
        let selector = json!({"app.kubernetes.io/instance": name, "app.kubernetes.io/name": short, "app.kubernetes.io/part-of": team});
        let mut labels = selector.clone();
        labels["app.kubernetes.io/version"] = format!("v{major}.{minor}.{patch}").into();
        if helm {
            labels["app.kubernetes.io/managed-by"] = "Helm".into();
            labels["helm.sh/chart"] = format!("{short}-{major}.{minor}.{}", random.below(9)).into();
        }
        Self {
            registry: random.pick(words::REGISTRIES),
            version: (major, minor),
            digest: random.hex(64),
            port: random.pick(&[3000, 5000, 8000, 8080, 9000]),
            manager: if helm { "helm" } else { "argocd-controller" },
            objects: Vec::new(),
            random,
            namespace,
            team,
            stage,
            meshed,
            name,
            short,
            patch,
            helm,
            selector,
            labels,
        }
    }

    /// Everything that belongs to the app; what others refer to comes first.
    pub(super) fn build(mut self) -> Vec<Object> {
        self.access();
        self.configuration();
        let pods = self.workload();
        self.network(&pods);
        for pod in &pods {
            for _ in 0..self.random.pick(&[0, 0, 1, 1, 2, 3]) {
                self.event(pod);
            }
        }
        if self.random.percent(25) {
            self.jobs();
        }
        self.custom();
        self.objects
    }

    pub(super) fn image(&self, patch: usize) -> String {
        format!("{}/{}:v{}.{}.{patch}", self.registry, self.short, self.version.0, self.version.1)
    }

    /// Labels of the app with more of them.
    pub(super) fn labels_and(&self, more: Value) -> Value {
        joined(&self.labels, more)
    }

    /// What its installer notes on each object.
    pub(super) fn annotations(&self) -> Value {
        if self.helm {
            json!({"meta.helm.sh/release-name": self.name, "meta.helm.sh/release-namespace": self.namespace})
        } else {
            json!({"argocd.argoproj.io/tracking-id": format!("{}:{}/{}", self.name, self.namespace, self.name)})
        }
    }

    pub(super) fn annotations_and(&self, more: Value) -> Value {
        joined(&self.annotations(), more)
    }

    /// What its installer writes: labels, annotations, and its name as manager.
    pub(super) fn installed(&self) -> Meta<'static> {
        Meta { labels: Some(self.labels.clone()), annotations: Some(self.annotations()), manager: self.manager, ..Meta::default() }
    }

    /// Adds an object; `content` holds what stands beside `metadata`.
    pub(super) fn add(&mut self, kind: Kind, name: &str, content: Value, meta: Meta<'_>) -> Owner {
        let namespace = meta.namespace.map_or_else(|| self.namespace.clone(), str::to_owned);
        let object = object(&mut self.random, kind, &namespace, name, content, meta);
        let uid = object.value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        self.objects.push(object);
        Owner { kind, name: name.to_owned(), uid }
    }
}

/// Two maps in one.
pub(super) fn joined(first: &Value, more: Value) -> Value {
    let mut all = first.as_object().cloned().unwrap_or_default();
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all)
}

/// An object with what the server stamps on it.
pub(super) fn object(random: &mut Random, kind: Kind, namespace: &str, name: &str, content: Value, meta: Meta<'_>) -> Object {
    let mut metadata = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            metadata.insert(key.to_owned(), value);
        }
    };
    set("name", Some(name.into()));
    set("namespace", kind.namespaced.then(|| namespace.into()));
    set("generateName", meta.generate_name.map(Value::from));
    set("creationTimestamp", Some(meta.created.unwrap_or_else(|| random.time()).into()));
    set("uid", Some(random.uid().into()));
    set("resourceVersion", Some(random.version().into()));
    set("generation", meta.generation.map(Value::from));
    set("labels", meta.labels);
    set("annotations", meta.annotations);
    set(
        "ownerReferences",
        meta.owner.map(|owner| {
            json!([{"apiVersion": owner.kind.api_version, "kind": owner.kind.kind, "name": owner.name, "uid": owner.uid, "controller": true,
                "blockOwnerDeletion": true}])
        }),
    );
    let mut value = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata});
    value.as_object_mut().unwrap().extend(content.as_object().cloned().unwrap_or_default());
    // Events are written without.
    if kind != kind::EVENT {
        let managed = fields::managed(&value, meta.manager, meta.status_manager, random);
        value["metadata"]["managedFields"] = managed;
    }
    Object { kind, value }
}
