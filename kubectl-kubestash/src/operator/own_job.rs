//! Jobs of our own image beside a storage: in its namespace, with its volume, its settings and its Secret.

use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource, ResourceExt as _};
use kubestash::{
    api::{BackupStorage, labels},
    session::job::{OwnJob, own_job, storage_account},
};

use super::{Error, context::Context};
use crate::resources::{access::Access, create_once, namespaced, storage::secret_of};

/// Name of a Job that does something for an object: another one for each object that ever had its name, and for those of other namespaces, as
/// their Jobs run beside the same storage and stay for a while.
pub fn name<K: Resource<DynamicType = ()>>(what: &str, object: &K) -> String {
    let uid = object.uid().unwrap_or_default();
    kubestash::api::join_name(what, &object.name_any(), uid.get(..8).unwrap_or(&uid))
}

/// Seconds for which such a Job stays to be looked at.
const KEEP: i32 = 3600;

/// What such a Job does.
pub struct OwnWork {
    /// Its name.
    pub name: String,
    /// Its `app.kubernetes.io/component`.
    pub component: &'static str,
    /// Role and flags.
    pub args: Vec<String>,
    /// What it may do everywhere.
    pub cluster_roles: Vec<&'static str>,
    /// The object of the storage's namespace that it belongs to.
    pub owner: Option<OwnerReference>,
}

/// Starts a Job, once.
///
/// # Errors
/// The API server's; settings of the storage that make no Job.
pub async fn start(context: &Context, storage: &BackupStorage, work: OwnWork) -> Result<(), Error> {
    let namespace = storage.namespace().unwrap_or_default();
    let access = Access {
        name: work.name.clone(),
        namespace: namespace.clone(),
        account: storage_account(storage.spec.runtime_settings.as_ref()).map(str::to_owned),
        owner: work.owner.clone(),
        roles: Vec::new(),
        cluster_roles: work.cluster_roles,
        secrets: secret_of(storage).map(|name| (namespace.clone(), name)).into_iter().collect(),
    };
    access.grant(&context.client).await?;
    let labels = [(labels::MANAGED_BY, labels::MANAGED_BY_KUBESTASH), (labels::COMPONENT_LABEL, work.component)];
    let job = own_job(&OwnJob {
        name: work.name,
        namespace: namespace.clone(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        owner: work.owner,
        args: work.args,
        service_account: access.account().to_owned(),
        image: &context.image,
        storages: vec![storage],
        settings: storage.spec.runtime_settings.as_ref(),
        environment: context.environment.clone(),
        backoff: 2,
        keep_seconds: Some(KEEP),
    })?;
    create_once::<Job>(&namespaced(&context.client, &namespace), &job).await?;
    Ok(())
}
