#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::restore::{
    edits::Edits,
    facts::{Facts, Owner},
    trial::Trial,
};

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

pub fn make(text: &str, name: &str) -> Candidate {
    let facts = Facts {
        uid: Some(format!("uid-{name}")),
        resource_version: Some("1".into()),
        owners: vec![],
        manager: None,
        verdict: Verdict::Restore,
        selects_pods: false,
        volume: None,
        storage_class: None,
        is_default_class: false,
    };
    Candidate {
        id: id(text, name),
        kind: kind(text).into(),
        stored: None,
        unserved: None,
        item: 0,
        facts,
        needed: false,
        related: None,
        hidden: false,
        manifest: None,
        from: None,
        edit: Edit::default(),
    }
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

pub fn observe(candidates: Vec<Candidate>, live: Vec<(ObjectId, LiveObject)>) -> Observed {
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
    Observed { candidates, live: live.into_iter().collect(), served, ..Observed::default() }
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
    let update = Options { existing: Existing::Update.into(), ..Options::default() };
    let fail = Options { existing: Existing::Fail.into(), ..Options::default() };
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
        ("version gone", observe(vec![with(|c| c.unserved = Some("no".into()))], vec![]), &skip, Action::Fail, Reason::VersionNotServed),
        ("version gone exists", observe(vec![with(|c| c.unserved = Some("no".into()))], there()), &skip, Action::Skip, Reason::Exists),
        ("version gone differs", observe(vec![with(|c| c.unserved = Some("no".into()))], there()), &update, Action::Fail, Reason::VersionNotServed),
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

#[test]
fn an_update_is_shown_as_the_server_would_leave_the_object() {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let candidate = Candidate { manifest: text("data:\n  a: new\n"), ..make("configmaps", "a") };
    let (manifest, trial) = (text("data:\n  a: old\n  b: theirs\n"), Some(Trial::Passes));
    let step = |becomes| {
        let found = LiveObject { manifest: manifest.clone(), trial: trial.clone(), becomes, ..live("other", "9") };
        let options = Options { existing: Existing::Update.into(), ..Options::default() };
        plan(&observe(vec![candidate.clone()], vec![(id("configmaps", "a"), found)]), &options).steps().next().unwrap().clone()
    };
    let changed = |step: &Step| {
        let lines = step.diff.as_ref().unwrap().lines().skip(3);
        lines.filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect::<Vec<_>>()
    };
    let let_be = step(text("data:\n  a: new\n  b: theirs\n"));
    assert_eq!(changed(&let_be), ["-  a: old", "+  a: new"]);
    assert_eq!(let_be.detail.as_deref(), Some("keeps what the snapshot does not have: .data.b (removed with --force-conflicts)"));
    let forced = step(None);
    assert_eq!(changed(&forced), ["-  a: old", "-  b: theirs", "+  a: new"]);
    assert_eq!(forced.detail, None);
}

#[test]
fn an_update_is_decided_by_what_the_server_says_to_it() {
    let decided = |text: &str, words: &[&str], trial: Trial| {
        let found = LiveObject { manifest: Some(b"a: 2\n".to_vec()), trial: Some(trial), ..live("other", "9") };
        let candidate = Candidate { manifest: Some(b"a: 1\n".to_vec()), ..make(text, "a") };
        let existing = Policies::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &|kind| kind.parse().ok()).unwrap();
        let made = plan(&observe(vec![candidate], vec![(id(text, "a"), found)]), &Options { existing, ..Options::default() });
        let step = made.steps().next().unwrap().clone();
        (step.action, step.reason, step.detail.unwrap_or_default(), step.diff.is_some())
    };
    let selector = || Trial::Immutable(vec!["spec.selector".to_owned()]);
    type Row<'a> = (&'a str, &'a [&'a str], Trial, Action, Reason, &'a str);
    let rows: [Row<'_>; 8] = [
        ("configmaps", &["update"], Trial::Passes, Action::Update, Reason::Differs, ""),
        (
            "configmaps",
            &["recreate"],
            Trial::Conflict("\"helm\" using v1: .data.a".to_owned()),
            Action::Fail,
            Reason::Conflict,
            "conflict with \"helm\" using v1: .data.a; --force-conflicts takes the fields over",
        ),
        (
            "deployments.apps",
            &["update"],
            selector(),
            Action::Fail,
            Reason::Immutable,
            "spec.selector; --existing=deployments.apps=recreate deletes it and creates it anew",
        ),
        ("deployments.apps", &["recreate"], Trial::Passes, Action::Update, Reason::Differs, ""),
        ("deployments.apps", &["deployments.apps=recreate"], selector(), Action::Recreate, Reason::Immutable, "spec.selector; what it owns stays"),
        (
            "persistentvolumeclaims",
            &["recreate"],
            Trial::Immutable(vec!["spec".to_owned()]),
            Action::Fail,
            Reason::Immutable,
            "spec; it is deleted and created anew only when its kind is named, because its data may go with it",
        ),
        (
            "persistentvolumeclaims",
            &["persistentvolumeclaims=recreate"],
            Trial::Immutable(vec!["spec".to_owned()]),
            Action::Recreate,
            Reason::Immutable,
            "spec; what it owns stays; lost are its volume and the data in it, where the volume's reclaim policy is Delete",
        ),
        (
            "customresourcedefinitions.apiextensions.k8s.io",
            &["customresourcedefinitions.apiextensions.k8s.io=recreate"],
            Trial::Immutable(vec!["spec.scope".to_owned()]),
            Action::Fail,
            Reason::Immutable,
            "spec.scope; it is never deleted to create it anew, because all that it holds would go with it; change it by hand",
        ),
    ];
    for (kind, words, trial, action, reason, detail) in rows {
        assert_eq!(decided(kind, words, trial), (action, reason, detail.to_owned(), true), "{kind} {words:?}");
    }
}

