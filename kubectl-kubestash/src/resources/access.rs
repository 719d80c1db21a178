//! What a Job may do: an account of its own or the user's, bound to the roles that the work needs, and to the Secrets by name.
//!
//! Bindings lie also in namespaces of storages and Secrets, where the garbage collector cannot tell that their session is gone: a label
//! finds them, and whoever ends a session revokes them.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::{
    api::{
        core::v1::ServiceAccount,
        rbac::v1::{ClusterRoleBinding, Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, api::ListParams};
use kubestash::api::labels;
use serde_json::{Value, json};

use super::{apply, cluster_wide, namespaced};

/// Label of everything that was made for one Job.
const ACCESS: &str = "kubestash.com/access-of";
const RBAC: &str = "rbac.authorization.k8s.io";

/// What a Job needs.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Name of the Job, and of the account where the user names none.
    pub name: String,
    /// Namespace of the Job.
    pub namespace: String,
    /// The account that the user names.
    pub account: Option<String>,
    /// Object of the same namespace that a made account belongs to.
    pub owner: Option<OwnerReference>,
    /// ClusterRoles, bound in a namespace each.
    pub roles: Vec<(String, &'static str)>,
    /// ClusterRoles, bound everywhere.
    pub cluster_roles: Vec<&'static str>,
    /// Secrets to read: namespace and name.
    pub secrets: Vec<(String, String)>,
}

fn mark(name: &str, namespace: &str) -> String {
    blake3::hash(format!("{namespace}/{name}").as_bytes()).to_hex().get(..16).unwrap_or_default().to_owned()
}

impl Access {
    /// The account of the Job's Pod.
    pub fn account(&self) -> &str {
        self.account.as_deref().unwrap_or(&self.name)
    }

    fn meta(&self, name: &str, namespace: Option<&str>) -> Value {
        let own = namespace == Some(&self.namespace);
        json!({
            "name": name, "namespace": namespace,
            "labels": {labels::MANAGED_BY: labels::MANAGED_BY_KUBESTASH, ACCESS: mark(&self.name, &self.namespace)},
            "ownerReferences": self.owner.iter().filter(|_| own).collect::<Vec<_>>(),
        })
    }

    fn subjects(&self) -> Value {
        json!([{"kind": "ServiceAccount", "name": self.account(), "namespace": self.namespace}])
    }

    /// Roles of single Secrets, one a namespace.
    fn secret_roles(&self) -> Vec<(String, Value)> {
        let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (namespace, name) in &self.secrets {
            by_namespace.entry(namespace).or_default().push(name);
        }
        let name = format!("kubestash-secrets-{}", mark(&self.name, &self.namespace));
        let role = |(namespace, mut names): (&str, Vec<&str>)| {
            names.sort_unstable();
            names.dedup();
            let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": names}]);
            (
                namespace.to_owned(),
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": self.meta(&name, Some(namespace)), "rules": rules}),
            )
        };
        by_namespace.into_iter().map(role).collect()
    }

    fn binding(&self, kind: &str, role_kind: &str, role: &str, namespace: Option<&str>) -> Value {
        let name = match role_kind {
            "Role" => role.to_owned(),
            _ => format!("{role}-{}", mark(&self.name, &self.namespace)),
        };
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": self.meta(&name, namespace),
            "roleRef": {"apiGroup": RBAC, "kind": role_kind, "name": role}, "subjects": self.subjects(),
        })
    }

    /// Makes the account, where none is named, and all bindings. Doing it again changes nothing.
    ///
    /// # Errors
    /// The API server's.
    pub async fn grant(&self, client: &Client) -> kube::Result<()> {
        let read = |error: serde_json::Error| kube::Error::SerdeError(error);
        if self.account.is_none() {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.meta(&self.name, Some(&self.namespace))});
            let account: ServiceAccount = serde_json::from_value(account).map_err(read)?;
            apply(&namespaced(client, &self.namespace), &account).await?;
        }
        // None of these needs another one, and the Job waits for all.
        let of_secrets = self.secret_roles().into_iter().map(async |(namespace, role)| {
            let role: Role = serde_json::from_value(role).map_err(read)?;
            let name = role.metadata.name.clone().unwrap_or_default();
            apply(&namespaced(client, &namespace), &role).await?;
            let binding: RoleBinding = serde_json::from_value(self.binding("RoleBinding", "Role", &name, Some(&namespace))).map_err(read)?;
            apply(&namespaced(client, &namespace), &binding).await
        });
        let of_roles = self.roles.iter().map(async |(namespace, role)| {
            let binding: RoleBinding = serde_json::from_value(self.binding("RoleBinding", "ClusterRole", role, Some(namespace))).map_err(read)?;
            apply(&namespaced(client, namespace), &binding).await
        });
        let of_cluster_roles = self.cluster_roles.iter().map(async |role| {
            let binding: ClusterRoleBinding = serde_json::from_value(self.binding("ClusterRoleBinding", "ClusterRole", role, None)).map_err(read)?;
            apply(&cluster_wide(client), &binding).await
        });
        futures::try_join!(try_join_all(of_secrets), try_join_all(of_roles), try_join_all(of_cluster_roles))?;
        Ok(())
    }
}

/// Removes the bindings that were made for a Job, wherever they lie. The account itself goes with its owner.
///
/// # Errors
/// The API server's.
pub async fn revoke(client: &Client, name: &str, namespace: &str) -> kube::Result<()> {
    let own = ListParams::default().labels(&format!("{ACCESS}={}", mark(name, namespace)));
    for binding in Api::<RoleBinding>::all(client.clone()).list(&own).await? {
        let place = binding.metadata.namespace.unwrap_or_default();
        super::delete::<RoleBinding>(&namespaced(client, &place), &binding.metadata.name.unwrap_or_default()).await?;
    }
    for role in Api::<Role>::all(client.clone()).list(&own).await? {
        let place = role.metadata.namespace.unwrap_or_default();
        super::delete::<Role>(&namespaced(client, &place), &role.metadata.name.unwrap_or_default()).await?;
    }
    let everywhere = cluster_wide::<ClusterRoleBinding>(client);
    for binding in everywhere.list(&own).await? {
        super::delete(&everywhere, &binding.metadata.name.unwrap_or_default()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_one_by_one() {
        let access = Access {
            name: "bs".to_owned(),
            namespace: "demo".to_owned(),
            secrets: [("demo", "enc"), ("store", "s3"), ("demo", "enc"), ("demo", "a")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec(),
            ..Access::default()
        };
        let roles = access.secret_roles();
        assert_eq!(roles.iter().map(|(namespace, _)| namespace.as_str()).collect::<Vec<_>>(), ["demo", "store"]);
        assert_eq!(roles[0].1["rules"], json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a", "enc"]}]));
        assert_eq!(access.account(), "bs");
        assert_eq!(Access { account: Some("mine".to_owned()), ..access }.account(), "mine");
    }
}
