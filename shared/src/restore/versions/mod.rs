//! Under which version an object is written, where the cluster does not serve the one of its stored manifest.
//!
//! A snapshot holds each object in one version. Between versions of built-in kinds the changes are known and small: [`known`] lists them, the
//! other files make them. Between versions of a custom kind only its definition knows: where it says that versions differ in nothing but their
//! name, the name is changed; where a webhook converts, nobody but the API server can ask it, and a person has to choose.

mod autoscaler;
mod definition;
mod ingress;
mod known;
mod small;
mod webhook;
mod workload;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::{plan::Served, transforms::at};
use crate::object::{GroupResource, KindInfo};

/// How a definition converts between its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By the name of the version alone.
    Name,
    /// By a webhook.
    Webhook,
}

impl Strategy {
    /// Reads a CustomResourceDefinition of `apiextensions.k8s.io/v1`.
    pub fn of(definition: &Value) -> Self {
        match at(definition, &["spec", "conversion", "strategy"]).and_then(Value::as_str) {
            Some("Webhook") => Self::Webhook,
            _ => Self::Name,
        }
    }
}

/// How a kind of the source is written into a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Group and version that it is written under.
    pub kind: Arc<KindInfo>,
    /// Why there is none that fits, and what to do.
    pub refusal: Option<String>,
}

/// Finds the version for a stored kind.
///
/// `chosen` holds versions that a person named, by the kind as it is written or as it is stored; `strategies` how definitions convert that the
/// cluster has, of kinds that it serves in other versions only. A kind that is not served at all stays as it is.
pub fn fit(stored: &KindInfo, served: &Served, chosen: &BTreeMap<GroupResource, String>, strategies: &HashMap<GroupResource, Strategy>) -> Fit {
    let own = stored.group_resource();
    let written = known::successors(stored).find(|kind| served.versions(kind).is_some()).filter(|_| served.versions(&own).is_none());
    let kind = written.unwrap_or_else(|| own.clone());
    let Some((info, versions)) = served.kind(&kind).zip(served.versions(&kind)) else {
        return Fit { kind: Arc::new(stored.clone()), refusal: None };
    };
    let under = |version: &str| KindInfo { version: version.to_owned(), ..info.clone() };
    let fits = |version: &str| Fit { kind: Arc::new(under(version)), refusal: None };
    let refused = |why: String| Fit { kind: Arc::new(stored.clone()), refusal: Some(why) };
    let list = versions.join(", ");
    if let Some(version) = chosen.get(&kind).or_else(|| chosen.get(&own)) {
        return match versions.contains(version) {
            true => fits(version),
            false => refused(format!("{version} was asked for, the cluster serves {list}")),
        };
    }
    if kind == own && versions.contains(&stored.version) {
        return Fit { kind: Arc::new(stored.clone()), refusal: None };
    }
    if let Some(version) = versions.iter().find(|version| known::change(stored, &under(version)).is_some()) {
        return fits(version);
    }
    let stands = format!("the stored manifest is {}, the cluster serves {list}", stored.api_version());
    let first = versions.first().map_or("VERSION", String::as_str);
    let choose = format!("name a version with --api-version {kind}={first} and change what differs with --patches");
    match strategies.get(&kind) {
        Some(Strategy::Name) => fits(first),
        Some(Strategy::Webhook) => refused(format!(
            "{stands}, and a webhook converts, which only the API server asks: serve {} in the definition while you restore, or {choose}",
            stored.version
        )),
        None => refused(format!("{stands}, and what differs between them is not known here: {choose}")),
    }
}

/// The kind of a manifest in a file, which may be of a group or version that the cluster does not serve any more.
///
/// `kinds` are those that the cluster serves. Nothing where neither it nor a known successor is among them.
pub fn stored_kind<'a>(api_version: &str, kind: &str, kinds: impl Iterator<Item = &'a KindInfo>) -> Option<KindInfo> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let as_stored = |info: &KindInfo| KindInfo { group: group.to_owned(), version: version.to_owned(), ..info.clone() };
    let named: Vec<&KindInfo> = kinds.filter(|info| info.kind == kind).collect();
    let own = named.iter().find(|info| info.group == group).map(|info| as_stored(info));
    own.or_else(|| named.into_iter().find(|info| known::successors(&as_stored(info)).any(|new| new == info.group_resource())).map(as_stored))
}

