//! Repositories that stand in the source tree, written by earlier programs and never again: what was stored once is read for ever.

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use kubestash::{
    object::KindInfo,
    repository::{Access, BackupOptions, KeyCost, Password, Repository, Root},
    store::Store,
};
use serde_json::{Value, json};

use crate::{digits, tests_folder, write};

/// Opens everything, from the beginning on.
pub const FULL: &str = "golden";
/// Opens everything but the values of Secrets.
pub const GENERAL: &str = "golden, general";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Golden {
    /// Written when codecs 0 to 2 were all there were.
    Plain,
    /// With UUIDs, hashes and base64, that stand apart.
    Digits,
}

impl Golden {
    /// All that are there.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Digits];

    /// Where it lies, and what it must hold: `expected.txt` beside it.
    pub fn folder(self) -> PathBuf {
        let name = match self {
            Self::Plain => "repository-v1",
            Self::Digits => "repository-v1-digits",
        };
        tests_folder("fixtures").join(name)
    }
}

fn kind(group: &str, resource: &str, kind: &str, namespaced: bool) -> KindInfo {
    KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: kind.into(), namespaced }
}

/// The objects of a day: one in forty changes, one comes and one goes; on the last day a kind is gone.
fn objects(golden: Golden, day: u32) -> Vec<(KindInfo, BTreeMap<String, Value>)> {
    let meta = |namespace: Option<&str>, name: &str, version: u32| {
        let mut meta = json!({"name": name, "uid": format!("00000000-0000-4000-8000-{name:0>12.12}"), "resourceVersion": version.to_string(),
            "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"app": name},
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}}]});
        if let Some(namespace) = namespace {
            meta["namespace"] = namespace.into();
        }
        if golden == Golden::Digits {
            let uid = digits::uuid(name);
            meta["annotations"] = json!({"checksum/config": digits::hash(name)});
            meta["ownerReferences"] = json!([{"kind": "Owner", "name": name, "uid": uid}, {"kind": "Owner", "name": "again", "uid": uid}]);
            meta["uid"] = uid.into();
        }
        meta
    };
    let password = match golden {
        Golden::Plain => "Z29sZGVu".to_owned(),
        Golden::Digits => STANDARD.encode("-----BEGIN GOLDEN-----\nand so on\n"),
    };
    let changed = |number: u32| if number % 40 < day { day } else { 0 };
    let awkward = ["yes", "~", "012", "1e3", "a: b", " x", "two\nlines\n", "größe", "tab\there", "null", "", "- x", "#c"];
    let configmaps = (day..900 + day).map(|number| {
        let (namespace, name) = (format!("team-{}", number % 3), format!("settings-{number:04}"));
        let text = format!("line of text number {number}\n").repeat(8);
        let word = awkward[number as usize % awkward.len()];
        let object = json!({"metadata": meta(Some(&namespace), &name, changed(number)), "data": {"text": text, "word": word, "day": changed(number).to_string()}});
        (format!("{namespace}/{name}"), object)
    });
    let secrets = (0..30).map(|number| {
        let name = format!("login-{number:02}");
        let object = json!({"metadata": meta(Some("vault"), &name, changed(number)), "type": "Opaque", "data": {"password": password, "empty": ""}});
        (format!("vault/{name}"), object)
    });
    let deployments = (0..20).map(|number| {
        let name = format!("web-{number:02}");
        let object = json!({"metadata": meta(Some("team-1"), &name, changed(number)), "spec": {"replicas": changed(number), "template": {"spec": {"containers":
            [{"name": "main", "image": "registry.example.com/web:1", "args": ["--verbose", "--", "a b"]}]}}}, "status": {"readyReplicas": day}});
        (format!("team-1/{name}"), object)
    });
    let roles = ["edit", "system:node", "two words"].map(|name| (name.to_owned(), json!({"metadata": meta(None, name, 1), "rules": []})));
    let mut kinds = vec![
        (kind("", "configmaps", "ConfigMap", true), configmaps.collect()),
        (kind("", "secrets", "Secret", true), secrets.collect()),
        (kind("apps", "deployments", "Deployment", true), deployments.collect()),
    ];
    if day < 3 {
        kinds.push((kind("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false), roles.into()));
    }
    kinds
}

/// Objects by their names, each with the head of the hash of the whole object or, for who may not see it, of what is shown.
pub type Held = BTreeMap<String, String>;

/// What a repository holds, by snapshot.
pub async fn held(repository: &Repository) -> Vec<(String, Held)> {
    let mut days = Vec::new();
    for root in repository.snapshots().await.unwrap().roots {
        let snapshot = repository.open_snapshot(&root).await.unwrap();
        let mut held = Held::new();
        for row in snapshot.catalog().rows() {
            let hidden = row.sensitive && snapshot.access() == Access::General;
            let bytes = if hidden { snapshot.manifest(row.number).await } else { snapshot.whole(row.number).await }.unwrap();
            held.insert(row.id().to_string(), blake3::hash(&bytes).to_hex()[..32].to_owned());
        }
        days.push((root.name, held));
    }
    days
}

/// The same as a text: of each snapshot what differs from the one before.
pub fn to_text(days: &[(String, Held)]) -> String {
    let (mut text, mut before) = (String::new(), Held::new());
    for (day, held) in days {
        text.push_str(&format!("= {day}\n"));
        for name in before.keys().filter(|name| !held.contains_key(*name)) {
            text.push_str(&format!("- {name}\n"));
        }
        for (name, hash) in held.iter().filter(|(name, hash)| before.get(*name) != Some(hash)) {
            text.push_str(&format!("+ {hash} {name}\n"));
        }
        before = held.clone();
    }
    text
}

/// What [`to_text`] wrote.
pub fn from_text(text: &str) -> Vec<(String, Held)> {
    let mut days: Vec<(String, Held)> = Vec::new();
    for line in text.lines() {
        let (sign, rest) = line.split_at(2);
        if sign == "= " {
            let before = days.last().map(|(_, held)| held.clone()).unwrap_or_default();
            days.push((rest.to_owned(), before));
            continue;
        }
        let (_, held) = days.last_mut().unwrap();
        match rest.split_once(' ').filter(|_| sign == "+ ") {
            Some((hash, name)) => drop(held.insert(name.to_owned(), hash.to_owned())),
            None => drop(held.remove(rest).unwrap()),
        }
    }
    days
}

/// Backs up the objects of a day.
pub async fn back_up(golden: Golden, repository: &Repository, options: BackupOptions, day: u32) -> Root {
    let kinds = objects(golden, day).into_iter().map(|(kind, objects)| (kind, objects.into_iter()));
    write::snapshot(repository, options, &format!("day-{day}"), kinds).await
}

/// Writes it: four days on two generations of data keys with layers and dictionaries.
pub async fn write_to(golden: Golden, store: Store) {
    let (full, general, now) = (Password::new(FULL), Password::new(GENERAL), Timestamp::now());
    let mut repository = Repository::init(store.clone(), &full, KeyCost::CHEAP, "golden", now).await.unwrap();
    repository.add_key(&general, Access::General, KeyCost::CHEAP, "general", now).await.unwrap();
    let mut parent: Option<Root> = None;
    for day in 0..4 {
        if day == 2 {
            let rotation = repository.plan_rotation(&[full.clone(), general.clone()]).await.unwrap();
            repository.rotate(&rotation, KeyCost::CHEAP, now).await.unwrap();
            repository = Repository::open(store.clone(), &full).await.unwrap();
        }
        parent = Some(back_up(golden, &repository, BackupOptions { parent: parent.take(), ..BackupOptions::default() }, day).await);
    }
}
