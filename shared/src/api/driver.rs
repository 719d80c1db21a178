//! The programs and formats that data is kept with.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Keeps data of a component. Only [`Driver::KStash`] and [`Driver::Restic`] mean something to this program; the others are read and kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Driver {
    /// The repository format of this program.
    KStash,
    /// A restic repository.
    Restic,
    /// WAL-G, for databases.
    WalG,
    /// Snapshots of volumes.
    VolumeSnapshotter,
    /// Solr's own backup.
    Solr,
    /// Medusa, for Cassandra.
    Medusa,
    /// clickhouse-backup.
    ClickHouseBackup,
    /// neo4j-admin.
    Neo4jAdmin,
    /// One that this program has never heard of.
    #[serde(untagged)]
    Other(String),
}

impl Driver {
    /// Those with a name, as they are written.
    pub const NAMES: [&'static str; 8] = ["KStash", "Restic", "WalG", "VolumeSnapshotter", "Solr", "Medusa", "ClickHouseBackup", "Neo4jAdmin"];
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            named => write!(f, "{named:?}"),
        }
    }
}

impl JsonSchema for Driver {
    fn schema_name() -> Cow<'static, str> {
        "Driver".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": Self::NAMES})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_drivers_stay_as_they_are() {
        for name in Driver::NAMES.into_iter().chain(["Later"]) {
            let driver: Driver = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(driver.to_string(), name);
            assert_eq!(matches!(driver, Driver::Other(_)), name == "Later");
            assert_eq!(serde_json::to_value(driver).unwrap(), json!(name));
        }
    }
}
