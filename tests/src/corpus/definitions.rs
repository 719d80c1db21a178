//! CustomResourceDefinitions: those of the corpus's own custom kinds, and many with schemas that only take room.

use serde_json::{Map, Value, json};

use super::{
    Object,
    app::{Meta, object},
    kind::{self, Kind},
    random::Random,
    words::{PARTS, SETTINGS, TEAMS, TRADES, capital},
};

/// Group, kind, plural and version of what is defined.
struct Defined<'a> {
    group: &'a str,
    kind: &'a str,
    plural: &'a str,
    version: &'a str,
    /// Whether status is written by a request of its own.
    status: bool,
}

fn definition(random: &mut Random, defined: &Defined<'_>, schema: &Value) -> Object {
    let Defined { group, kind, plural, version, status } = defined;
    let names = json!({"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase()});
    let mut entry = json!({"name": version, "schema": {"openAPIV3Schema": schema}, "served": true, "storage": true});
    if *status {
        entry["subresources"] = json!({"status": {}});
    }
    let condition = json!({"lastTransitionTime": random.time(), "message": "no conflicts found", "reason": "NoConflicts", "status": "True",
        "type": "NamesAccepted"});
    let content = json!({
        "spec": {"conversion": {"strategy": "None"}, "group": group, "names": names, "scope": "Namespaced", "versions": [entry]},
        "status": {"acceptedNames": names, "conditions": [condition], "storedVersions": [version]}});
    let meta = Meta {
        annotations: Some(json!({"controller-gen.kubebuilder.io/version": "v0.16.1"})),
        manager: "kubectl",
        status_manager: Some("kube-apiserver"),
        generation: Some(1),
        ..Meta::default()
    };
    object(random, kind::DEFINITION, "", &format!("{plural}.{group}"), content, meta)
}

/// The definition of one of the corpus's own kinds, which takes any content.
pub(super) fn of_own_kind(random: &mut Random, own: &Kind) -> Object {
    let info = own.info();
    let defined = Defined { group: &info.group, kind: own.kind, plural: own.resource, version: &info.version, status: false };
    definition(random, &defined, &json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}))
}

fn schema(random: &mut Random, depth: usize) -> Value {
    let mut properties = Map::new();
    for _ in 0..random.between(3, 8) {
        let name = format!("{}{}", random.pick(SETTINGS), capital(random.pick(SETTINGS)));
        let [what, setting, state] = [(); 3].map(|()| random.pick(SETTINGS));
        let description = format!("The {what} of the {}, used when the {setting} is {state}.", random.pick(TRADES));
        let mut property =
            if depth > 0 && random.percent(50) { schema(random, depth - 1) } else { json!({"type": random.pick(&["string", "integer", "boolean"])}) };
        property["description"] = description.into();
        properties.insert(name, property);
    }
    json!({"type": "object", "properties": properties})
}

/// A definition nobody has objects of, with a deep schema.
pub(super) fn unused(random: &mut Random, number: usize) -> Object {
    let kind = format!("{}{}", capital(random.pick(TRADES)), capital(random.pick(PARTS)));
    let group = format!("{}{number}.example.com", random.pick(TEAMS));
    let plural = format!("{}s", kind.to_lowercase());
    let whole = json!({"description": format!("{kind} is the schema"), "type": "object",
        "properties": {"spec": schema(random, 4), "status": schema(random, 2)}});
    definition(random, &Defined { group: &group, kind: &kind, plural: &plural, version: "v1", status: true }, &whole)
}
