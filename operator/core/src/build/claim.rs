//! The volume with snapshots.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tocsin_contract::labels::Component;
use tocsin_contract::pipeline::deletion::Fate;
use tocsin_contract::pipeline::state::VolumeStorage;

use super::{metadata, metadata_of_what_stays};
use crate::pipeline::Pipeline;

/// The claim, if snapshots are kept on a volume. It has the pipeline as its owner only if snapshots go with it.
pub fn of_state(pipeline: &Pipeline) -> Option<PersistentVolumeClaim> {
    let volume = pipeline.spec.state.storage.volume.as_ref()?;
    let name = pipeline.names().state();
    let metadata = match pipeline.spec.deletion_policy.snapshots {
        Fate::Delete => metadata(pipeline, name, Component::State),
        Fate::Retain => metadata_of_what_stays(pipeline, name, Component::State),
    };
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![access_mode(volume).to_owned()]),
            storage_class_name: volume.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(volume.size.as_str().to_owned()))].into()),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

/// One machine at a time mounts it.
pub(super) const READ_WRITE_ONCE: &str = "ReadWriteOnce";

/// All workers mount the volume. A class that the user names must do that from several nodes; the cluster's own mostly
/// cannot, and serves the workers of one node.
pub(super) const fn access_mode(volume: &VolumeStorage) -> &'static str {
    if volume.class.is_some() {
        "ReadWriteMany"
    } else {
        READ_WRITE_ONCE
    }
}