#[test]
fn what_is_created_anew_is_a_new_owner() {
    let mut owner = make("deployments.apps", "web");
    owner.manifest = Some(b"a: 1\n".to_vec());
    let found = LiveObject { manifest: Some(b"a: 2\n".to_vec()), trial: Some(Trial::Immutable(vec![])), ..live("other", "9") };
    let observed = observe(vec![owned(make("configmaps", "c"), &owner), owner.clone()], vec![(owner.id.clone(), found)]);
    let planned = plan(&observed, &Options { existing: Existing::Recreate.into(), ..Options::default() });
    let by_name: BTreeMap<_, _> = planned.steps().map(|step| (step.name.as_str(), step)).collect();
    assert_eq!((by_name["web"].action, &by_name["c"].owners["uid-web"]), (Action::Recreate, &OwnerLink::Planned));
}

#[test]
fn surplus_is_removed_but_for_what_others_look_after() {
    let surplus = |text: &str, name: &str, change: fn(&mut Facts)| {
        let mut facts = make(text, name).facts;
        change(&mut facts);
        Surplus { id: id(text, name), kind: kind(text), facts, live: live("u", "1") }
    };
    let owner = || Owner { api_version: "v1".into(), kind: "ReplicaSet".into(), name: "web-1".into(), uid: "u".into(), controller: false };
    fn nothing(_: &mut Facts) {}
    let rows = [
        (surplus("configmaps", "new", nothing), Action::Delete, Reason::NotInSnapshot),
        (surplus("persistentvolumeclaims", "data", nothing), Action::Delete, Reason::NotInSnapshot),
        (surplus("configmaps", "kube-root-ca.crt", |facts| facts.verdict = Verdict::Never(Reason::RootCa)), Action::Skip, Reason::RootCa),
        (
            surplus("serviceaccounts", "default", |facts| facts.verdict = Verdict::IfMissing(Reason::DefaultServiceAccount)),
            Action::Skip,
            Reason::DefaultServiceAccount,
        ),
        (surplus("namespaces", "new", nothing), Action::Skip, Reason::HoldsOthers),
        (surplus("customresourcedefinitions.apiextensions.k8s.io", "new.example.com", nothing), Action::Skip, Reason::HoldsOthers),
    ];
    for (surplus, action, reason) in rows {
        let observed = Observed { surplus: vec![surplus.clone()], ..observe(vec![], vec![]) };
        let planned = plan(&observed, &Options { exact: true, ..Options::default() });
        let step = planned.steps().next().unwrap();
        assert_eq!((step.action, step.reason, step.item), (action, reason, None), "{}", surplus.id);
        assert_eq!(planned.waves.first().unwrap().stage, Stage::Removals);
        assert_eq!(step.live.as_ref().unwrap().uid, "u");
    }
    let mut pod = surplus("pods", "web-1-x", nothing);
    pod.facts.owners.push(owner());
    let observed = Observed { surplus: vec![pod], ..observe(vec![], vec![]) };
    assert_eq!(decided(&observed, &Options::default()), [("web-1-x".to_owned(), Action::Skip, Reason::OwnedByController)]);
}

