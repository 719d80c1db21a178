#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::restore::facts::Owner;

fn kind(text: &str) -> KindInfo {
    let known = [
        ("Deployment", "deployments.apps"),
        ("ReplicaSet", "replicasets.apps"),
        ("Pod", "pods"),
        ("ConfigMap", "configmaps"),
        ("Namespace", "namespaces"),
        ("Widget", "widgets.example.com"),
        ("Service", "services"),
        ("Endpoints", "endpoints"),
    ];
    let gr: GroupResource = text.parse().unwrap();
    let kind = known.iter().find(|(_, resource)| *resource == text).map_or("K", |(kind, _)| kind);
    let namespaced = !["namespaces", "customresourcedefinitions", "persistentvolumes"].contains(&gr.resource.as_str());
    KindInfo { group: gr.group, version: "v1".into(), resource: gr.resource, kind: kind.into(), namespaced }
}

fn id(text: &str, name: &str) -> ObjectId {
    let info = kind(text);
    ObjectId { kind: info.group_resource(), namespace: info.namespaced.then(|| "demo".into()), name: name.into() }
}

fn make(text: &str, name: &str) -> Candidate {
    let facts = Facts {
        uid: Some(format!("uid-{name}")),
        resource_version: Some("1".into()),
        owners: vec![],
        manager: None,
        verdict: Verdict::Restore,
        selects_pods: false,
        volume: None,
        labels: BTreeMap::new(),
    };
    Candidate { id: id(text, name), kind: kind(text), item: 0, facts, needed: false, hidden: false, manifest: None }
}

fn owned(mut candidate: Candidate, owner: &Candidate) -> Candidate {
    candidate.facts.owners.push(Owner {
        api_version: owner.kind.api_version(),
        kind: owner.kind.kind.clone(),
        name: owner.id.name.clone(),
        uid: format!("uid-{}", owner.id.name),
        controller: true,
    });
    candidate
}

fn live(uid: &str, version: &str) -> LiveObject {
    LiveObject { uid: uid.into(), resource_version: version.into(), ..LiveObject::default() }
}

fn observe(candidates: Vec<Candidate>, live: Vec<(ObjectId, LiveObject)>) -> Observed {
    let mut served = Served::default();
    for text in [
        "deployments.apps",
        "replicasets.apps",
        "pods",
        "configmaps",
        "namespaces",
        "services",
        "endpoints",
        "secrets",
        "persistentvolumes",
        "persistentvolumeclaims",
        "customresourcedefinitions.apiextensions.k8s.io",
    ] {
        served.add(kind(text), vec!["v1".into()]);
    }
    Observed { candidates, live: live.into_iter().collect(), served, unknown_namespaces: BTreeSet::new() }
}

fn decided(observed: &Observed, options: &Options) -> Vec<(String, Action, Reason)> {
    plan(observed, options).steps().map(|step| (step.name.clone(), step.action, step.reason)).collect()
}

