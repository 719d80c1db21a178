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
    /// Not selected itself, but selected objects refer to it, and such are to be taken along.
    Related,
    /// A field of it is to be restored, and the cluster does not have it.
    NoObject,
    /// The cluster has another state of it, which will be updated.
    Differs,
    /// The cluster has exactly this.
    Unchanged,
    /// The cluster has it, and existing objects are to be left alone.
    Exists,
    /// The cluster has it, and existing objects are to count as failures.
    ExistsFail,
    /// Other managers own fields of it.
    Conflict,
    /// A field differs that cannot be changed.
    Immutable,
    /// The snapshot does not hold it.
    NotInSnapshot,
    /// Whatever is in it would go with it.
    HoldsOthers,
    /// Another object of the source comes to the same place.
    SameName,
    /// It does not take what was to be changed on the way.
    EditRefused,
    /// A record of a tool whose traces are dropped.
    ToolRecord,
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
            Self::Related => "referred to by selected objects",
            Self::NoObject => "not in the cluster, so that no field of it can be restored",
            Self::Differs => "differs from the snapshot",
            Self::Unchanged => "unchanged",
            Self::Exists => "exists already",
            Self::ExistsFail => "exists already and existing objects are refused",
            Self::Conflict => "other managers own fields of it",
            Self::Immutable => "a field differs that cannot be changed",
            Self::NotInSnapshot => "not in the snapshot",
            Self::HoldsOthers => "not in the snapshot, but what is in it would go with it",
            Self::SameName => "another object comes under its name",
            Self::EditRefused => "a change that was asked for does not fit",
            Self::ToolRecord => "record of a tool whose traces are dropped",
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
