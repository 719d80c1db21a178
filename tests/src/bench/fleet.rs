//! What the operator of a large installation looks after: many BackupConfigurations, and the Snapshots of months.

use anyhow::Context as _;
use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use kubestash::{
    api::{
        BackupConfiguration, Component, ComponentPhase, Condition, DeletionPolicy, Driver, KStashStats, Repository, Session, Snapshot, SnapshotPhase,
        conditions, conditions::reason, set_condition,
    },
    repository::SnapshotId,
    session::objects::{new_backup_session, new_snapshot},
};
use serde_json::json;

use super::figure::Size;
use crate::s3::S3Server;

/// Requests in flight.
const CONNECTIONS: usize = 16;
/// The namespace of everything.
pub const NAMESPACE: &str = "fleet";
const SESSION: &str = "hourly";

/// How many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// BackupConfigurations, each with a Repository of its own.
    pub configurations: usize,
    /// Snapshots in each Repository.
    pub each: usize,
}

impl Fleet {
    /// 50 configurations and 2,000 Snapshots in a full run, fewer configurations in a smaller one.
    pub fn of(size: Size) -> Self {
        Self { configurations: (size.0 * 50 / Size::FULL.0).clamp(3, 50), each: 40 }
    }

    /// Snapshots of all of them.
    pub fn snapshots(self) -> usize {
        self.configurations * self.each
    }

    /// Namespace, Secrets, storage, policy and configurations, as a user would write them.
    pub fn manifests(self, server: &S3Server) -> String {
        let object = |kind: &str, group: &str, name: &str, spec: serde_json::Value| json!({"apiVersion": format!("{group}.kubestash.com/v1alpha1"), "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec});
        let secret = |name: &str, data: serde_json::Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "stringData": data});
        let s3 = json!({"bucket": "bucket", "region": "us-east-1", "endpoint": server.endpoint(), "secretName": "s3-secret", "prefix": NAMESPACE});
        let mut all = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            // Where no controller runs, nobody makes it.
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}}),
            secret("s3-secret", json!({"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret"})),
            secret("encrypt-secret", json!({"RESTIC_PASSWORD": "changeit"})),
            object("BackupStorage", "storage", "storage", json!({"storage": {"provider": "s3", "s3": s3}})),
            object("RetentionPolicy", "storage", "policy", json!({"successfulSnapshots": {"last": 40}})),
        ];
        for number in 0..self.configurations {
            let repository = json!({
                "name": name(number), "backend": "main", "directory": format!("/{}", name(number)), "encryptionSecret": {"name": "encrypt-secret"},
            });
            let session = json!({
                "name": SESSION, "initialBackup": false, "repositories": [repository],
                "scheduler": {"schedule": format!("{number} * * * *"), "jobTemplate": {"backoffLimit": 1}},
                "addon": {"name": "kubedump-addon", "tasks": [{"name": "manifest-backup", "params": {"IncludeClusterResources": "true"}}]},
            });
            let backends = json!([{"name": "main", "storageRef": {"name": "storage"}, "retentionPolicy": {"name": "policy"}}]);
            all.push(object("BackupConfiguration", "core", &name(number), json!({"backends": backends, "sessions": [session]})));
        }
        all.iter().map(|object| format!("---\n{object}\n")).collect()
    }

    /// Creates the Snapshots of all Repositories, as the runs of as many hours have left them.
    ///
    /// # Errors
    /// The first one that the cluster does not take.
    pub async fn load(self, client: &Client) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let repositories = Api::<Repository>::namespaced(client.clone(), NAMESPACE);
        let configurations = Api::<BackupConfiguration>::namespaced(client.clone(), NAMESPACE);
        let mut all = Vec::new();
        for number in 0..self.configurations {
            let repository = repositories.get(&name(number)).await?;
            let configuration = configurations.get(&name(number)).await?;
            for hour in 1..=self.each {
                all.push(snapshot(&configuration, &repository, now - SignedDuration::from_hours(i64::try_from(hour)?))?);
            }
        }
        let snapshots = &Api::<Snapshot>::namespaced(client.clone(), NAMESPACE);
        futures::stream::iter(all.into_iter().map(anyhow::Ok))
            .try_for_each_concurrent(CONNECTIONS, |made| async move {
                let name = made.metadata.name.clone().unwrap_or_default();
                snapshots.create(&PostParams::default(), &made).await.with_context(|| format!("cannot create Snapshot {name}"))?;
                let status = json!({"status": made.status});
                snapshots.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
                anyhow::Ok(())
            })
            .await
    }
}

/// Name of a configuration, and of its Repository.
pub fn name(number: usize) -> String {
    format!("team-{number}")
}

/// The only session of a configuration.
///
/// # Errors
/// When it has none.
pub fn session_of(configuration: &BackupConfiguration) -> anyhow::Result<&Session> {
    configuration.spec.session(SESSION).context("the configuration has lost its session")
}

/// One that succeeded, with all that a status says then.
fn snapshot(configuration: &BackupConfiguration, repository: &Repository, time: Timestamp) -> anyhow::Result<Snapshot> {
    let run = new_backup_session(configuration, session_of(configuration)?, 0, time);
    let (mut made, mut status) = new_snapshot(&run, repository, DeletionPolicy::Delete, SnapshotId::new(time)?, time);
    let stats = KStashStats {
        objects: Some(8_412),
        new: Some(12),
        changed: Some(105),
        unchanged: Some(8_295),
        removed: Some(9),
        kinds: Some(71),
        stored_bytes: Some(418_336),
        logical_bytes: Some(31_445_120),
        resource_version: Some("1234567".to_owned()),
        ..KStashStats::default()
    };
    let component = Component {
        path: Some("kstash/v1".to_owned()),
        phase: Some(ComponentPhase::Succeeded),
        size: Some("29.988 MiB".to_owned()),
        duration: Some("7s".to_owned()),
        integrity: Some(true),
        driver: Some(Driver::KStash),
        kstash_stats: Some(stats),
        ..Component::default()
    };
    status.components = [(kubestash::api::COMPONENT.to_owned(), component)].into();
    status.size = Some("29.988 MiB".to_owned());
    status.integrity = Some(true);
    status.last_update_time = Some(Time(time));
    for (type_, reason, message) in [
        (conditions::SNAPSHOT_METADATA_UPLOADED, reason::SUCCESSFULLY_UPLOADED_SNAPSHOT_METADATA, "Metadata uploaded successfully"),
        (conditions::RECENT_SNAPSHOT_LIST_UPDATED, reason::SUCCESSFULLY_UPDATED_RECENT_SNAPSHOT_LIST, "Recent snapshot list updated successfully"),
    ] {
        set_condition(&mut status.conditions, Condition::new(type_, true, reason, message), time);
    }
    status.phase = Some(SnapshotPhase::Succeeded);
    made.status = Some(status);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_is_what_was_promised() {
        assert_eq!(Fleet::of(Size::FULL), Fleet { configurations: 50, each: 40 });
        assert_eq!(Fleet::of(Size::FULL).snapshots(), 2_000);
        assert_eq!(Fleet::of(Size(5_000)).configurations, 3);
    }
}
