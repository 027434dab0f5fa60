//! The Secret by which the operator and the workers know each other.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use tocsin_contract::labels::Component;

use super::metadata;
use crate::pipeline::Pipeline;

/// Annotation: when the certificate in a Secret ends.
pub const ENDS: &str = "tocsin.dev/certificate-ends";

/// Annotation: the id of the operator's keys, of which certificate and token are.
pub const KEY_ID: &str = "tocsin.dev/key-id";

/// What is in the Secret.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// Who shows it may ask the workers anything.
    pub token: &'a str,
    /// The workers' certificate, in PEM.
    pub certificate: &'a str,
    /// Its key, in PEM.
    pub key: &'a str,
    /// When it ends.
    pub ends: Timestamp,
    /// The id of the operator's keys.
    pub key_id: &'a str,
}

/// The Secret.
pub fn secret(pipeline: &Pipeline, content: Content<'_>) -> Secret {
    let mut metadata = metadata(pipeline, pipeline.names().admin(), Component::Workers);
    metadata.annotations = Some(
        [(ENDS, content.ends.to_string()), (KEY_ID, content.key_id.to_owned())]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    );
    let data = [
        ("token", content.token),
        ("tls.crt", content.certificate),
        ("tls.key", content.key),
    ];
    Secret {
        metadata,
        data: Some(
            data.map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec())))
                .into(),
        ),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The names of the workers' certificate. The first is the one that the operator asks for, at whichever pod.
pub fn server_names(namespace: &str, service: &str) -> Vec<String> {
    vec![
        format!("{service}.{namespace}.svc"),
        format!("*.{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
        service.to_owned(),
        // By a port that is forwarded.
        "localhost".to_owned(),
    ]
}
