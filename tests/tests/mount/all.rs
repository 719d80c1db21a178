//! What a mount of all snapshots shows beside them: versions, changes, days.

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use jiff::Timestamp;
use kstashfs::{FileOptions, Forest, MountOptions};
use kubestash::{
    object::KindInfo,
    repository::{
        BackupOptions, ClusterId, CommitInfo, KindOutcome, KindReport, Repository, Root,
        prune::{Grace, PruneOptions},
    },
    restore::SnapshotFilter,
};
use kubestash_tests::{
    mounts::{Mounted, sh, wait_for},
    sample::{GENERAL_PASSWORD, PASSWORD, Sample, Shape},
};
use serde_json::json;

/// Objects of a snapshot, as `kind namespace/name`, with what makes their content.
type Objects = BTreeMap<&'static str, usize>;

/// One snapshot to be made: all of one cluster unless it says otherwise.
#[derive(Clone, Default)]
struct Made {
    time: &'static str,
    objects: Objects,
    cluster: &'static str,
    filters: &'static str,
    /// A kind that could not be read.
    unread: Option<&'static str>,
}

fn kind(resource: &str) -> KindInfo {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let name = match resource {
        "configmaps" => "ConfigMap",
        "secrets" => "Secret",
        "namespaces" => "Namespace",
        _ => "Thing",
    };
    KindInfo { group: group.into(), version: "v1".into(), resource: resource.into(), kind: name.into(), namespaced: name != "Namespace" }
}

async fn back_up(repository: &Repository, name: &str, made: &Made) -> Root {
    let writer = repository.backup(BackupOptions::default()).await.unwrap();
    let mut kinds: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (object, value) in &made.objects {
        let (kind, key) = object.split_once(' ').unwrap();
        kinds.entry(kind).or_default().insert(key, *value);
    }
    let kinds: Vec<(KindInfo, BTreeMap<&str, usize>)> = kinds.into_iter().map(|(name, objects)| (kind(name), objects)).collect();
    let writer = tokio::task::spawn_blocking(move || {
        for (info, objects) in kinds {
            let mut kind = writer.kind(&info);
            for (key, value) in objects {
                let (namespace, name) = key.split_once('/').map_or((None, key), |(namespace, name)| (Some(namespace), name));
                // Large enough to be noticed when it is read.
                let value = json!({"value": value.to_string(), "text": format!("{name}{value}").repeat(10_000)});
                let labels = json!({"app": name});
                let object = json!({"metadata": {"name": name, "namespace": namespace, "labels": labels}, "data": value});
                kind.push(namespace, name, object.to_string().as_bytes()).unwrap();
            }
            kind.finish().unwrap();
        }
        writer
    });
    let unread = made.unread.map(|name| KindReport { kind: kind(name), outcome: KindOutcome::Failed { message: "slow".to_owned() } });
    let cluster = ClusterId { uid: made.cluster.to_owned(), ..ClusterId::default() };
    let time: Timestamp = made.time.parse().unwrap();
    let info = CommitInfo { cluster, filters: made.filters.into(), kinds: unread.into_iter().collect(), ..CommitInfo::new(name, time) };
    writer.await.unwrap().commit(info).await.unwrap()
}

const NAMES: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

