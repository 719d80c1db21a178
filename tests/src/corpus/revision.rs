//! A cluster some hours later: which objects changed, and how.

use serde_json::{Value, json};

use super::{
    Corpus, Object, kind,
    random::{DAY, Random, moment},
    words::SETTINGS,
};

/// A change as a merge patch, for a cluster that holds the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// Path of the object, or of its status.
    pub path: String,
    /// The merge patch.
    pub body: Value,
}

/// Makes every revision's change up to the corpus's own.
pub(super) fn apply(corpus: &Corpus, object: &mut Object) {
    for revision in 1..=corpus.revision {
        if let Some(mut random) = draw(corpus, object, revision) {
            change(object, revision, &mut random);
        }
    }
}

/// Whether a revision changes an object; the randomness of the change if so.
fn draw(corpus: &Corpus, object: &Object, revision: u32) -> Option<Random> {
    let identity = format!("{}/{}/{}", object.kind.folder(), object.namespace().unwrap_or_default(), object.name());
    let mut random = Random::of(&format!("{}/revision/{revision}/{identity}", corpus.seed));
    // A short hash of similar texts: one value thrown away decorrelates them.
    random.share();
    (random.share() < corpus.changed).then_some(random)
}

fn change(object: &mut Object, revision: u32, random: &mut Random) {
    let revision = revision as usize;
    let now = moment(300 * DAY + revision * 3600 + random.below(3600));
    let value = &mut object.value;
    let metadata = &mut value["metadata"];
    metadata["resourceVersion"] = (220_000_000 + revision * 1_000_000 + random.below(1_000_000)).to_string().into();
    if let Some(entry) = metadata.get_mut("managedFields").and_then(Value::as_array_mut).and_then(|entries| entries.last_mut()) {
        entry["time"] = now.clone().into();
    }
    increment(metadata, "generation");
    if let Some(status) = value.get_mut("status") {
        change_status(status, &now, random);
    }
    if let Some(data) = value.get_mut("data") {
        change_data(object.kind == kind::SECRET, data, random);
    }
    if object.kind == kind::EVENT {
        increment(&mut object.value, "count");
        object.value["lastTimestamp"] = now.into();
    }
}

fn increment(map: &mut Value, key: &str) {
    if let Some(number) = map.get(key).and_then(Value::as_u64) {
        map[key] = (number + 1).into();
    }
}

fn change_status(status: &mut Value, now: &str, random: &mut Random) {
    let first = |status: &mut Value, list: &str, change: &mut dyn FnMut(&mut Value)| {
        if let Some(item) = status.get_mut(list).and_then(Value::as_array_mut).and_then(|items| items.first_mut()) {
            change(item);
        }
    };
    first(status, "conditions", &mut |condition| condition["lastTransitionTime"] = now.into());
    first(status, "containerStatuses", &mut |container| {
        increment(container, "restartCount");
        container["containerID"] = format!("containerd://{}", random.hex(64)).into();
        container["state"] = json!({"running": {"startedAt": now}});
    });
    increment(status, "observedGeneration");
}

fn change_data(secret: bool, data: &mut Value, random: &mut Random) {
    let texts: Vec<String> = data.as_object().into_iter().flatten().filter(|(_, value)| value.is_string()).map(|(key, _)| key.clone()).collect();
    if texts.is_empty() {
        return;
    }
    let key = &texts[random.below(texts.len())];
    let old = data[key].as_str().unwrap_or_default();
    data[key] = if secret {
        random.base64(old.len() * 3 / 4).into()
    } else if old.contains('\n') {
        format!("{}\n{}={}\n", old.trim_end_matches('\n'), random.pick(SETTINGS), random.below(9999)).into()
    } else {
        format!("{old}{}", random.below(10)).into()
    };
}

/// The changes of the corpus's own revision, for a cluster that holds the revision before.
pub fn patches(corpus: &Corpus) -> impl Iterator<Item = Patch> + '_ {
    corpus.iter().filter_map(|object| {
        let mut random = draw(corpus, &object, corpus.revision)?;
        Some(patch(&object, corpus.revision, &mut random))
    })
}

/// Status where a cluster's own life shows in it, data where there is some, a note elsewhere.
fn patch(object: &Object, revision: u32, random: &mut Random) -> Patch {
    let path = format!("{}/{}", object.kind.path(object.namespace()), object.name());
    let value = &object.value;
    let typed_secret = object.kind == kind::SECRET && value["type"] != "Opaque";
    match object.kind {
        kind::POD | kind::DEPLOYMENT | kind::REPLICA_SET => Patch { path: format!("{path}/status"), body: json!({"status": value["status"]}) },
        // Certificates and registry logins must stay what their type says.
        kind::CONFIG_MAP | kind::SECRET if !typed_secret => Patch { path, body: json!({"data": value["data"]}) },
        _ => {
            let note = format!("{revision}-{}", random.hex(8));
            Patch { path, body: json!({"metadata": {"annotations": {"example.com/changed": note}}}) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_those_of_the_changed_objects() {
        let before: Vec<Object> = Corpus::new(1000, "p").changing(0.1).iter().collect();
        let corpus = Corpus::new(1000, "p").changing(0.1).at_revision(1);
        let changed = before.iter().zip(corpus.iter()).filter(|(before, after)| *before != after).count();
        let patches: Vec<Patch> = patches(&corpus).collect();
        assert_eq!(patches.len(), changed);
        assert!(patches.iter().any(|patch| patch.path.ends_with("/status") && patch.body.get("status").is_some()));
        assert!(patches.iter().any(|patch| patch.path.contains("/configmaps/") && patch.body.get("data").is_some()));
    }

    #[test]
    fn a_restart_is_told_in_the_status_only() {
        let mut status = json!({"containerStatuses": [{"restartCount": 0}, {"restartCount": 5}], "observedGeneration": 3});
        change_status(&mut status, "now", &mut Random::of("x"));
        assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
        assert_eq!(status["containerStatuses"][1]["restartCount"], 5);
        assert_eq!(status["observedGeneration"], 4);
    }
}