#[test]
fn edits_count_as_differences() {
    let same = || vec![(id("configmaps", "a"), live("uid-a", "1"))];
    let update = Options { existing: Existing::Update.into(), ..Options::default() };
    let edited = |edit: Edit| Candidate { edit, manifest: Some(b"a: 1\n".to_vec()), ..make("configmaps", "a") };
    let rows = [
        (edited(Edit::default()), same(), Action::Skip, Reason::Unchanged),
        (edited(Edit { changes: true, ..Edit::default() }), same(), Action::Update, Reason::Differs),
        (edited(Edit { is_record: true, ..Edit::default() }), vec![], Action::Skip, Reason::ToolRecord),
        (edited(Edit { refusal: Some("no".into()), ..Edit::default() }), vec![], Action::Fail, Reason::EditRefused),
        (edited(Edit { changes: true, refusal: Some("no".into()), ..Edit::default() }), same(), Action::Fail, Reason::EditRefused),
    ];
    for (candidate, live, action, reason) in rows {
        let edit = candidate.edit.clone();
        assert_eq!(decided(&observe(vec![candidate], live), &update), [("a".to_owned(), action, reason)], "{edit:?}");
    }
}

#[test]
fn two_objects_do_not_come_to_one_place() {
    let moved = |candidate: Candidate| Candidate { from: Some("old".into()), ..candidate };
    let observed =
        observe(vec![make("configmaps", "a"), moved(make("configmaps", "a")), make("namespaces", "demo"), moved(make("namespaces", "demo"))], vec![]);
    let planned = plan(&observed, &Options::default());
    let found: Vec<_> = planned.steps().map(|step| (step.kind.resource.as_str(), step.action, step.reason, step.detail.as_deref())).collect();
    assert_eq!(
        found,
        [
            ("namespaces", Action::Create, Reason::Missing, None),
            ("namespaces", Action::Skip, Reason::SameName, Some("namespaces/demo comes there")),
            ("configmaps", Action::Create, Reason::Missing, None),
            ("configmaps", Action::Fail, Reason::SameName, Some("configmaps/a -n demo comes there")),
        ]
    );
    let second = planned.steps().last().unwrap();
    assert_eq!((second.id().to_string(), second.origin().to_string()), ("configmaps/a -n demo".into(), "configmaps/a -n old".into()));
}

#[test]
fn a_copied_claim_says_that_no_data_comes_along() {
    let mut claim = make("persistentvolumeclaims", "data");
    claim.facts.volume = Some("disk".into());
    claim.from = Some("old".into());
    let planned = plan(&observe(vec![claim], vec![]), &Options::default());
    assert_eq!(planned.steps().next().unwrap().warnings, ["no data comes along: volume disk stays with the claim that it is bound to"]);
}