#[test]
fn each_object_gets_an_action_with_a_reason() {
    let with = |change: fn(&mut Candidate)| {
        let mut candidate = make("configmaps", "a");
        change(&mut candidate);
        candidate
    };
    let there = || vec![(id("configmaps", "a"), live("other", "9"))];
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let equal = |stored: &'static str, found: &'static str| {
        let mut candidate = make("configmaps", "a");
        candidate.manifest = text(stored);
        let found = LiveObject { manifest: text(found), ..live("other", "9") };
        observe(vec![candidate], vec![(id("configmaps", "a"), found)])
    };
    let skip = Options::default();
    let update = Options { existing: Existing::Update, ..Options::default() };
    let fail = Options { existing: Existing::Fail, ..Options::default() };
    let gone = LiveObject { deleting: true, ..live("uid-a", "1") };
    let rows = [
        ("missing", observe(vec![make("configmaps", "a")], vec![]), &skip, Action::Create, Reason::Missing),
        ("needed", observe(vec![with(|c| c.needed = true)], vec![]), &skip, Action::Create, Reason::Needed),
        ("never", observe(vec![with(|c| c.facts.verdict = Verdict::Never(Reason::RootCa))], vec![]), &skip, Action::Skip, Reason::RootCa),
        (
            "same version",
            observe(vec![make("configmaps", "a")], vec![(id("configmaps", "a"), live("uid-a", "1"))]),
            &fail,
            Action::Skip,
            Reason::Unchanged,
        ),
        ("same text", equal("a: 1\n", "a: 1\n"), &update, Action::Skip, Reason::Unchanged),
        (
            "same but for uids",
            equal("metadata:\n  ownerReferences:\n  - name: x\n    uid: a\n", "metadata:\n  ownerReferences:\n  - name: x\n    uid: b\n"),
            &update,
            Action::Skip,
            Reason::Unchanged,
        ),
        ("exists", observe(vec![make("configmaps", "a")], there()), &skip, Action::Skip, Reason::Exists),
        ("differs", equal("a: 1\n", "a: 2\n"), &update, Action::Update, Reason::Differs),
        ("refused", observe(vec![make("configmaps", "a")], there()), &fail, Action::Fail, Reason::ExistsFail),
        ("needed exists", observe(vec![with(|c| c.needed = true)], there()), &update, Action::Skip, Reason::Exists),
        (
            "built in exists",
            observe(vec![with(|c| c.facts.verdict = Verdict::IfMissing(Reason::DefaultServiceAccount))], there()),
            &update,
            Action::Skip,
            Reason::DefaultServiceAccount,
        ),
        (
            "built in missing",
            observe(vec![with(|c| c.facts.verdict = Verdict::IfMissing(Reason::DefaultServiceAccount))], vec![]),
            &update,
            Action::Create,
            Reason::Missing,
        ),
        ("being deleted", observe(vec![make("configmaps", "a")], vec![(id("configmaps", "a"), gone)]), &skip, Action::Create, Reason::Missing),
        ("hidden", observe(vec![with(|c| c.hidden = true)], vec![]), &skip, Action::Fail, Reason::HiddenValues),
        ("hidden exists", observe(vec![with(|c| c.hidden = true)], there()), &update, Action::Fail, Reason::HiddenValues),
        ("kind gone", observe(vec![make("widgets.example.com", "a")], vec![]), &skip, Action::Fail, Reason::KindNotServed),
        ("version gone", observe(vec![with(|c| c.kind.version = "v0".into())], vec![]), &skip, Action::Fail, Reason::VersionNotServed),
    ];
    for (name, observed, options, action, reason) in rows {
        assert_eq!(decided(&observed, options), [("a".to_owned(), action, reason)], "{name}");
    }
    let shown = plan(&equal("a: 1\n", "a: 2\n"), &update);
    let diff = shown.steps().next().unwrap().diff.clone().unwrap();
    assert!(diff.contains("-a: 2\n+a: 1\n"), "{diff}");
}

#[test]
fn definitions_come_before_their_objects() {
    let observed = observe(
        vec![
            make("widgets.example.com", "w"),
            make("customresourcedefinitions.apiextensions.k8s.io", "widgets.example.com"),
            make("configmaps", "c"),
            make("namespaces", "demo"),
        ],
        vec![],
    );
    let planned = plan(&observed, &Options::default());
    let stages: Vec<_> = planned.waves.iter().map(|wave| wave.stage).collect();
    assert_eq!(stages, [Stage::Definitions, Stage::Namespaces, Stage::Configuration, Stage::CustomResources]);
    assert!(planned.steps().all(|step| step.action == Action::Create));
}

