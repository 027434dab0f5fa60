//! The Secrets that workers read, each as a folder of its own.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume, VolumeMount};
use tocsin_contract::names;
use tocsin_contract::pipeline::IncidentPipelineSpec;
use tocsin_contract::pipeline::kafka::{KafkaSasl, KafkaTls};
use tocsin_contract::pipeline::sink::SecretKeyRef;

/// Where Secrets are mounted: `FOLDER/name/key`.
pub const FOLDER: &str = "/etc/tocsin/secrets";

/// Secrets by name, each with the keys of it that are read.
pub type SecretKeys = BTreeMap<String, BTreeSet<String>>;

/// The Secrets that workers read: those of Kafka and those of the sinks.
pub fn read_by_workers(spec: &IncidentPipelineSpec, tls: Option<&KafkaTls>, sasl: Option<&KafkaSasl>) -> SecretKeys {
    let mut keys = SecretKeys::new();
    let mut read = |name: &str, key: &str| {
        keys.entry(name.to_owned()).or_default().insert(key.to_owned());
    };
    if let Some(tls) = tls {
        if let Some(at) = &tls.ca_secret_ref {
            read(&at.name, &at.key);
        }
        if let Some(at) = &tls.certificate_secret_ref {
            read(&at.name, "tls.crt");
            read(&at.name, "tls.key");
        }
    }
    let of_sinks = spec.sinks.iter().filter_map(|sink| sink.webhook.as_ref());
    let of_sinks = of_sinks.flat_map(|webhook| [Some(&webhook.url_secret_ref), webhook.token_secret_ref.as_ref()]);
    let password = sasl.map(|sasl| &sasl.password_secret_ref);
    for SecretKeyRef { name, key } in of_sinks.flatten().chain(password) {
        read(name, key);
    }
    keys
}

/// A volume and its mount for each Secret; only the keys that are read are in it.
pub fn volumes(keys: &SecretKeys) -> Vec<(Volume, VolumeMount)> {
    let one = |(name, keys): (&String, &BTreeSet<String>)| {
        // A Secret's name may have dots and 253 signs; a volume's is a label.
        let volume_name = names::label(&format!("secret-{name}"));
        let item = |key: &String| KeyToPath {
            key: key.clone(),
            path: key.clone(),
            mode: None,
        };
        let volume = Volume {
            name: volume_name.clone(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.clone()),
                default_mode: Some(READ_BY_GROUP),
                items: Some(keys.iter().map(item).collect()),
                optional: None,
            }),
            ..Volume::default()
        };
        let mount = VolumeMount {
            name: volume_name,
            mount_path: format!("{FOLDER}/{name}"),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        (volume, mount)
    };
    keys.iter().map(one).collect()
}

/// Files that the worker's group may read, and nobody else.
pub const READ_BY_GROUP: i32 = 0o440;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_keys_that_are_read_are_mounted() {
        let mut spec = IncidentPipelineSpec::default();
        let key_of = |name: &str, key: &str| SecretKeyRef {
            name: name.to_owned(),
            key: key.to_owned(),
        };
        spec.sinks = vec![tocsin_contract::pipeline::sink::Sink {
            webhook: Some(tocsin_contract::pipeline::sink::WebhookSink {
                url_secret_ref: key_of("my.pager", "url"),
                token_secret_ref: Some(key_of("my.pager", "token")),
                ..Default::default()
            }),
            ..Default::default()
        }];
        let tls = KafkaTls {
            ca_secret_ref: Some(key_of("kafka-ca", "ca.crt")),
            certificate_secret_ref: None,
        };
        let keys = read_by_workers(&spec, Some(&tls), None);
        let volumes = volumes(&keys);
        let mounted: Vec<_> = volumes
            .iter()
            .map(|(volume, mount)| {
                let items = volume.secret.as_ref().and_then(|secret| secret.items.as_ref());
                let items = items.into_iter().flatten().map(|item| item.key.as_str());
                (mount.mount_path.as_str(), items.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            mounted,
            [
                ("/etc/tocsin/secrets/kafka-ca", vec!["ca.crt"]),
                ("/etc/tocsin/secrets/my.pager", vec!["token", "url"]),
            ]
        );
        for (volume, mount) in &volumes {
            assert_eq!(volume.name, mount.name);
            assert!(!volume.name.contains('.'), "{}", volume.name);
        }
    }
}
