//! Where workers keep snapshots.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};
use tocsin_contract::pipeline::state::{S3Storage, Storage};

use crate::pipeline::PipelineId;

/// Where the volume is mounted.
pub const FOLDER: &str = "/var/lib/tocsin";

/// The address, as `tocsin run --state` takes it.
pub fn address(storage: &Storage, pipeline: &PipelineId) -> String {
    match &storage.s3 {
        None => FOLDER.to_owned(),
        Some(s3) => match &s3.prefix {
            Some(prefix) => format!("s3://{}/{}", s3.bucket, prefix.trim_matches('/')),
            // Namespace and name of the pipeline: the worker puts the name behind.
            None => format!("s3://{}/{}", s3.bucket, pipeline.namespace),
        },
    }
}

/// What the client of the object store reads from its environment, by the names that AWS's tools have.
pub fn environment(storage: &Storage) -> Vec<EnvVar> {
    let Some(s3) = &storage.s3 else { return Vec::new() };
    let plain = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        value_from: None,
    };
    let mut variables = Vec::new();
    if let Some(endpoint) = &s3.endpoint {
        variables.push(plain("AWS_ENDPOINT", endpoint));
        if endpoint.starts_with("http://") {
            variables.push(plain("AWS_ALLOW_HTTP", "true"));
        }
    }
    if let Some(region) = &s3.region {
        variables.push(plain("AWS_REGION", region));
    }
    if !s3.path_style {
        variables.push(plain("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"));
    }
    variables.extend(keys(s3));
    variables
}

fn keys(s3: &S3Storage) -> Vec<EnvVar> {
    let Some(secret) = &s3.secret_ref else {
        return Vec::new();
    };
    let of_secret = |name: &str, key: &str| EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.name.clone(),
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    };
    vec![
        of_secret("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        of_secret("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    ]
}

/// Key of a store's Secret.
pub const ACCESS_KEY: &str = "accessKeyId";
/// Key of a store's Secret.
pub const SECRET_KEY: &str = "secretAccessKey";
