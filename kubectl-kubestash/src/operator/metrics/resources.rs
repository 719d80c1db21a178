//! What custom resources tell: pure functions from an object to its samples.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt as _, runtime::reflector::Store};
use kubestash::api::{
    BackupConfiguration, BackupInvokerPhase, BackupSession, BackupSessionPhase, BackupStorage, BackupStoragePhase, Condition, Repository,
    RepositoryPhase, RestorePhase, RestoreSession, Snapshot, SnapshotPhase, TypedObjectReference, parse_duration, parse_size,
};

use super::{
    Stores,
    text::{Lines, Sample},
};

type Labels = Vec<(&'static str, String)>;

/// Everything that the stores hold.
pub fn tell(stores: &Stores, lines: &mut Lines) {
    fn each<K: Resource<DynamicType = ()> + Clone + 'static>(store: &Store<K>, of: fn(&K) -> Vec<Sample>, lines: &mut Lines) {
        for object in store.state() {
            of(&object).iter().for_each(|sample| lines.add(sample));
        }
    }
    each(&stores.configurations, of_configuration, lines);
    each(&stores.sessions, of_session, lines);
    each(&stores.restores, of_restore, lines);
    each(&stores.storages, of_storage, lines);
    each(&stores.repositories, of_repository, lines);
    each(&stores.snapshots, of_snapshot, lines);
}

/// The samples of one object, which share their first labels.
struct Of {
    common: Labels,
    all: Vec<Sample>,
}

impl Of {
    fn new<K: Resource<DynamicType = ()>>(object: &K, kind: &'static str, name: &'static str) -> Self {
        let common = vec![("namespace", object.namespace().unwrap_or_default()), (kind, K::kind(&()).into_owned()), (name, object.name_any())];
        Self { common, all: Vec::new() }
    }

    fn target(mut self, target: Option<&TypedObjectReference>) -> Self {
        let target = target.cloned().unwrap_or_default();
        self.common.extend([
            ("target_kind", target.kind.unwrap_or_default()),
            ("target_name", target.name),
            ("target_namespace", target.namespace.unwrap_or_default()),
        ]);
        self
    }

    fn add<const N: usize>(&mut self, name: &'static str, more: [(&'static str, String); N], value: f64) {
        self.all.push(Sample { name, labels: self.common.iter().cloned().chain(more).collect(), value });
    }

    fn number(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(name, [], value);
        }
    }

    fn time(&mut self, name: &'static str, time: Option<&Time>) {
        self.number(name, time.map(|time| time.0.as_second() as f64));
    }

    fn phases(&mut self, name: &'static str, all: &[&'static str], now: Option<&'static str>) {
        if now.is_some() {
            for phase in all {
                self.add(name, [("phase", (*phase).to_owned())], f64::from(u8::from(now == Some(phase))));
            }
        }
    }

    fn conditions(&mut self, name: &'static str, conditions: &[Condition]) {
        for condition in conditions {
            self.add(name, [("condition", condition.type_.clone()), ("status", condition.status.clone())], 1.0);
        }
    }
}

fn size(text: Option<&str>) -> Option<f64> {
    text.and_then(parse_size).map(|bytes| bytes as f64)
}

fn seconds(text: Option<&str>) -> Option<f64> {
    text.and_then(|text| parse_duration(text).ok()).map(|time| time.as_secs_f64())
}

