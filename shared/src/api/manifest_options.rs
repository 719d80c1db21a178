//! Which manifests of databases a restore takes: fields that other Addons look at. This program keeps them and does not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reference::{ObjectReference, TypedLocalObjectReference};

/// What is restored of the manifests of databases and workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestOptions {
    /// Of MongoDB.
    #[serde(rename = "mongoDB", default, skip_serializing_if = "Option::is_none")]
    pub mongo_db: Option<DatabaseManifest>,
    /// Of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<DatabaseManifest>,
    /// Of MySQL.
    #[serde(rename = "mySQL", default, skip_serializing_if = "Option::is_none")]
    pub my_sql: Option<DatabaseManifest>,
    /// Of MariaDB.
    #[serde(rename = "mariaDB", default, skip_serializing_if = "Option::is_none")]
    pub maria_db: Option<DatabaseManifest>,
    /// Of Redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<DatabaseManifest>,
    /// Of Redis Sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_sentinel: Option<SentinelManifest>,
    /// Of SQL Server.
    #[serde(rename = "msSQLServer", default, skip_serializing_if = "Option::is_none")]
    pub ms_sql_server: Option<SqlServerManifest>,
    /// Of Druid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub druid: Option<DruidManifest>,
    /// Of ZooKeeper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zoo_keeper: Option<DatabaseManifest>,
    /// Of SingleStore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singlestore: Option<DatabaseManifest>,
    /// Of ClickHouse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clickhouse: Option<DatabaseManifest>,
    /// Of workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadManifest>,
}

/// What is restored of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadManifest {
    /// Namespace that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_namespace: Option<String>,
}

/// What is restored of a database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseManifest {
    /// Namespace that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_namespace: Option<String>,
    /// Whether the database object is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<bool>,
    /// New name of the database object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Whether the Secret with its accounts is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<bool>,
    /// New name of that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_name: Option<String>,
    /// Whether the Secret with its settings is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_secret: Option<bool>,
    /// New name of that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_secret_name: Option<String>,
    /// Whether its first script is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_script: Option<bool>,
    /// What issues its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_issuer_ref: Option<TypedLocalObjectReference>,
    /// Whether its archiver is restored.
    #[schemars(extend("default" = false))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archiver: Option<bool>,
    /// Another archiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archiver_ref: Option<ObjectReference>,
}

/// What is restored of an SQL Server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlServerManifest {
    /// Namespace that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_namespace: Option<String>,
    /// Whether the database object is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<bool>,
    /// New name of the database object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Whether the Secret with its accounts is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<bool>,
    /// New name of that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_name: Option<String>,
    /// Whether its first script is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_script: Option<bool>,
    /// What issues its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_issuer_ref: Option<TypedLocalObjectReference>,
    /// Whether its archiver is restored.
    #[schemars(extend("default" = false))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archiver: Option<bool>,
    /// Another archiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archiver_ref: Option<ObjectReference>,
}

/// What is restored of a Druid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DruidManifest {
    /// Namespace that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_namespace: Option<String>,
    /// Whether the database object is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db: Option<bool>,
    /// New name of the database object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_name: Option<String>,
    /// Whether the Secret with its accounts is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<bool>,
    /// New name of that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_name: Option<String>,
    /// Whether the Secret with its settings is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_secret: Option<bool>,
    /// New name of that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_secret_name: Option<String>,
    /// Whether the Secret of its deep storage is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep_storage_secret: Option<bool>,
}

/// What is restored of a Redis Sentinel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentinelManifest {
    /// Namespace that it goes into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_namespace: Option<String>,
    /// Whether the sentinel object is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<bool>,
    /// New name of the sentinel object; the first letter is large.
    #[serde(rename = "SentinelName", default, skip_serializing_if = "Option::is_none")]
    pub sentinel_name: Option<String>,
    /// Whether the Secret with its accounts is restored.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret: Option<bool>,
    /// New name of that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_name: Option<String>,
    /// What issues its certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_issuer_ref: Option<TypedLocalObjectReference>,
}
