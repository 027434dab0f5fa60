//! The volume with snapshots.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tocsin_contract::labels::Component;
use tocsin_contract::pipeline::deletion::Fate;

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
            access_modes: Some(vec![access_mode(volume.class.is_some()).to_owned()]),
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

/// All workers mount the volume. A class that the user names must do that from several nodes; the cluster's own mostly
/// cannot, and serves the workers of one node.
const fn access_mode(is_of_a_named_class: bool) -> &'static str {
    if is_of_a_named_class {
        "ReadWriteMany"
    } else {
        "ReadWriteOnce"
    }
}