/// Five days: `x` changes, goes and comes back; `same` stays; `late` comes and goes; a kind cannot be read once.
fn days() -> Vec<Made> {
    let one = |time, objects: &[(&'static str, usize)]| Made { time, objects: objects.iter().copied().collect(), ..Made::default() };
    let rest = [("configmaps demo/same", 1), ("namespaces demo", 1), ("secrets demo/s", 1)];
    let with = |time, more: &[(&'static str, usize)]| one(time, &[&rest[..], more].concat());
    let unread = one("2026-11-27T05:00:00Z", &[("namespaces demo", 1), ("secrets demo/s", 2)]);
    vec![
        with("2026-11-26T05:00:00Z", &[("configmaps demo/x", 1), ("things.example.com demo/a:b", 1)]),
        with("2026-11-26T17:00:00Z", &[("configmaps demo/x", 1), ("things.example.com demo/a:b", 1)]),
        Made { unread: Some("configmaps"), ..unread },
        with("2026-11-27T17:00:00Z", &[("configmaps demo/x", 2), ("configmaps demo/late", 1)]),
        with("2026-11-28T05:00:00Z", &[]),
        with("2026-11-28T17:00:00Z", &[("configmaps demo/x", 1)]),
    ]
}

async fn with_days() -> (Sample, Vec<Root>) {
    let sample = Sample::new(Shape { namespaces: 0, kinds: 0, each: 0, bytes: 0 }).await;
    let mut roots = Vec::new();
    for (name, made) in NAMES.into_iter().zip(days()) {
        roots.push(back_up(sample.repository(), name, &made).await);
    }
    (sample, roots)
}

fn mounted(repository: Repository, roots: &[Root], look: FileOptions) -> Mounted {
    Mounted::new(Forest::all(repository, roots.to_vec(), look), &MountOptions::default())
}

fn lines(folder: &Path, script: &str) -> Vec<String> {
    sh(folder, script).lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_holds_each_version_once() {
    let (sample, roots) = with_days().await;
    let all = mounted(sample.repository().clone(), &roots, FileOptions::default());
    let expected = [
        ("cluster/namespaces/demo", vec!["20261126-050000.yaml"]),
        ("namespaces/demo/configmaps/late", vec!["20261127-170000.yaml", "20261128-050000.deleted"]),
        ("namespaces/demo/configmaps/same", vec!["20261126-050000.yaml"]),
        ("namespaces/demo/configmaps/x", vec!["20261126-050000.yaml", "20261127-170000.yaml", "20261128-050000.deleted", "20261128-170000.yaml"]),
        ("namespaces/demo/secrets/s", vec!["20261126-050000.yaml", "20261127-050000.yaml", "20261127-170000.yaml"]),
        ("namespaces/demo/things.example.com/a:b", vec!["20261126-050000.yaml", "20261127-050000.deleted"]),
    ];
    let history = all.path().join("history");
    let found: Vec<String> = lines(&history, "find . -type f | cut -c3- | sort");
    let wanted: Vec<String> = expected.iter().flat_map(|(folder, files)| files.iter().map(move |file| format!("{folder}/{file}"))).collect();
    assert_eq!(found, wanted);
    // By name, before anybody has listed anything; and as the snapshot of that time has it.
    let again = mounted(sample.repository().clone(), &roots, FileOptions::default());
    for path in &wanted {
        let file = again.path().join("history").join(path);
        let (folder, version) = path.rsplit_once('/').unwrap();
        let (time, ending) = version.split_once('.').unwrap();
        let root = roots.iter().find(|root| kubestash::api::time_name(root.time) == time).unwrap();
        let attributes = file.metadata().unwrap();
        assert_eq!(attributes.mtime(), root.time.as_second(), "{path}");
        let own = again.path().join("snapshots").join(&root.name).join(format!("{folder}.yaml"));
        if ending == "deleted" {
            assert!(attributes.len() == 0 && std::fs::read(&file).unwrap().is_empty() && !own.exists(), "{path}");
        } else {
            assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&own).unwrap(), "{path}");
            assert_eq!((attributes.len(), attributes.mode()), (own.metadata().unwrap().len(), own.metadata().unwrap().mode()), "{path}");
        }
    }
    assert_eq!(history.join("namespaces/demo/secrets/s/20261126-050000.yaml").metadata().unwrap().permissions().mode() & 0o777, 0o400);
    for absent in [
        "x",
        "namespaces/nowhere",
        "namespaces/demo/pods",
        "namespaces/demo/configmaps/y",
        "cluster/configmaps",
        "namespaces/demo/configmaps/x/20261126-170000.yaml",
    ] {
        assert!(!history.join(absent).exists(), "{absent}");
    }
    assert!(lines(&history, "ls -a namespaces/demo").starts_with(&[".".to_owned(), "..".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_the_history_reads_no_object() {
    let (sample, roots) = with_days().await;
    let mut store = None;
    let repository = sample.open_with(PASSWORD, |own| store.insert(own).clone()).await;
    let all = mounted(repository, &roots, FileOptions::default());
    let (store, list) = (store.unwrap(), "find history changes by-day -type f -printf '%s %p\\n' | wc -l");
    let before = store.traffic();
    let files: u64 = sh(all.path(), list).trim().parse().unwrap();
    let listed = store.traffic().since(&before);
    // One object has more bytes than all catalogs together.
    assert!(files > 10 && listed.bytes_read < 50_000, "{files} files: {listed:?}");
    assert!(listed.reads <= 6 * roots.len() as u64, "{listed:?}");
    let before = store.traffic();
    sh(all.path(), list);
    assert_eq!(store.traffic().since(&before).reads, 0, "catalogs are read once");
    sh(all.path(), "cat history/namespaces/demo/configmaps/x/*.yaml | wc -c");
    assert!(store.traffic().since(&before).reads > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_follows_the_repository() {
    let (sample, mut roots) = with_days().await;
    let last = roots.pop().unwrap();
    let (time, name) = (last.time, last.name.clone());
    sample.repository().forget(last.id).await.unwrap();
    let all = mounted(sample.repository().clone(), &roots, FileOptions::default());
    let versions = || lines(all.path(), "ls history/namespaces/demo/configmaps/x");
    assert_eq!(versions(), ["20261126-050000.yaml", "20261127-170000.yaml", "20261128-050000.deleted"]);
    // A new one.
    back_up(sample.repository(), &name, &days().pop().unwrap()).await;
    wait_for("the new version shows", Duration::from_secs(10), || versions().len() == 4);
    assert_eq!(versions().last().unwrap(), &format!("{}.yaml", kubestash::api::time_name(time)));
    // The first one goes: the same version is shown at the next snapshot that has it.
    let first = all.path().join("history/namespaces/demo/configmaps/x/20261126-050000.yaml");
    let text = std::fs::read(&first).unwrap();
    sample.repository().forget(roots[0].id).await.unwrap();
    wait_for("the version moves", Duration::from_secs(10), || versions().first().is_some_and(|first| first == "20261126-170000.yaml"));
    assert_eq!(std::fs::read(first.with_file_name("20261126-170000.yaml")).unwrap(), text);
    assert!(!first.exists());
    // One that is older than those that are known.
    let old = Made { time: "2026-11-20T00:00:00Z", objects: [("configmaps demo/x", 7), ("configmaps old/y", 1)].into(), ..Made::default() };
    back_up(sample.repository(), "zero", &old).await;
    wait_for("the old version shows", Duration::from_secs(10), || versions().first().is_some_and(|first| first == "20261120-000000.yaml"));
    assert_eq!(lines(all.path(), "ls history/namespaces"), ["demo", "old"]);
    assert_eq!(lines(all.path(), "ls history/namespaces/old/configmaps/y"), ["20261120-000000.yaml", "20261126-170000.deleted"]);
    assert_eq!(versions().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_reads_what_a_prune_has_put_elsewhere() {
    let sample = Sample::with_snapshot(Shape::WIDE).await;
    let one = sample.repository().newest().await.unwrap().unwrap();
    let two = sample.back_up_on(Some(&sample.repository().open_snapshot(&one).await.unwrap()), "two", 1).await;
    let all = mounted(sample.repository().clone(), &[one.clone(), two.root().clone()], FileOptions::default());
    let before = lines(all.path(), "find history/namespaces/team-1/secrets -type f | wc -l");
    sample.repository().forget(one.id).await.unwrap();
    let options = PruneOptions { grace: Grace::NONE, max_unused: "0%".parse().unwrap(), ..PruneOptions::new(Timestamp::now()) };
    let report = sample.repository().prune(options, &mut |_, _, _| {}).await.unwrap();
    assert!(report.recut.snapshots == 1 && report.deleted.packs > 0, "{report:?}");
    wait_for("the forgotten snapshot goes", Duration::from_secs(10), || !all.path().join("snapshots/one").exists());
    assert_eq!(lines(all.path(), "find history/namespaces/team-1/secrets -type f | wc -l"), before);
    for version in lines(all.path(), "cd history; find namespaces/team-1 namespaces/odd -name '*.yaml'") {
        let own = format!("snapshots/two/{}.yaml", version.rsplit_once('/').unwrap().0);
        let read = |path: &str| std::fs::read(all.path().join(path)).unwrap();
        assert_eq!(read(&format!("history/{version}")), read(&own), "{version}");
    }
    assert_eq!(all.counts().errors, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_what_differs_from_the_snapshot_before() {
    let (sample, roots) = with_days().await;
    let all = mounted(sample.repository().clone(), &roots, FileOptions::default());
    let files = |name: &str| lines(&all.path().join("changes").join(name), "find . -type f | cut -c3- | sort");
    let removed = |name: &str| lines(&all.path().join("changes").join(name), "cat REMOVED");
    assert_eq!(lines(all.path(), "ls -U changes"), ["two", "three", "four", "five", "six"], "nothing is before the first");
    let (thing, secret) = ("namespaces/demo/things.example.com/a:b.yaml", "namespaces/demo/secrets/s.yaml");
    let (x, late) = ("namespaces/demo/configmaps/x.yaml", "namespaces/demo/configmaps/late.yaml");
    assert_eq!((files("two"), removed("two")), (vec!["REMOVED".to_owned()], Vec::new()));
    assert_eq!(files("three"), ["NOT-COMPARED", "REMOVED", secret]);
    assert_eq!((removed("three"), lines(all.path(), "cat changes/three/NOT-COMPARED")), (vec![thing.to_owned()], vec!["configmaps".to_owned()]));
    assert_eq!((files("four"), removed("four")), (vec!["NOT-COMPARED".to_owned(), "REMOVED".to_owned(), secret.to_owned()], Vec::new()));
    assert_eq!((files("five"), removed("five")), (vec!["REMOVED".to_owned()], vec![late.to_owned(), x.to_owned()]));
    assert_eq!((files("six"), removed("six")), (vec!["REMOVED".to_owned(), x.to_owned()], Vec::new()));
    sh(all.path(), "cmp changes/six/namespaces/demo/configmaps/x.yaml snapshots/six/namespaces/demo/configmaps/x.yaml");
    let texts = all.path().join("changes/five/REMOVED").metadata().unwrap();
    assert_eq!((texts.len(), texts.mtime(), texts.mode()), ((late.len() + x.len() + 2) as u64, roots[4].time.as_second(), 0o100_444));
    assert_eq!(lines(&all.path().join("changes/two"), "ls -F"), ["REMOVED", "cluster/", "namespaces/"]);

    // Without the snapshot before, it is another comparison.
    sample.repository().forget(roots[3].id).await.unwrap();
    wait_for("the changes follow", Duration::from_secs(10), || lines(all.path(), "ls -U changes").len() == 4);
    assert_eq!((files("five"), removed("five")), (vec!["NOT-COMPARED".to_owned(), "REMOVED".to_owned(), secret.to_owned()], Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_and_filters_are_told_apart() {
    let sample = Sample::new(Shape { namespaces: 0, kinds: 0, each: 0, bytes: 0 }).await;
    let make = |time, cluster, filters, value: usize| {
        let objects = if value == 0 { Objects::new() } else { [("configmaps demo/x", value)].into() };
        Made { time, cluster, filters, objects, unread: None }
    };
    let all = [
        make("2026-11-28T01:00:00Z", "a", "", 1),
        make("2026-11-28T02:00:00Z", "b", "", 2),
        make("2026-11-28T03:00:00Z", "a", "pods", 0),
        make("2026-11-28T04:00:00Z", "a", "", 1),
        make("2026-11-28T05:00:00Z", "b", "", 3),
    ];
    let mut roots = Vec::new();
    for (name, made) in NAMES.into_iter().zip(&all) {
        roots.push(back_up(sample.repository(), name, made).await);
    }
    let all = mounted(sample.repository().clone(), &roots, FileOptions::default());
    assert_eq!(
        lines(all.path(), "ls history/namespaces/demo/configmaps/x"),
        ["20261128-010000.yaml", "20261128-020000.yaml", "20261128-050000.yaml"]
    );
    assert_eq!(
        lines(all.path(), "ls -U changes; cat changes/*/REMOVED; find changes -name '*.yaml'"),
        ["four", "five", "changes/five/namespaces/demo/configmaps/x.yaml"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn days_lead_to_their_snapshots() {
    let (sample, roots) = with_days().await;
    let all = mounted(sample.repository().clone(), &roots, FileOptions::default());
    assert_eq!(lines(all.path(), "ls"), ["by-day", "changes", "history", "latest", "snapshots"]);
    assert_eq!(lines(all.path(), "ls by-day"), ["2026-11-26", "2026-11-27", "2026-11-28"]);
    assert_eq!(lines(all.path(), "ls -U by-day/2026-11-27; readlink by-day/2026-11-27/four"), ["three", "four", "../../snapshots/four"]);
    sh(all.path(), "diff -r by-day/2026-11-27/four/ snapshots/four");
    assert!(!all.path().join("by-day/2026-11-25").exists() && !all.path().join("by-day/2026-11-27/one").exists());
    // Who walks through all of it meets each snapshot once.
    assert_eq!(lines(all.path(), "find . -path '*/cluster/namespaces/demo.yaml' -not -path './changes/*' | wc -l"), ["6"]);
    sample.repository().forget(roots[2].id).await.unwrap();
    sample.repository().forget(roots[3].id).await.unwrap();
    wait_for("the day goes", Duration::from_secs(10), || lines(all.path(), "ls by-day") == ["2026-11-26", "2026-11-28"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_hidden_secrets_hold_in_every_view() {
    let (sample, roots) = with_days().await;
    let general = sample.open_with(GENERAL_PASSWORD, |store| store).await;
    let look = FileOptions { hide_secrets: true, ..FileOptions::default() };
    for all in [mounted(sample.repository().clone(), &roots, look), mounted(general, &roots, FileOptions::default())] {
        for file in ["history/namespaces/demo/secrets/s/20261127-050000.yaml", "changes/three/namespaces/demo/secrets/s.yaml"] {
            let text = std::fs::read_to_string(all.path().join(file)).unwrap();
            let attributes = all.path().join(file).metadata().unwrap();
            assert!(
                text.contains("value: '<hidden: ") && attributes.mode() == 0o100_444 && attributes.len() == text.len() as u64,
                "{file}: {text:.300}"
            );
        }
    }
    let filters =
        kubestash::collect::Filters { include_resources: vec!["configmaps".to_owned()], selector: "app=x".to_owned(), ..Default::default() };
    let filter = SnapshotFilter::new(&filters, &[]).unwrap();
    let forest = Forest::all(sample.repository().clone(), roots.clone(), FileOptions::default()).filtered(filter);
    let all = Mounted::new(forest, &MountOptions::default());
    assert_eq!(lines(all.path(), "cd history; find . -mindepth 4 -type d"), ["./namespaces/demo/configmaps/x"]);
    assert_eq!(
        lines(all.path(), "cat changes/*/REMOVED; find changes -name '*.yaml'"),
        ["namespaces/demo/configmaps/x.yaml", "changes/six/namespaces/demo/configmaps/x.yaml"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_catalog_costs_its_own_snapshot_only() {
    let (sample, roots) = with_days().await;
    // The catalog of the fourth snapshot, which no other shares.
    for pack in roots[3].layers.iter().flat_map(|layer| &layer.packs) {
        let name: String = pack.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::remove_file(sample.native().join("packs").join(&name[..2]).join(&name)).unwrap();
    }
    let repository = sample.open_with(PASSWORD, |store| store).await;
    let all = mounted(repository, &roots, FileOptions::default());
    let entered = |path: &str| std::fs::read_dir(all.path().join(path)).and_then(|mut entries| entries.next().transpose());
    for path in ["snapshots/four", "changes/four", "changes/five"] {
        assert_eq!(entered(path).unwrap_err().raw_os_error(), Some(libc::EIO), "{path}");
    }
    for path in ["snapshots/three", "changes/three", "changes/six"] {
        assert!(entered(path).unwrap().is_some(), "{path}");
    }
    let versions = lines(all.path(), "ls history/namespaces/demo/configmaps/x");
    assert_eq!(versions, ["20261126-050000.yaml", "20261128-050000.deleted", "20261128-170000.yaml"]);
    assert!(sh(all.path(), "cat history/namespaces/demo/configmaps/x/20261126-050000.yaml").contains("value: \"1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn mounting_writes_nothing() {
    let (sample, roots) = with_days().await;
    let mut store = None;
    let repository = sample.open_with(PASSWORD, |own| store.insert(own).clone()).await;
    let files = || sh(&sample.native(), "find . -printf '%p %s %T@\\n' | sort");
    let before = files();
    let all = mounted(repository, &roots, FileOptions::default());
    sh(all.path(), "grep -rl configmaps . | wc -l");
    let traffic = store.unwrap().traffic();
    assert_eq!((traffic.writes, traffic.deletes, traffic.bytes_written), (0, 0, 0));
    assert_eq!(files(), before);
}
