//! Why a step of a plan does what it does.

use serde::{Deserialize, Serialize};

/// Why an object is created, updated, skipped or refused. The set is closed, so that reports can count by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The cluster does not have it.
    Missing,
    /// Not selected itself, but selected objects cannot live without it: their namespace or their CRD.
    Needed,
    /// The cluster has another state of it, which will be updated.
    Differs,
    /// The cluster has exactly this.
    Unchanged,
    /// The cluster has it, and existing objects are to be left alone.
    Exists,
    /// The cluster has it, and existing objects are to count as failures.
    ExistsFail,
    /// A controller that is there or is restored makes it again.
    OwnedByController,
    /// A pod or job that has run to its end.
    Finished,
    /// The copy of a static pod, which its node's kubelet writes.
    MirrorPod,
    /// Endpoints or an EndpointSlice that a controller computes.
    ComputedEndpoints,
    /// Events, leases, nodes and other traces of running components.
    RuntimeState,
    /// A generated token of a ServiceAccount.
    GeneratedToken,
    /// The CA bundle that a controller puts into every namespace.
    RootCa,
    /// The `default` ServiceAccount, which every namespace gets.
    DefaultServiceAccount,
    /// It was being deleted when the snapshot was taken.
    BeingDeleted,
    /// RBAC that the API server reconciles by itself.
    BuiltInRbac,
    /// An APIService that the API server registers for itself or for a CRD.
    LocalApiService,
    /// Kept by the API server itself.
    ApiServerManaged,
    /// A volume that a provisioner makes again for its claim.
    DynamicVolume,
    /// The cluster does not serve this kind.
    KindNotServed,
    /// The cluster serves this kind, but not in the version of the stored manifest.
    VersionNotServed,
    /// The values are hidden: applying it would destroy the real ones.
    HiddenValues,
}

impl Reason {
    /// One clause for a table or a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "not in the cluster",
            Self::Needed => "needed by selected objects",
            Self::Differs => "differs from the snapshot",
            Self::Unchanged => "unchanged",
            Self::Exists => "exists already",
            Self::ExistsFail => "exists already and existing objects are refused",
            Self::OwnedByController => "made again by its controller",
            Self::Finished => "has finished running",
            Self::MirrorPod => "mirror of a static pod",
            Self::ComputedEndpoints => "computed from its Service",
            Self::RuntimeState => "state of running components",
            Self::GeneratedToken => "generated token of a ServiceAccount",
            Self::RootCa => "put into every namespace by a controller",
            Self::DefaultServiceAccount => "made in every namespace by a controller",
            Self::BeingDeleted => "was being deleted when the snapshot was taken",
            Self::BuiltInRbac => "reconciled by the API server",
            Self::LocalApiService => "registered by the API server",
            Self::ApiServerManaged => "kept by the API server",
            Self::DynamicVolume => "provisioned again for its claim",
            Self::KindNotServed => "the cluster does not serve this kind",
            Self::VersionNotServed => "the cluster does not serve this version of the kind",
            Self::HiddenValues => "its values are hidden",
        }
    }
}
