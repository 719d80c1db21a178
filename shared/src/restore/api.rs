//! Requests to the API server by path, with a deadline each, and its refusals.

use bytes::Bytes;
use serde_json::Value;

use crate::{
    cluster::{ApiError, Cluster, ListBody, Method, collection_path, percent_encode},
    object::{KindInfo, ObjectError, ObjectId, Parts, Sensitivity, TypeMeta, split},
};

/// Accepts lists of metadata only.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const JSON: &str = "application/json";

/// A request.
#[derive(Clone)]
pub struct Call {
    /// What it does.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Body, empty for reads.
    pub body: Bytes,
    /// Whether only metadata of a list is wanted.
    pub metadata_only: bool,
}

impl Call {
    /// Reads one object or list.
    pub fn get(path: String) -> Self {
        Self { method: Method::Get, path, body: Bytes::new(), metadata_only: false }
    }

    /// Writes one body.
    pub fn write(method: Method, path: String, body: Vec<u8>) -> Self {
        Self { method, path, body: body.into(), metadata_only: false }
    }

    /// Reads the metadata of a list.
    pub fn metadata(path: String) -> Self {
        Self { metadata_only: true, ..Self::get(path) }
    }

    const fn accept(&self) -> &'static str {
        if self.metadata_only { METADATA_LIST } else { JSON }
    }
}

/// An answer: its body and the server's warnings.
pub struct Answer {
    /// Body.
    pub body: Bytes,
    /// Deprecated versions, unknown fields.
    pub warnings: Vec<String>,
}

impl Answer {
    async fn of(mut body: ListBody) -> Result<Self, ApiError> {
        let warnings = std::mem::take(&mut body.warnings);
        Ok(Self { body: body.collect().await?, warnings })
    }

    /// The body as a value.
    ///
    /// # Errors
    /// `Malformed` when it is not JSON.
    pub fn value(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|_| ApiError::Malformed { reason: "it is not JSON".to_owned() })
    }

    /// The parts of the object that the body is.
    ///
    /// # Errors
    /// As [`split`].
    pub fn parts(&self, kind: &KindInfo) -> Result<Parts, ObjectError> {
        let mut parts = Parts::default();
        split(&self.body, TypeMeta { api_version: &kind.api_version(), kind: &kind.kind }, Sensitivity::Open, &mut parts)?;
        Ok(parts)
    }
}

/// Sends a read, or a dry run of an update, and again while the error is passing: neither does anything.
///
/// # Errors
/// The API server's refusal, or that there was no answer.
pub async fn look(cluster: &Cluster, call: Call) -> Result<Answer, ApiError> {
    let body = cluster.stream(call.method, &call.path, call.accept(), call.body).await?;
    Answer::of(body).await
}

/// Sends a request once: the caller knows what an error means for what was asked.
///
/// # Errors
/// The API server's refusal, or that there was no answer.
pub async fn once(cluster: &Cluster, call: &Call) -> Result<Answer, ApiError> {
    let body = cluster.once(call.method, &call.path, call.accept(), &call.body).await?;
    Answer::of(body).await
}

/// Path of one object.
pub fn object(kind: &KindInfo, id: &ObjectId) -> String {
    format!("{}/{}", collection_path(kind, id.namespace.as_deref()), percent_encode(&id.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_in_paths() {
        let kind = |group: &str, resource: &str| KindInfo {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            kind: "K".into(),
            namespaced: true,
        };
        let id = ObjectId { kind: kind("", "x").group_resource(), namespace: None, name: "system:a b".into() };
        assert_eq!(object(&kind("rbac.authorization.k8s.io", "clusterroles"), &id), "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aa%20b");
    }
}
