//! Who the workers are to the API server: nobody.

use k8s_openapi::api::core::v1::ServiceAccount;
use tocsin_contract::labels::Component;

use super::metadata;
use crate::pipeline::Pipeline;

/// An account without rights, whose token no pod gets: workers never speak to the API server.
pub fn of_workers(pipeline: &Pipeline) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(pipeline, pipeline.names().workers(), Component::Workers),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
