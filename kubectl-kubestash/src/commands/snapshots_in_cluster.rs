//! `kubectl kubestash snapshots --in-cluster`: the Snapshot objects of a namespace or of all, newest first.

use anyhow::Context as _;
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::ListParams};
use kubestash::api::{COMPONENT, Snapshot, SnapshotPhase, conditions, is_true};

use super::snapshots::SnapshotsArgs;
use crate::{
    cli::{
        CliContext,
        args::Format,
        errors::hinted,
        exit,
        output::{age, print_bytes, structured, table},
    },
    resources::namespaced,
};

pub async fn run(args: &SnapshotsArgs, context: &CliContext) -> anyhow::Result<u8> {
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let namespace = context.namespace(&cluster);
    let api: Api<Snapshot> = if args.all_namespaces { Api::all(client) } else { namespaced(&client, namespace) };
    let mut all = api.list(&ListParams::default()).await.context("cannot list the Snapshots of the cluster")?.items;
    all.retain(|snapshot| args.snapshot.as_ref().is_none_or(|name| snapshot.name_any() == *name));
    if let Some(name) = args.snapshot.as_ref().filter(|_| all.is_empty()) {
        return Err(hinted(
            format!("there is no Snapshot {name} in the cluster"),
            "`kubectl kubestash snapshots --in-cluster -A` lists those of all namespaces",
        ));
    }
    all.sort_by_key(|snapshot| std::cmp::Reverse((taken(snapshot), snapshot.name_any())));
    match args.output.output {
        Format::Json => structured(&all, false)?,
        Format::Yaml => structured(&all, true)?,
        Format::Name => print_bytes(all.iter().map(|snapshot| format!("{}\n", snapshot.name_any())).collect::<String>().as_bytes())?,
        Format::Table | Format::Wide if all.is_empty() => {
            let place = if args.all_namespaces { "the cluster".to_owned() } else { format!("namespace {namespace}") };
            context.note(&format!("No Snapshots in {place}; -A shows those of all namespaces."));
        }
        Format::Table | Format::Wide => {
            let wide = args.output.output == Format::Wide;
            let (header, rows) = rows(&all, args.all_namespaces, wide, Timestamp::now());
            print_bytes(table(&header, &rows).as_bytes())?;
        }
    }
    Ok(exit::OK)
}

/// When a Snapshot was begun.
fn taken(snapshot: &Snapshot) -> Option<Timestamp> {
    let own = snapshot.status.as_ref().and_then(|status| status.snapshot_time.clone());
    own.or_else(|| snapshot.metadata.creation_timestamp.clone()).map(|time| time.0)
}

fn rows(all: &[Snapshot], namespaces: bool, wide: bool, now: Timestamp) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let mut header = vec!["NAME", "REPOSITORY", "SESSION", "PHASE", "INTEGRITY", "OBJECTS", "AGE"];
    if namespaces {
        header.insert(0, "NAMESPACE");
    }
    if wide {
        header.extend(["BACKUPSESSION", "ID", "WHY"]);
    }
    let row = |snapshot: &Snapshot| {
        let status = snapshot.status.clone().unwrap_or_default();
        let own = status.components.get(COMPONENT).cloned().unwrap_or_default();
        let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        // One that lacks something has succeeded, but a person should see it here.
        let phase = match status.phase.unwrap_or(SnapshotPhase::Pending) {
            SnapshotPhase::Succeeded if is_true(&status.conditions, conditions::BACKUP_PARTIAL) => "Partial",
            phase => phase.as_str(),
        };
        let mut cells = vec![
            snapshot.name_any(),
            snapshot.spec.repository.clone(),
            snapshot.spec.session.clone(),
            phase.to_owned(),
            known(status.integrity.map(|good| good.to_string())),
            known(own.kstash_stats.and_then(|stats| stats.objects).map(|objects| objects.to_string())),
            known(taken(snapshot).map(|time| age(time, now))),
        ];
        if namespaces {
            cells.insert(0, snapshot.namespace().unwrap_or_default());
        }
        if wide {
            cells.extend([known(snapshot.spec.backup_session.clone()), snapshot.spec.snapshot_id.clone(), known(own.error)]);
        }
        cells
    };
    (header, all.iter().map(row).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn snapshot(name: &str, status: Value) -> Snapshot {
        serde_json::from_value(json!({
            "apiVersion": "storage.kubestash.com/v1alpha1", "kind": "Snapshot", "metadata": {"name": name, "namespace": "demo"},
            "spec": {"repository": "r", "session": "hourly", "snapshotID": "01K", "backupSession": "bc-1"}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_table_shows_what_is_whole_partial_and_failed() {
        let condition = json!({"type": "BackupPartial", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let part = json!({"manifest": {"kstashStats": {"objects": 7}}});
        let failed = json!({"manifest": {"error": "no bucket"}});
        let all = [
            snapshot("a", json!({"phase": "Succeeded", "integrity": true, "snapshotTime": "2026-01-01T00:00:00Z", "components": part})),
            snapshot("b", json!({"phase": "Succeeded", "integrity": true, "snapshotTime": "2026-01-01T00:00:00Z", "conditions": [condition]})),
            snapshot("c", json!({"phase": "Failed", "snapshotTime": "2026-01-01T00:00:00Z", "components": failed})),
        ];
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let (header, cells) = rows(&all, true, true, now);
        let expected = "\
NAMESPACE   NAME   REPOSITORY   SESSION   PHASE       INTEGRITY   OBJECTS   AGE   BACKUPSESSION   ID    WHY
demo        a      r            hourly    Succeeded   true        7         60m   bc-1            01K   -
demo        b      r            hourly    Partial     true        -         60m   bc-1            01K   -
demo        c      r            hourly    Failed      -           -         60m   bc-1            01K   no bucket
";
        assert_eq!(table(&header, &cells), expected);
    }
}
