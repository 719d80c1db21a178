//! Every built-in kind of Kubernetes, in all its versions and with every field filled, comes back from a repository as it was: the same JSON values,
//! in the bytes that kubectl prints.
//!
//! Which kinds and fields there are is what the API server itself says (`/openapi/v3`), so that nothing has to be kept up to date here.
#![cfg(feature = "real")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use kubestash::{
    object::{KindInfo, yaml},
    repository::{BackupOptions, KeyCost, Password, Repository},
    store::Store,
};
use kubestash_tests::{
    awkward,
    cluster::Cluster,
    differences::{Place, may_differ, order_is_ours},
    kubectl, write,
};
use serde_json::{Map, Value, json};

/// Where the schema of an object's metadata is.
const METADATA: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// What no manifest holds.
const STAMPED: [&str; 8] =
    ["creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// All schemas of an API server by name: the same type has the same one in every group.
fn schemas(cluster: &Cluster) -> Map<String, Value> {
    let get = |path: &str| serde_json::from_str::<Value>(&cluster.kubectl(&["get", "--raw", path])).unwrap();
    let mut all = Map::new();
    for entry in get("/openapi/v3")["paths"].as_object().unwrap().values() {
        let mut document = get(entry["serverRelativeURL"].as_str().unwrap());
        if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas").map(Value::take) {
            all.extend(schemas);
        }
    }
    all
}

/// Group, version and kind of a schema of whole objects; nothing for parts of objects and for lists.
fn identities(schema: &Value) -> Vec<(String, String, String)> {
    if schema.pointer("/properties/metadata/allOf/0/$ref").and_then(Value::as_str) != Some(METADATA) {
        return Vec::new();
    }
    let word = |identity: &Value, key: &str| identity[key].as_str().unwrap().to_owned();
    let all = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
    all.map(|identity| (word(identity, "group"), word(identity, "version"), word(identity, "kind"))).collect()
}

/// Makes values that fit schemas, no two neighbours alike.
struct Filler<'a> {
    schemas: &'a Map<String, Value>,
    values: Vec<String>,
    keys: Vec<String>,
    turn: usize,
    fields: usize,
    /// Types that the value being made lies in.
    open: Vec<&'a str>,
}

impl<'a> Filler<'a> {
    fn new(schemas: &'a Map<String, Value>) -> Self {
        let strings = |place| awkward::strings().into_iter().filter(move |string| string.len() < 300 && may_differ(string, place).is_none());
        // Beyond ASCII, and beyond Go's integers, keys stand in an order of our own.
        let keys = strings(Place::Key).filter(|key| key.is_ascii() && key.bytes().filter(u8::is_ascii_digit).count() < 18).collect();
        Self { schemas, values: strings(Place::Value).collect(), keys, turn: 0, fields: 0, open: Vec::new() }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        self.turn += 1;
        from[self.turn % from.len()].clone()
    }

    fn text(&mut self) -> String {
        self.turn += 1;
        self.values[self.turn % self.values.len()].clone()
    }

    /// A key for a map; none whose place beside the others is ours on purpose.
    fn key(&mut self, beside: &Map<String, Value>) -> String {
        loop {
            self.turn += 1;
            let key = &self.keys[self.turn % self.keys.len()];
            if !beside.keys().any(|other| order_is_ours(key, other)) {
                return key.clone();
            }
        }
    }

    /// Nothing where a type would hold itself a third time.
    fn value(&mut self, schema: &'a Value) -> Option<Value> {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.rsplit('/').next()) {
            if self.open.iter().filter(|open| **open == name).count() == 2 {
                return None;
            }
            self.open.push(name);
            let value = self.value(self.schemas.get(name).unwrap_or_else(|| panic!("no schema {name}")));
            self.open.pop();
            return value;
        }
        if let Some(all) = schema["allOf"].as_array() {
            let [one] = all.as_slice() else { panic!("several schemas at once: {schema}") };
            return self.value(one);
        }
        if let Some(alternatives) = schema["oneOf"].as_array() {
            // A number or a text: quantities, ports, percentages.
            let alternative = &alternatives[self.turn % alternatives.len()];
            return self.value(alternative);
        }
        Some(match schema["type"].as_str() {
            Some("object") => self.object(schema)?,
            Some("array") => {
                let first = self.value(&schema["items"])?;
                Value::Array([Some(first), self.value(&schema["items"])].into_iter().flatten().collect())
            }
            Some("string") => json!(match schema["format"].as_str() {
                Some("date-time") => self.pick(&["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678901Z"]).to_owned(),
                Some("byte") => self.pick(&["c2VjcmV0", "", "LS0tLS1CRUdJTi0tLS0tCg=="]).to_owned(),
                _ => self.text(),
            }),
            Some("integer") => json!(self.pick(&[0, 1, -1, i64::from(i32::MAX), 9_007_199_254_740_993, i64::MIN])),
            Some("number") => json!(self.pick(&[0.5, -1e-7, 1e21, 123_456.75])),
            Some("boolean") => json!(self.pick(&[true, false])),
            // Anything may stand here.
            None => self.pick(&[json!({"any": [1, "two", null, {}, []]}), json!("text"), json!([[0.5]]), json!(true)]),
            Some(other) => panic!("a type {other} is not known here: {schema}"),
        })
    }

    fn object(&mut self, schema: &'a Value) -> Option<Value> {
        let mut object = Map::new();
        if let Some(properties) = schema["properties"].as_object() {
            for (key, schema) in properties {
                if let Some(value) = self.value(schema) {
                    self.fields += 1;
                    object.insert(key.clone(), value);
                }
            }
        } else if schema["additionalProperties"].is_object() {
            for _ in 0..3 {
                let key = self.key(&object);
                object.insert(key, self.value(&schema["additionalProperties"])?);
            }
        } else {
            // Field sets, and what others extend objects with.
            object.insert("f:metadata".to_owned(), json!({".": {}, "k:{\"type\":\"Ready\"}": {"f:status": {}}}));
            let key = self.key(&object);
            object.insert(key, json!([[], {}, null, self.text()]));
        }
        Some(Value::Object(object))
    }
}