#[test]
fn what_a_controller_makes_is_left_to_it() {
    let deployment = make("deployments.apps", "web");
    let set = owned(make("replicasets.apps", "web-1"), &deployment);
    let pod = owned(make("pods", "web-1-x"), &set);
    let orphan = owned(make("pods", "lost"), &make("replicasets.apps", "gone"));
    let config = owned(make("configmaps", "kept"), &deployment);
    let planned = plan(&observe(vec![pod, set, deployment, orphan, config], vec![]), &Options::default());
    let by_name: BTreeMap<_, _> = planned.steps().map(|step| (step.name.as_str(), step)).collect();
    assert_eq!(by_name["web"].action, Action::Create);
    assert_eq!(by_name["web-1"].reason, Reason::OwnedByController);
    assert_eq!(by_name["web-1-x"].reason, Reason::OwnedByController);
    assert_eq!(by_name["web-1-x"].detail.as_deref(), Some("by replicasets.apps/web-1 -n demo"));
    assert_eq!((by_name["lost"].action, &by_name["lost"].owners["uid-gone"]), (Action::Create, &OwnerLink::Drop));
    assert_eq!(by_name["kept"].owners["uid-web"], OwnerLink::Planned);
    let place = |name: &str| planned.waves.iter().position(|wave| wave.steps.iter().any(|step| step.name == name)).unwrap();
    assert!(place("web") < place("kept"), "an owner comes first");
}

#[test]
fn owners_in_the_cluster_are_linked_by_identity() {
    let owner = make("deployments.apps", "web");
    for (found, expected) in [
        (live("uid-web", "5"), OwnerLink::Keep),
        (live("new", "5"), OwnerLink::To("new".into())),
        (LiveObject { deleting: true, ..live("new", "5") }, OwnerLink::Drop),
    ] {
        let observed = observe(vec![owned(make("configmaps", "c"), &owner)], vec![(owner.id.clone(), found)]);
        let planned = plan(&observed, &Options::default());
        assert_eq!(planned.steps().next().unwrap().owners["uid-web"], expected);
    }
}

#[test]
fn endpoints_of_a_service_with_a_selector_are_computed() {
    let mut service = make("services", "web");
    service.facts.selects_pods = true;
    let observed = observe(vec![make("endpoints", "web"), service, make("endpoints", "manual")], vec![]);
    let reasons: BTreeMap<_, _> =
        plan(&observed, &Options::default()).steps().map(|step| ((step.kind.resource.clone(), step.name.clone()), step.reason)).collect();
    assert_eq!(reasons[&("endpoints".into(), "web".into())], Reason::ComputedEndpoints);
    assert_eq!(reasons[&("endpoints".into(), "manual".into())], Reason::Missing);
}

#[test]
fn a_claim_keeps_a_volume_that_is_restored_too() {
    let mut claim = make("persistentvolumeclaims", "data");
    claim.facts.volume = Some("disk".into());
    let kept = |candidates| plan(&observe(candidates, vec![]), &Options::default()).steps().any(|step| step.keep_volume);
    assert!(kept(vec![claim.clone(), make("persistentvolumes", "disk")]));
    assert!(!kept(vec![claim]));
}

#[test]
fn a_plan_survives_json() {
    let deployment = make("deployments.apps", "web");
    let planned = plan(&observe(vec![owned(make("configmaps", "c"), &deployment), deployment], vec![]), &Options::default());
    let text = serde_json::to_string(&planned).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), planned);
    assert!(planned.changes_anything());
    assert_eq!(planned.counts(), [((Action::Create, Reason::Missing), 2)].into());
}

#[test]
fn a_namespace_that_nobody_has_is_made_bare_for_those_who_will_live_in_it() {
    let mut observed = observe(vec![make("configmaps", "a")], vec![]);
    observed.unknown_namespaces.extend(["demo".to_owned(), "empty".to_owned()]);
    let made = plan(&observed, &Options::default());
    assert_eq!(made.bare_namespaces, ["demo"]);
    assert!(made.changes_anything());
    let there = observe(vec![make("configmaps", "a")], vec![]);
    assert!(plan(&there, &Options::default()).bare_namespaces.is_empty());
}