#[test]
fn edits_that_touch_nothing_are_named() {
    let edits = Edits {
        namespaces: crate::restore::edits::Mappings::parse(&["gone:x".to_owned()]).unwrap(),
        patches: crate::restore::edits::PatchRule::read("- {target: {}, patch: []}\n- {target: {}, patch: []}").unwrap(),
        ..Edits::default()
    };
    let patched = Candidate { edit: Edit { patches: vec![1], ..Edit::default() }, ..make("configmaps", "a") };
    let planned = plan(&observe(vec![patched], vec![]), &Options { edits, ..Options::default() });
    assert_eq!(planned.notes, ["nothing that is selected lives in namespace gone, which is mapped", "patch 1 is for nothing that is selected"]);
}

#[test]
fn only_a_field_is_restored() {
    let options = Options { fields: vec!["a".parse().unwrap()], ..Options::default() };
    let there = |text: &str| vec![(id("configmaps", "a"), LiveObject { manifest: Some(text.as_bytes().to_vec()), ..live("other", "9") })];
    let with = |edit: Edit| Candidate { manifest: Some(b"a: 1\n".to_vec()), edit, ..make("configmaps", "a") };
    let refused = Edit { refusal: Some("there is no a".into()), ..Edit::default() };
    let rows = [
        (with(Edit::default()), there("a: 2\n"), Action::Update, Reason::Differs),
        (with(Edit::default()), there("a: 1\n"), Action::Skip, Reason::Unchanged),
        (with(refused), there("a: 2\n"), Action::Fail, Reason::EditRefused),
        (with(Edit::default()), vec![], Action::Fail, Reason::NoObject),
    ];
    for (candidate, live, action, reason) in rows {
        assert_eq!(decided(&observe(vec![candidate], live), &options), [("a".to_owned(), action, reason)]);
    }
}

#[test]
fn what_is_taken_along_says_for_whom() {
    let by = id("deployments.apps", "web");
    let candidate = Candidate { related: Some(by), ..make("configmaps", "a") };
    let planned = plan(&observe(vec![candidate], vec![]), &Options::default());
    let step = planned.steps().next().unwrap();
    assert_eq!((step.action, step.reason, step.detail.as_deref()), (Action::Create, Reason::Related, Some("by deployments.apps/web -n demo")));
}

#[test]
fn what_is_being_deleted_is_awaited_and_a_namespace_above_all() {
    let dying = LiveObject { deleting: true, ..live("uid-demo", "1") };
    let planned = plan(&observe(vec![make("namespaces", "demo")], vec![(id("namespaces", "demo"), dying)]), &Options::default());
    let step = planned.steps().next().unwrap();
    assert_eq!((step.action, step.detail.as_deref()), (Action::Create, Some("after the old one, which is being deleted, is gone")));
    assert!(step.live.as_ref().is_some_and(|live| live.deleting), "its end is awaited by uid");
}

#[test]
fn what_is_written_under_another_version_says_so() {
    let mut set = make("deployments.apps", "web");
    set.stored = Some(Arc::new(KindInfo { group: "extensions".into(), version: "v1beta1".into(), ..(*set.kind).clone() }));
    set.from = Some("old".into());
    let planned = plan(&observe(vec![set], vec![]), &Options::default());
    let step = planned.steps().next().unwrap();
    assert_eq!((step.action, step.stored_as.as_deref()), (Action::Create, Some("extensions/v1beta1")));
    assert_eq!(step.origin().to_string(), "deployments.extensions/web -n old");
    assert_eq!(planned.notes, ["deployments.apps: 1 stored as extensions/v1beta1, written as apps/v1"]);
}

#[test]
fn a_kind_that_kubernetes_removed_says_what_takes_its_place() {
    let planned = plan(&observe(vec![make("podsecuritypolicies.policy", "tight")], vec![]), &Options::default());
    let detail = planned.steps().next().unwrap().detail.clone().unwrap();
    assert!(detail.contains("pod-security.kubernetes.io/enforce"), "{detail}");
}