/// Objects with every field, by group, version and kind.
fn filled(schemas: &Map<String, Value>) -> (BTreeMap<(String, String, String), Value>, usize) {
    let mut filler = Filler::new(schemas);
    let mut objects = BTreeMap::new();
    for schema in schemas.values() {
        for identity in identities(schema) {
            let mut object = filler.value(schema).unwrap();
            let (group, version, kind) = &identity;
            object["apiVersion"] = json!(if group.is_empty() { version.clone() } else { format!("{group}/{version}") });
            object["kind"] = json!(kind);
            object["metadata"]["name"] = json!(format!("object-{}", filler.turn));
            object["metadata"]["namespace"] = json!("default");
            objects.insert(identity, object);
        }
    }
    (objects, filler.fields)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_every_kind_comes_back() {
    let cluster = Cluster::without_controllers();
    let schemas = schemas(&cluster);
    let (objects, fields) = filled(&schemas);
    // What is served is here, so nothing is left out by how schemas are looked for.
    let served: BTreeMap<_, KindInfo> = cluster
        .connect()
        .await
        .discover()
        .await
        .unwrap()
        .kinds
        .into_iter()
        .map(|kind| ((kind.info.group.clone(), kind.info.version.clone(), kind.info.kind.clone()), kind.info))
        .collect();
    println!("{} kinds with {fields} fields; {} kinds are served", objects.len(), served.len());
    let missing: BTreeSet<_> = served.keys().filter(|identity| !objects.contains_key(*identity)).collect();
    assert!(missing.is_empty(), "no objects were made of {missing:?}");
    assert!(served.len() >= 60 && objects.len() > served.len(), "{} kinds, of which {} are served", objects.len(), served.len());
    assert!(fields > 20_000, "only {fields} fields");

    // Only one version of a kind is stored by its own name.
    let named = |(group, version, kind): &(String, String, String)| KindInfo {
        group: group.clone(),
        version: version.clone(),
        resource: format!("{}-{version}", kind.to_lowercase()),
        kind: kind.clone(),
        namespaced: true,
    };
    let kinds: Vec<(KindInfo, Value)> =
        objects.iter().map(|(identity, object)| (served.get(identity).cloned().unwrap_or_else(|| named(identity)), object.clone())).collect();
    let repository = Repository::init(Store::memory(), &Password::new("right"), KeyCost::CHEAP, "test", jiff::Timestamp::now()).await.unwrap();
    let of_a_kind = |(kind, object): (KindInfo, Value)| {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        (kind.clone(), vec![(if kind.namespaced { format!("default/{name}") } else { name }, object)])
    };
    let root = write::snapshot(&repository, BackupOptions::default(), "all", kinds.clone().into_iter().map(of_a_kind)).await;
    let snapshot = repository.open_snapshot(&root).await.unwrap();
    let rows: BTreeMap<String, u32> = snapshot.catalog().rows().map(|row| (row.id().name, row.number)).collect();
    assert_eq!(rows.len(), objects.len());

    let all: Vec<Value> = objects.into_values().collect();
    for (object, printed) in all.iter().zip(kubectl::print(&all)) {
        let what = format!("{} {}", object["apiVersion"], object["kind"]);
        let row = rows[object["metadata"]["name"].as_str().unwrap()];
        let whole = snapshot.whole(row).await.unwrap();
        assert_eq!(yaml::read(&whole).unwrap(), *object, "{what}");
        let printed = printed.unwrap_or_else(|| panic!("kubectl does not print {what}"));
        let differs = text(&whole).lines().zip(printed.lines()).find(|(ours, theirs)| ours != theirs);
        assert!(printed == text(&whole), "{what}: ours and kubectl's first line that differs: {differs:?}");

        // What one would apply is all but what the server writes.
        let mut applied = object.clone();
        applied.as_object_mut().unwrap().remove("status");
        applied["metadata"].as_object_mut().unwrap().retain(|key, _| !STAMPED.contains(&key.as_str()));
        assert_eq!(yaml::read(&snapshot.manifest(row).await.unwrap()).unwrap(), applied, "{what}");
    }
}
