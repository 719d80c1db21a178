//! What the rules need to know of the cluster.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::ListParams};
use kubestash::api::{BackupConfiguration, BackupStorage, HookInfo, HookTemplate, Repository, RestoreSession, RetentionPolicy, Snapshot};

use super::rules::{Known, hooks_of, hooks_of_restore};
use crate::{
    operator::Error,
    resources::{cluster_wide, namespaced},
};

/// Reads for the object of one request.
pub struct Observer<'a> {
    client: &'a Client,
    namespace: &'a str,
}

impl<'a> Observer<'a> {
    /// For an object of a namespace.
    pub fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace }
    }

    /// The namespace of the object.
    pub fn namespace(&self) -> &str {
        self.namespace
    }

    async fn storages(&self) -> kube::Result<Vec<BackupStorage>> {
        Ok(Api::all(self.client.clone()).list(&ListParams::default()).await?.items)
    }

    async fn policies(&self) -> kube::Result<Vec<RetentionPolicy>> {
        Ok(Api::all(self.client.clone()).list(&ListParams::default()).await?.items)
    }

    async fn repositories(&self) -> kube::Result<Vec<Repository>> {
        Ok(Api::all(self.client.clone()).list(&ListParams::default()).await?.items)
    }

    async fn hooks(&self, hooks: impl Iterator<Item = &HookInfo>) -> kube::Result<Vec<HookTemplate>> {
        let mut all = Vec::new();
        for reference in hooks.filter_map(|hook| hook.hook_template.as_ref()) {
            all.extend(namespaced::<HookTemplate>(self.client, reference.namespace_or(self.namespace)).get_opt(&reference.name).await?);
        }
        Ok(all)
    }

    /// With the labels of the namespace.
    async fn labelled(&self, known: Known) -> kube::Result<Known> {
        let own = cluster_wide::<Namespace>(self.client).get_opt(self.namespace).await?;
        Ok(Known { namespace_labels: own.and_then(|own| own.metadata.labels).unwrap_or_default(), ..known })
    }

    /// For a BackupStorage.
    ///
    /// # Errors
    /// The API server's, as all of these.
    pub async fn for_storage(&self) -> Result<Known, Error> {
        Ok(Known { storages: self.storages().await?, ..Known::default() })
    }

    /// For a RetentionPolicy.
    pub async fn for_policy(&self) -> Result<Known, Error> {
        Ok(Known { policies: self.policies().await?, ..Known::default() })
    }

    /// For a Repository.
    pub async fn for_repository(&self) -> Result<Known, Error> {
        let known = Known { storages: self.storages().await?, repositories: self.repositories().await?, ..Known::default() };
        Ok(self.labelled(known).await?)
    }

    /// For a BackupConfiguration.
    pub async fn for_configuration(&self, own: &BackupConfiguration) -> Result<Known, Error> {
        let known = Known {
            storages: self.storages().await?,
            policies: self.policies().await?,
            repositories: self.repositories().await?,
            hooks: self.hooks(hooks_of(own)).await?,
            ..Known::default()
        };
        Ok(self.labelled(known).await?)
    }

    /// For a RestoreSession, with the repository that it restores from.
    pub async fn for_restore(&self, own: &RestoreSession) -> Result<(Known, Option<Repository>), Error> {
        let data = own.spec.data_source.clone().unwrap_or_default();
        let place = data.namespace_or(self.namespace);
        let mut name = data.repository.clone().filter(|name| !name.is_empty());
        if let (None, Some(snapshot)) = (&name, data.snapshot.as_deref().filter(|name| !name.is_empty())) {
            name = namespaced::<Snapshot>(self.client, place).get_opt(snapshot).await?.map(|snapshot| snapshot.spec.repository);
        }
        let repository = match name {
            Some(name) => namespaced::<Repository>(self.client, place).get_opt(&name).await?,
            None => None,
        };
        let known = Known { storages: self.storages().await?, hooks: self.hooks(hooks_of_restore(own)).await?, ..Known::default() };
        Ok((self.labelled(known).await?, repository))
    }
}
