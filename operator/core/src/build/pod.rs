//! The pod of a worker.

use std::collections::BTreeMap;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
    LocalObjectReference, ObjectFieldSelector, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tocsin_contract::labels::Component;
use tocsin_contract::pipeline::workers::{Resources, Workers};
use tocsin_contract::{ports, worker};

use super::{Run, arguments, restricted, secrets, spread, storage};
use crate::names::WORKER_CONTAINER;
use crate::pipeline::{Pipeline, Settings};

/// Where the pipeline's file is.
pub const PIPELINE_FOLDER: &str = "/etc/tocsin/pipeline";
/// Where the rule sets are.
pub const RULES_FOLDER: &str = "/etc/tocsin/rules";
/// Where is what a running worker takes up when it changes.
pub const LIVE_FOLDER: &str = "/etc/tocsin/live";
/// Where the worker's token and certificate are.
pub const ADMIN_FOLDER: &str = "/etc/tocsin/admin";

/// User and group that workers run as: the image's, of no meaning outside of it.
pub const USER: i64 = 10_001;

/// What a worker has to end in order: the records in hand, a last snapshot, and leaving its group.
const GRACE_SECONDS: i64 = 60;

/// The pod of a worker.
pub fn template(pipeline: &Pipeline, settings: &Settings, run: &Run) -> PodTemplateSpec {
    let (volumes, mounts) = volumes(pipeline, run).into_iter().unzip();
    let shares_a_machine = spread::shares_a_machine(&pipeline.spec.state.storage);
    let spec = PodSpec {
        service_account_name: Some(pipeline.names().workers()),
        automount_service_account_token: Some(false),
        // Services of the namespace are nothing to a worker, and their names would fill its environment.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(restricted::pod(USER)),
        image_pull_secrets: pull_secrets(&pipeline.spec.workers),
        affinity: shares_a_machine.then(|| spread::together(&pipeline.id.name)),
        topology_spread_constraints: (!shares_a_machine).then(|| spread::constraints(pipeline, Component::Workers)),
        containers: vec![container(pipeline, settings, run, mounts)],
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pipeline.labels(Component::Workers)),
            ..ObjectMeta::default()
        }),
        spec: Some(spec),
    };
    template.merge_from(pipeline.pod_template.clone());
    template
}

fn container(pipeline: &Pipeline, settings: &Settings, run: &Run, mounts: Vec<VolumeMount>) -> Container {
    let mut env = vec![EnvVar {
        name: arguments::POD_NAME.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.name".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }];
    env.extend(storage::environment(&pipeline.spec.state.storage));
    Container {
        name: WORKER_CONTAINER.to_owned(),
        image: Some(pipeline.image(settings).to_owned()),
        args: Some(arguments::of(pipeline, run)),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some(ports::ADMIN_NAME.to_owned()),
            container_port: i32::from(ports::ADMIN),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // Its last words are in the pod's status then.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        // A worker that restores a large state is alive and not ready, for as long as that takes.
        liveness_probe: Some(probe(worker::LIVEZ, 10, 6)),
        readiness_probe: Some(probe(worker::READYZ, 5, 2)),
        resources: Some(resources(&pipeline.spec.workers.resources)),
        security_context: Some(restricted::container()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ports::ADMIN_NAME.to_owned()),
            scheme: Some("HTTPS".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// What images are pulled with.
pub(super) fn pull_secrets(workers: &Workers) -> Option<Vec<LocalObjectReference>> {
    let secrets = workers.image_pull_secrets.iter();
    non_empty(secrets.map(|secret| LocalObjectReference {
        name: secret.name.clone(),
    }))
}

/// What a container asks for, and may have.
pub(super) fn resources(asked: &Resources) -> ResourceRequirements {
    let amounts = |amounts: &BTreeMap<String, tocsin_contract::quantity::Quantity>| {
        let amounts = amounts.iter();
        let amounts = amounts.map(|(name, amount)| (name.clone(), Quantity(amount.as_str().to_owned())));
        Some(amounts.collect::<BTreeMap<_, _>>()).filter(|amounts| !amounts.is_empty())
    };
    ResourceRequirements {
        requests: amounts(&asked.requests),
        limits: amounts(&asked.limits),
        claims: None,
    }
}

fn volumes(pipeline: &Pipeline, run: &Run) -> Vec<(Volume, VolumeMount)> {
    let names = pipeline.names();
    let config_map = |volume: &str, name: String, folder: &str| {
        let volume = Volume {
            name: volume.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name,
                default_mode: Some(secrets::READ_BY_GROUP),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        };
        mounted(volume, folder, true)
    };
    let admin = Volume {
        name: "admin".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names.admin()),
            default_mode: Some(secrets::READ_BY_GROUP),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let temporary = Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![
        config_map("pipeline", names.config(&run.revision.name), PIPELINE_FOLDER),
        config_map("live", names.live(), LIVE_FOLDER),
        mounted(admin, ADMIN_FOLDER, true),
        // Kerberos keeps tickets in files.
        mounted(temporary, "/tmp", false),
    ];
    if !run.rules.name.is_empty() {
        volumes.push(config_map("rules", names.rules(&run.rules.name), RULES_FOLDER));
    }
    if pipeline.spec.state.storage.volume.is_some() {
        let state = Volume {
            name: "state".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names.state(),
                read_only: None,
            }),
            ..Volume::default()
        };
        volumes.push(mounted(state, storage::FOLDER, false));
    }
    let kafka = &pipeline.kafka;
    let keys = secrets::read_by_workers(&pipeline.spec, kafka.tls.as_ref(), kafka.sasl.as_ref());
    volumes.extend(secrets::volumes(&keys));
    volumes
}

fn mounted(volume: Volume, folder: &str, is_read_only: bool) -> (Volume, VolumeMount) {
    let mount = VolumeMount {
        name: volume.name.clone(),
        mount_path: folder.to_owned(),
        read_only: is_read_only.then_some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn non_empty<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}
