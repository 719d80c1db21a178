//! Volumes.

use k8s_openapi::{
    api::core::v1::{
        AWSElasticBlockStoreVolumeSource, AzureDiskVolumeSource, AzureFileVolumeSource, CSIVolumeSource, CephFSVolumeSource, CinderVolumeSource,
        ConfigMapVolumeSource, DownwardAPIVolumeSource, EmptyDirVolumeSource, EphemeralVolumeSource, FCVolumeSource, FlexVolumeSource,
        FlockerVolumeSource, GCEPersistentDiskVolumeSource, GitRepoVolumeSource, GlusterfsVolumeSource, HostPathVolumeSource, ISCSIVolumeSource,
        ImageVolumeSource, NFSVolumeSource, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, PersistentVolumeClaimVolumeSource,
        PhotonPersistentDiskVolumeSource, PortworxVolumeSource, ProjectedVolumeSource, QuobyteVolumeSource, RBDVolumeSource, ScaleIOVolumeSource,
        SecretVolumeSource, StorageOSVolumeSource, Volume, VsphereVirtualDiskVolumeSource,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{embedded, lenient};

/// What a volume is made of, as in a Pod: one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSource {
    /// A disk of AWS.
    #[schemars(schema_with = "embedded::<AWSElasticBlockStoreVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub aws_elastic_block_store: Option<AWSElasticBlockStoreVolumeSource>,
    /// A disk of Azure.
    #[schemars(schema_with = "embedded::<AzureDiskVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub azure_disk: Option<AzureDiskVolumeSource>,
    /// A file share of Azure.
    #[schemars(schema_with = "embedded::<AzureFileVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub azure_file: Option<AzureFileVolumeSource>,
    /// A CephFS.
    #[schemars(schema_with = "embedded::<CephFSVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub cephfs: Option<CephFSVolumeSource>,
    /// A volume of OpenStack Cinder.
    #[schemars(schema_with = "embedded::<CinderVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub cinder: Option<CinderVolumeSource>,
    /// The data of a ConfigMap.
    #[schemars(schema_with = "embedded::<ConfigMapVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A volume of a CSI driver.
    #[schemars(schema_with = "embedded::<CSIVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub csi: Option<CSIVolumeSource>,
    /// Facts about the Pod.
    #[schemars(schema_with = "embedded::<DownwardAPIVolumeSource>")]
    #[serde(rename = "downwardAPI", default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub downward_api: Option<DownwardAPIVolumeSource>,
    /// An empty folder that lives as long as the Pod.
    #[schemars(schema_with = "embedded::<EmptyDirVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A claim that is made for the Pod.
    #[schemars(schema_with = "embedded::<EphemeralVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub ephemeral: Option<EphemeralVolumeSource>,
    /// A Fibre Channel volume.
    #[schemars(schema_with = "embedded::<FCVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub fc: Option<FCVolumeSource>,
    /// A volume of a Flex driver.
    #[schemars(schema_with = "embedded::<FlexVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub flex_volume: Option<FlexVolumeSource>,
    /// A Flocker volume.
    #[schemars(schema_with = "embedded::<FlockerVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub flocker: Option<FlockerVolumeSource>,
    /// A disk of Google Compute Engine.
    #[schemars(schema_with = "embedded::<GCEPersistentDiskVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub gce_persistent_disk: Option<GCEPersistentDiskVolumeSource>,
    /// A Git repository.
    #[schemars(schema_with = "embedded::<GitRepoVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub git_repo: Option<GitRepoVolumeSource>,
    /// A GlusterFS volume.
    #[schemars(schema_with = "embedded::<GlusterfsVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub glusterfs: Option<GlusterfsVolumeSource>,
    /// A path of the node.
    #[schemars(schema_with = "embedded::<HostPathVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub host_path: Option<HostPathVolumeSource>,
    /// The files of an image.
    #[schemars(schema_with = "embedded::<ImageVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub image: Option<ImageVolumeSource>,
    /// An iSCSI disk.
    #[schemars(schema_with = "embedded::<ISCSIVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub iscsi: Option<ISCSIVolumeSource>,
    /// A folder of an NFS server.
    #[schemars(schema_with = "embedded::<NFSVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub nfs: Option<NFSVolumeSource>,
    /// A PersistentVolumeClaim of the namespace.
    #[schemars(schema_with = "embedded::<PersistentVolumeClaimVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A Photon disk.
    #[schemars(schema_with = "embedded::<PhotonPersistentDiskVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub photon_persistent_disk: Option<PhotonPersistentDiskVolumeSource>,
    /// A Portworx volume.
    #[schemars(schema_with = "embedded::<PortworxVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub portworx_volume: Option<PortworxVolumeSource>,
    /// Several sources in one folder.
    #[schemars(schema_with = "embedded::<ProjectedVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub projected: Option<ProjectedVolumeSource>,
    /// A Quobyte volume.
    #[schemars(schema_with = "embedded::<QuobyteVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub quobyte: Option<QuobyteVolumeSource>,
    /// A RADOS block device.
    #[schemars(schema_with = "embedded::<RBDVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub rbd: Option<RBDVolumeSource>,
    /// A ScaleIO volume.
    #[schemars(schema_with = "embedded::<ScaleIOVolumeSource>")]
    #[serde(rename = "scaleIO", default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub scale_io: Option<ScaleIOVolumeSource>,
    /// The data of a Secret.
    #[schemars(schema_with = "embedded::<SecretVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub secret: Option<SecretVolumeSource>,
    /// A StorageOS volume.
    #[schemars(schema_with = "embedded::<StorageOSVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub storageos: Option<StorageOSVolumeSource>,
    /// A vSphere disk.
    #[schemars(schema_with = "embedded::<VsphereVirtualDiskVolumeSource>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub vsphere_volume: Option<VsphereVirtualDiskVolumeSource>,
}

impl VolumeSource {
    /// The volume of a Pod.
    pub fn volume(&self, name: &str) -> Volume {
        let source = self.clone();
        Volume {
            name: name.to_owned(),
            aws_elastic_block_store: source.aws_elastic_block_store,
            azure_disk: source.azure_disk,
            azure_file: source.azure_file,
            cephfs: source.cephfs,
            cinder: source.cinder,
            config_map: source.config_map,
            csi: source.csi,
            downward_api: source.downward_api,
            empty_dir: source.empty_dir,
            ephemeral: source.ephemeral,
            fc: source.fc,
            flex_volume: source.flex_volume,
            flocker: source.flocker,
            gce_persistent_disk: source.gce_persistent_disk,
            git_repo: source.git_repo,
            glusterfs: source.glusterfs,
            host_path: source.host_path,
            image: source.image,
            iscsi: source.iscsi,
            nfs: source.nfs,
            persistent_volume_claim: source.persistent_volume_claim,
            photon_persistent_disk: source.photon_persistent_disk,
            portworx_volume: source.portworx_volume,
            projected: source.projected,
            quobyte: source.quobyte,
            rbd: source.rbd,
            scale_io: source.scale_io,
            secret: source.secret,
            storageos: source.storageos,
            vsphere_volume: source.vsphere_volume,
        }
    }
}

/// A PersistentVolumeClaim to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaim {
    /// Name, labels and annotations of the claim.
    #[schemars(schema_with = "embedded::<ObjectMeta>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub metadata: Option<ObjectMeta>,
    /// What is claimed.
    #[schemars(schema_with = "embedded::<PersistentVolumeClaimSpec>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub spec: Option<PersistentVolumeClaimSpec>,
    /// Accepted and ignored.
    #[schemars(schema_with = "embedded::<PersistentVolumeClaimStatus>")]
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub status: Option<PersistentVolumeClaimStatus>,
}

/// A volume of a task: there already, or to be claimed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskVolumeSource {
    /// A volume that is there.
    #[serde(flatten)]
    pub source: VolumeSource,
    /// A claim that is made for the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim_template: Option<VolumeClaim>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_source_becomes_the_volume_with_all_its_fields() {
        let text = |value: Value| serde_json::from_value::<VolumeSource>(value).unwrap();
        let nfs = text(json!({"nfs": {"server": "s", "path": "/"}}));
        assert_eq!(serde_json::to_value(nfs.volume("v")).unwrap(), json!({"name": "v", "nfs": {"server": "s", "path": "/"}}));
        let task: TaskVolumeSource =
            serde_json::from_value(json!({"emptyDir": {"sizeLimit": 5}, "volumeClaimTemplate": {"metadata": {"name": "x"}}})).unwrap();
        assert_eq!(serde_json::to_value(task).unwrap(), json!({"emptyDir": {"sizeLimit": "5"}, "volumeClaimTemplate": {"metadata": {"name": "x"}}}));
    }
}