fn word(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn truth(value: Option<bool>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn of_configuration(object: &BackupConfiguration) -> Vec<Sample> {
    let mut of = Of::new(object, "backup_invoker_kind", "backup_invoker_name").target(object.spec.target.as_ref());
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map(BackupInvokerPhase::as_str);
    of.time("core_kubestash_com_backupconfiguration_created", object.metadata.creation_timestamp.as_ref());
    let paused = truth(Some(object.spec.paused.unwrap_or(false)));
    of.add("core_kubestash_com_backupconfiguration_info", [("phase", word(phase)), ("paused", paused)], 1.0);
    for session in &object.spec.sessions {
        let schedule = session.scheduler.as_ref().map(|scheduler| scheduler.schedule.as_str());
        let addon = session.addon.as_ref().map(|addon| addon.name.as_str());
        let labels = [("session_name", session.name.clone()), ("schedule", word(schedule)), ("addon_name", word(addon))];
        of.add("core_kubestash_com_backupconfiguration_sessions", labels, 1.0);
    }
    of.phases("core_kubestash_com_backupconfiguration_phase", &["Ready", "NotReady", "Invalid"], phase);
    of.conditions("core_kubestash_com_backupconfiguration_conditions", &status.conditions);
    of.all
}

fn of_session(object: &BackupSession) -> Vec<Sample> {
    let mut of = Of::new(object, "invoker_kind", "invoker_name");
    let owner = object.spec.invoker.clone().unwrap_or_default();
    of.common.extend([("owner_kind", owner.kind), ("owner_name", owner.name)]);
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map(BackupSessionPhase::as_str);
    of.time("core_kubestash_com_backupsession_created", object.metadata.creation_timestamp.as_ref());
    of.add("core_kubestash_com_backupsession_info", [("session", object.spec.session.clone()), ("phase", word(phase))], 1.0);
    for snapshot in &status.snapshots {
        let app = snapshot.app_ref.clone().unwrap_or_default();
        let labels = [
            ("snapshot_name", snapshot.name.clone()),
            ("snapshot_phase", word(snapshot.phase.map(SnapshotPhase::as_str))),
            ("repository", word(snapshot.repository.as_deref())),
            ("backedup_app_kind", app.kind.unwrap_or_default()),
            ("backedup_app_name", app.name),
            ("backedup_app_namespace", app.namespace.unwrap_or_default()),
        ];
        of.add("core_kubestash_com_backupsession_snapshots", labels, 1.0);
    }
    of.phases("core_kubestash_com_backupsession_phase", &["Pending", "Running", "Succeeded", "Failed", "Skipped"], phase);
    of.number("core_kubestash_com_backupsession_duration_seconds", seconds(status.duration.as_deref()));
    of.conditions("core_kubestash_com_backupsession_conditions", &status.conditions);
    of.all
}

fn of_restore(object: &RestoreSession) -> Vec<Sample> {
    let mut of = Of::new(object, "invoker_kind", "invoker_name").target(object.spec.target.as_ref());
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map(RestorePhase::as_str);
    let data = object.spec.data_source.clone().unwrap_or_default();
    of.time("core_kubestash_com_restoresession_created", object.metadata.creation_timestamp.as_ref());
    let labels = [
        ("datasource_namespace", word(data.namespace.as_deref())),
        ("repository", word(data.repository.as_deref())),
        ("snapshot", word(data.snapshot.as_deref())),
        ("addon_name", word(object.spec.addon.as_ref().map(|addon| addon.name.as_str()))),
        ("phase", word(phase)),
    ];
    of.add("core_kubestash_com_restoresession_info", labels, 1.0);
    of.phases("core_kubestash_com_restoresession_phase", &["Pending", "Running", "Succeeded", "Failed", "Invalid", "Unknown"], phase);
    of.number("core_kubestash_com_restoresession_duration_seconds", seconds(status.duration.as_deref()));
    of.number("core_kubestash_com_restoresession_component_count_total", status.total_components.map(f64::from));
    of.conditions("core_kubestash_com_restoresession_conditions", &status.conditions);
    of.all
}

fn of_storage(object: &BackupStorage) -> Vec<Sample> {
    let mut of = Of::new(object, "invoker_kind", "invoker_name");
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map(BackupStoragePhase::as_str);
    let provider = object.spec.storage.as_ref().map(|storage| storage.provider.as_str());
    of.time("storage_kubestash_com_backupstorage_created", object.metadata.creation_timestamp.as_ref());
    let labels = [("provider", word(provider)), ("default", truth(Some(object.spec.default.unwrap_or(false)))), ("phase", word(phase))];
    of.add("storage_kubestash_com_backupstorage_info", labels, 1.0);
    of.phases("storage_kubestash_com_backupstorage_phase", &["Ready", "NotReady"], phase);
    of.number("storage_kubestash_com_backupstorage_size_bytes", size(status.total_size.as_deref()));
    for repository in &status.repositories {
        if let Some(bytes) = size(repository.size.as_deref()) {
            let labels = [("repository_name", repository.name.clone()), ("repository_namespace", word(repository.namespace.as_deref()))];
            of.add("storage_kubestash_com_backupstorage_repository_size_bytes", labels, bytes);
        }
    }
    of.conditions("storage_kubestash_com_backupstorage_conditions", &status.conditions);
    of.all
}

fn of_repository(object: &Repository) -> Vec<Sample> {
    let mut of = Of::new(object, "invoker_kind", "invoker_name").target(object.spec.app_ref.as_ref());
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map(RepositoryPhase::as_str);
    of.time("storage_kubestash_com_repository_created", object.metadata.creation_timestamp.as_ref());
    let labels = [("path", word(object.spec.path.as_deref())), ("phase", word(phase)), ("integrity", truth(status.integrity))];
    of.add("storage_kubestash_com_repository_info", labels, 1.0);
    of.phases("storage_kubestash_com_repository_phase", &["Ready", "NotReady"], phase);
    of.time("storage_kubestash_com_repository_last_successful_backup", status.last_backup_time.as_ref());
    of.number("storage_kubestash_com_repository_size_bytes", size(status.size.as_deref()));
    of.number("storage_kubestash_com_repository_snapshot_count_total", status.snapshot_count.map(f64::from));
    of.conditions("storage_kubestash_com_repository_conditions", &status.conditions);
    of.all
}

fn of_snapshot(object: &Snapshot) -> Vec<Sample> {
    let spec = &object.spec;
    let mut of = Of::new(object, "invoker_kind", "invoker_name").target(spec.app_ref.as_ref());
    let status = object.status.clone().unwrap_or_default();
    let phase = status.phase.map(SnapshotPhase::as_str);
    of.time("storage_kubestash_com_snapshot_created", object.metadata.creation_timestamp.as_ref());
    let labels = [
        ("snapshot_type", word(spec.type_.as_deref())),
        ("repository", spec.repository.clone()),
        ("session", spec.session.clone()),
        ("backupsession", word(spec.backup_session.as_deref())),
        ("version", word(spec.version.as_deref())),
        ("phase", word(phase)),
        ("integrity", truth(status.integrity)),
    ];
    of.add("storage_kubestash_com_snapshot_info", labels, 1.0);
    of.phases("storage_kubestash_com_snapshot_phase", &["Pending", "Running", "Succeeded", "Failed"], phase);
    of.number("storage_kubestash_com_snapshot_size_bytes", size(status.size.as_deref()));
    of.time("storage_kubestash_com_snapshot_time_seconds", status.snapshot_time.as_ref());
    of.number("storage_kubestash_com_snapshot_component_count_total", status.total_components.map(f64::from));
    of.conditions("storage_kubestash_com_snapshot_conditions", &status.conditions);
    of.all
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