/// What a person does about a kind that Kubernetes has removed without a successor.
pub fn removed(kind: &GroupResource) -> Option<&'static str> {
    Some(match (kind.group.as_str(), kind.resource.as_str()) {
        ("policy" | "extensions", "podsecuritypolicies") => {
            "Kubernetes removed it in 1.25; label namespaces with pod-security.kubernetes.io/enforce instead, and leave it out"
        }
        ("settings.k8s.io", "podpresets") => "Kubernetes removed it in 1.20; an admission webhook or policy takes its place, leave it out",
        _ => return None,
    })
}

/// Brings an object under a group and version. Changes nothing where it stands there already. Returns what there is to know, one line each.
pub fn convert(to: &KindInfo, object: &mut Value) -> Vec<String> {
    let own = at(object, &["apiVersion"]).and_then(Value::as_str).unwrap_or_default().to_owned();
    let wanted = to.api_version();
    if own == wanted {
        return Vec::new();
    }
    let (group, version) = own.split_once('/').unwrap_or(("", &own));
    let from = KindInfo { group: group.to_owned(), version: version.to_owned(), ..to.clone() };
    let notes = known::change(&from, to).map_or_else(Vec::new, |change| change.apply(&from, object));
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), Value::String(wanted));
    }
    notes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(text: &str, version: &str) -> KindInfo {
        let gr: GroupResource = text.parse().unwrap();
        KindInfo { group: gr.group, version: version.into(), resource: gr.resource, kind: "K".into(), namespaced: true }
    }

    fn fitted(stored: (&str, &str), served: &[(&str, &[&str])], chosen: &[(&str, &str)], strategy: Option<Strategy>) -> Result<String, String> {
        let mut all = Served::default();
        for (text, versions) in served {
            all.add(kind(text, versions.first().unwrap()), versions.iter().map(|version| (*version).to_owned()).collect());
        }
        let chosen = chosen.iter().map(|(kind, version)| (kind.parse().unwrap(), (*version).to_owned())).collect();
        let strategies = strategy.map(|strategy| (stored.0.parse().unwrap(), strategy)).into_iter().collect();
        let Fit { kind, refusal } = fit(&kind(stored.0, stored.1), &all, &chosen, &strategies);
        refusal.map_or_else(|| Ok(kind.api_version()), Err)
    }

    #[test]
    fn the_version_that_is_written_is_found() {
        let (widgets, budgets, ingresses) = ("widgets.example.com", "poddisruptionbudgets.policy", "ingresses.extensions");
        type Row<'a> = ((&'a str, &'a str), &'a [(&'a str, &'a [&'a str])], &'a [(&'a str, &'a str)], Option<Strategy>, &'a str);
        let rows: [Row<'_>; 11] = [
            // The stored one, also where another is preferred; unserved kinds wait for their definition.
            ((widgets, "v1"), &[(widgets, &["v2", "v1"])], &[], None, "example.com/v1"),
            ((widgets, "v1"), &[], &[], None, "example.com/v1"),
            // Known changes, to newer and to older ones, and across groups.
            ((budgets, "v1beta1"), &[(budgets, &["v1"])], &[], None, "policy/v1"),
            (
                ("horizontalpodautoscalers.autoscaling", "v2"),
                &[("horizontalpodautoscalers.autoscaling", &["v1", "v2beta2"])],
                &[],
                None,
                "autoscaling/v2beta2",
            ),
            ((ingresses, "v1beta1"), &[("ingresses.networking.k8s.io", &["v1"])], &[], None, "networking.k8s.io/v1"),
            ((ingresses, "v1beta1"), &[("ingresses.networking.k8s.io", &["v1"]), (ingresses, &["v1beta1"])], &[], None, "extensions/v1beta1"),
            // The first that is served, where definitions convert by name.
            ((widgets, "v1alpha1"), &[(widgets, &["v2", "v1"])], &[], Some(Strategy::Name), "example.com/v2"),
            // A person's choice, whatever the definition says.
            ((widgets, "v1alpha1"), &[(widgets, &["v2", "v1"])], &[(widgets, "v1")], Some(Strategy::Webhook), "example.com/v1"),
            ((widgets, "v1"), &[(widgets, &["v2", "v1"])], &[(widgets, "v2")], None, "example.com/v2"),
            ((ingresses, "v1beta1"), &[("ingresses.networking.k8s.io", &["v1"])], &[(ingresses, "v1")], None, "networking.k8s.io/v1"),
            ((budgets, "v1beta1"), &[(budgets, &["v1"])], &[(budgets, "v1")], None, "policy/v1"),
        ];
        for (stored, served, chosen, strategy, expected) in rows {
            assert_eq!(fitted(stored, served, chosen, strategy).as_deref(), Ok(expected), "{stored:?} {served:?} {chosen:?}");
        }
    }

    #[test]
    fn what_fits_nowhere_says_what_to_do() {
        let widgets = "widgets.example.com";
        let served: &[(&str, &[&str])] = &[(widgets, &["v2", "v1"])];
        let webhook = fitted((widgets, "v1alpha1"), served, &[], Some(Strategy::Webhook)).unwrap_err();
        assert_eq!(
            webhook,
            "the stored manifest is example.com/v1alpha1, the cluster serves v2, v1, and a webhook converts, which only the API server asks: \
             serve v1alpha1 in the definition while you restore, or name a version with --api-version widgets.example.com=v2 and change what \
             differs with --patches"
        );
        let unknown = fitted((widgets, "v1alpha1"), served, &[], None).unwrap_err();
        assert!(unknown.contains("what differs between them is not known here: name a version with --api-version"), "{unknown}");
        let wrong = fitted((widgets, "v1"), served, &[(widgets, "v3")], None).unwrap_err();
        assert_eq!(wrong, "v3 was asked for, the cluster serves v2, v1");
        assert!(removed(&"podsecuritypolicies.policy".parse().unwrap()).unwrap().contains("1.25"));
    }

    #[test]
    fn manifests_of_files_have_the_kind_that_lives_on() {
        let named = |text: &str, name: &str| KindInfo { kind: name.into(), ..kind(text, "v1") };
        let kinds = [
            named("ingresses.networking.k8s.io", "Ingress"),
            named("widgets.example.com", "Widget"),
            named("events", "Event"),
            named("events.events.k8s.io", "Event"),
        ];
        let found = |api_version, kind| stored_kind(api_version, kind, kinds.iter()).map(|kind| (kind.group_resource().to_string(), kind.version));
        let is = |kind: &str, version: &str| Some((kind.to_owned(), version.to_owned()));
        assert_eq!(found("extensions/v1beta1", "Ingress"), is("ingresses.extensions", "v1beta1"));
        assert_eq!(found("example.com/v1alpha1", "Widget"), is("widgets.example.com", "v1alpha1"));
        assert_eq!(found("events.k8s.io/v1", "Event"), is("events.events.k8s.io", "v1"));
        assert_eq!(found("v1", "Event"), is("events", "v1"));
        assert_eq!(found("other.example/v1", "Widget"), None);
    }

    #[test]
    fn only_the_name_changes_where_nothing_else_is_known() {
        let mut widget = json!({"apiVersion": "example.com/v1alpha1", "kind": "Widget", "spec": {"a": 1}});
        assert!(convert(&kind("widgets.example.com", "v2"), &mut widget).is_empty());
        assert_eq!(widget, json!({"apiVersion": "example.com/v2", "kind": "Widget", "spec": {"a": 1}}));
        assert_eq!(Strategy::of(&json!({"spec": {"conversion": {"strategy": "Webhook"}}})), Strategy::Webhook);
        assert_eq!(Strategy::of(&json!({"spec": {"conversion": {"strategy": "None"}}})), Strategy::Name);
    }
}
