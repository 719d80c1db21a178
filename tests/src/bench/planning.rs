//! The plan of a restore alone: made-up objects of a snapshot and of a cluster, no I/O.
//!
//! It runs in a process of its own, so that its memory can be told from the benchmark's.

use std::{hint::black_box, process::Command, sync::Arc, time::Instant};

use anyhow::Context as _;
use kubestash::{
    object::{KindInfo, ObjectId},
    restore::{
        Facts, Owner, Trial, Verdict,
        plan::{Candidate, Edit, Existing, LiveObject, Observed, Options, Served, plan},
    },
};

use super::{
    figure::{Figure, Target, median},
    process,
    stage::Stage,
};

/// The objects of one app: API version, kind, plural, and which of them owns it.
const APP: [(&str, &str, &str, Option<usize>); 10] = [
    ("v1", "ServiceAccount", "serviceaccounts", None),
    ("v1", "ConfigMap", "configmaps", None),
    ("v1", "Secret", "secrets", None),
    ("v1", "Service", "services", None),
    ("v1", "Endpoints", "endpoints", None),
    ("apps/v1", "Deployment", "deployments", None),
    ("apps/v1", "ReplicaSet", "replicasets", Some(5)),
    ("v1", "Pod", "pods", Some(6)),
    ("v1", "Pod", "pods", Some(6)),
    ("v1", "Pod", "pods", Some(6)),
];
/// Apps in a namespace.
const APPS: usize = 50;

/// `restore.plan` and its memory.
///
/// # Errors
/// When the process that plans cannot be run.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let (mut seconds, mut peak) = (Vec::new(), 0.0_f64);
    for _ in 0..stage.options.rounds {
        let mut command = Command::new(std::env::current_exe()?);
        let used = process::run(command.args(["--plan", &stage.size().0.to_string()]))?.expect("planning", &[0])?;
        seconds.push(used.out.trim().parse().context("planning does not tell its seconds")?);
        peak = peak.max(used.peak_mib);
    }
    let note = "half of the objects are missing in the cluster, four in ten are there unchanged, one in ten is updated, with its difference";
    let size = stage.size();
    Ok(vec![
        Figure::cost("restore.plan", median(seconds).unwrap_or_default(), "s").aims_at_in(size, Target::Value(2.0)).noting(note),
        Figure::cost("restore.plan_memory", peak, "MiB")
            .aims_at_in(size, Target::Value(256.0))
            .noting("of a process that makes the plan, with all that it is made from"),
    ])
}

/// Seconds that the plan for so many objects takes.
pub fn seconds(objects: usize) -> f64 {
    let (observed, options) = (observed(objects), options());
    let start = Instant::now();
    let made = plan(&observed, &options);
    let seconds = start.elapsed().as_secs_f64();
    black_box(made);
    seconds
}

fn options() -> Options {
    Options { existing: Existing::Update.into(), ..Options::default() }
}

fn kind(place: usize) -> KindInfo {
    let (api_version, kind, resource, _) = APP[place];
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    KindInfo { group: group.to_owned(), version: version.to_owned(), resource: resource.to_owned(), kind: kind.to_owned(), namespaced: true }
}

/// The object at a place of an app.
fn id(app: usize, place: usize) -> ObjectId {
    ObjectId { kind: kind(place).group_resource(), namespace: Some(format!("team-{}", app / APPS)), name: format!("app-{app}-{place}") }
}

/// Its uid in the snapshot.
fn uid(app: usize, place: usize) -> String {
    format!("{app:08x}-{place:04x}-4000-8000-000000000000")
}

/// Forty lines of YAML, one of which may be another.
fn manifest(app: usize, colour: &str) -> Vec<u8> {
    let lines: String = (0..40).map(|line| format!("  setting-{line}: value {line} of app {app}\n")).collect();
    format!("data:\n  colour: {colour}\n{lines}").into_bytes()
}

fn candidate(number: usize, kinds: &[Arc<KindInfo>]) -> Candidate {
    let (app, place) = (number / APP.len(), number % APP.len());
    let owner = APP[place].3.map(|owner| {
        let kind = kind(owner);
        Owner { api_version: kind.api_version(), kind: kind.kind, name: id(app, owner).name, uid: uid(app, owner), controller: true }
    });
    let facts = Facts {
        uid: Some(uid(app, place)),
        resource_version: Some(number.to_string()),
        owners: owner.into_iter().collect(),
        manager: None,
        verdict: Verdict::Restore,
        selects_pods: APP[place].1 == "Service",
        volume: None,
        storage_class: None,
        is_default_class: false,
    };
    Candidate {
        // Endpoints are called as their Service is.
        id: if APP[place].1 == "Endpoints" { ObjectId { name: id(app, place - 1).name, ..id(app, place) } } else { id(app, place) },
        kind: Arc::clone(&kinds[place]),
        stored: None,
        unserved: None,
        item: number,
        facts,
        needed: false,
        related: None,
        hidden: false,
        manifest: differs(app).then(|| manifest(app, "blue")),
        from: None,
        edit: Edit::default(),
    }
}

/// Whether the objects of an app are there in another state.
fn differs(app: usize) -> bool {
    app % 10 == 9
}

fn observed(objects: usize) -> Observed {
    let mut served = Served::default();
    for place in 0..APP.len() {
        served.add(kind(place), vec!["v1".to_owned()]);
    }
    let kinds: Vec<Arc<KindInfo>> = (0..APP.len()).map(|place| Arc::new(kind(place))).collect();
    let candidates = (0..objects).map(|number| candidate(number, &kinds)).collect();
    let mut observed = Observed { served, candidates, ..Observed::default() };
    for one in &observed.candidates {
        let app = one.item / APP.len();
        if app % 10 < 5 {
            continue;
        }
        let same = LiveObject {
            uid: one.facts.uid.clone().unwrap_or_default(),
            resource_version: one.facts.resource_version.clone().unwrap_or_default(),
            ..LiveObject::default()
        };
        let live = if differs(app) {
            let (manifest, becomes) = (Some(manifest(app, "red")), Some(manifest(app, "blue")));
            LiveObject { resource_version: "changed".to_owned(), manifest, trial: Some(Trial::Passes), becomes, ..same }
        } else {
            same
        };
        observed.live.insert(one.id.clone(), live);
    }
    observed
}

#[cfg(test)]
mod tests {
    use kubestash::restore::{Reason, plan::Action};

    use super::*;

    #[test]
    fn the_plan_has_all_that_makes_one_slow() {
        let made = plan(&observed(100), &options());
        let expected = [
            ((Action::Create, Reason::Missing), 25),
            ((Action::Update, Reason::Differs), 5),
            ((Action::Skip, Reason::Unchanged), 40),
            ((Action::Skip, Reason::OwnedByController), 24),
            ((Action::Skip, Reason::ComputedEndpoints), 6),
        ];
        assert_eq!(made.counts(), expected.into());
        assert_eq!(made.steps().filter(|step| step.diff.is_some()).count(), 5);
    }
}
