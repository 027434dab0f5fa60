//! The part of a pod template that a user lays over the operator's own.
//!
//! A pod is made with the operator's rights, so a template must not reach further than its author: no other account, no
//! path, network or process of the machine, no privileges. Everything else is the author's affair.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use serde_json::{Map, Value};
use tocsin_contract::labels;
use tocsin_contract::problem::Problem;

use crate::names::WORKER_CONTAINER;

/// Where the template stands.
const PATH: &str = "spec.workers.podTemplate";

/// Where the operator's own volumes are mounted.
const OWN_FOLDERS: [&str; 2] = ["/etc/tocsin", "/var/lib/tocsin"];

/// Volumes of the operator's own, and those whose names begin with `secret-`.
const OWN_VOLUMES: [&str; 6] = ["admin", "live", "pipeline", "rules", "state", "tmp"];

/// Labels by which the workers are found.
const OWN_LABELS: [&str; 5] = [
    labels::NAME,
    labels::INSTANCE,
    labels::COMPONENT,
    labels::PIPELINE,
    labels::PIPELINE_UID,
];

/// Reads a template.
///
/// # Errors
/// Fields that no pod template has, values of another type, and what it must not have.
pub fn parse(template: &Map<String, Value>) -> Result<PodTemplateSpec, Vec<Problem>> {
    if template.is_empty() {
        return Ok(PodTemplateSpec::default());
    }
    let mut given = Value::Object(template.clone());
    name_containers(&mut given);
    let parsed: PodTemplateSpec = serde_json::from_value(given.clone())
        .map_err(|error| vec![Problem::new(PATH, format!("is not a pod template: {error}"))])?;
    let mut problems = Vec::new();
    // Types of the API pass over fields that they do not know; a user would never hear of the slip.
    let known = serde_json::to_value(&parsed).unwrap_or_default();
    unknown_fields(&given, &known, PATH, &mut problems);
    let labels = parsed.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    for label in labels
        .into_iter()
        .flatten()
        .map(|(label, _)| label)
        .filter(|label| OWN_LABELS.contains(&label.as_str()))
    {
        let why = "must not be given: by it the workers are found";
        problems.push(Problem::new(format!("{PATH}.metadata.labels[{label}]"), why));
    }
    if let Some(spec) = &parsed.spec {
        refuse(spec, &mut problems);
    }
    if problems.is_empty() { Ok(parsed) } else { Err(problems) }
}

/// A template with one container that has no name speaks of the worker's.
fn name_containers(template: &mut Value) {
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    if let Some([Value::Object(only)]) = containers.map(Vec::as_mut_slice) {
        only.entry("name").or_insert_with(|| WORKER_CONTAINER.into());
    }
    // The type asks for containers, and a template that is laid over another need not have any.
    if let Some(Value::Object(spec)) = template.get_mut("spec") {
        spec.entry("containers").or_insert_with(|| Value::Array(Vec::new()));
    }
}

fn unknown_fields(given: &Value, known: &Value, path: &str, problems: &mut Vec<Problem>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (name, value) in given {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(known) => unknown_fields(value, known, &path, problems),
                    None if value.is_null() => {}
                    None => problems.push(Problem::new(path, "is no field of a pod template")),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (at, (given, known)) in given.iter().zip(known).enumerate() {
                let name = given.get("name").and_then(Value::as_str);
                let path = name.map_or_else(|| format!("{path}[{at}]"), |name| format!("{path}[{name}]"));
                unknown_fields(given, known, &path, problems);
            }
        }
        _ => {}
    }
}

fn refuse(spec: &PodSpec, problems: &mut Vec<Problem>) {
    let mut refuse = |given: bool, field: &str, why: &str| {
        if given {
            problems.push(Problem::new(
                format!("{PATH}.spec.{field}"),
                format!("must not be given: {why}"),
            ));
        }
    };
    let account = "workers have an account of their own, without rights";
    refuse(spec.service_account_name.is_some(), "serviceAccountName", account);
    refuse(spec.service_account.is_some(), "serviceAccount", account);
    refuse(
        spec.automount_service_account_token.is_some(),
        "automountServiceAccountToken",
        account,
    );
    let machine = "a pipeline must not reach into the machine";
    refuse(spec.host_network == Some(true), "hostNetwork", machine);
    refuse(spec.host_pid == Some(true), "hostPID", machine);
    refuse(spec.host_ipc == Some(true), "hostIPC", machine);
    refuse(
        spec.node_name.is_some(),
        "nodeName",
        "it goes around the scheduler; use nodeSelector or affinity",
    );
    refuse(
        spec.restart_policy.is_some(),
        "restartPolicy",
        "a StatefulSet has Always",
    );
    let root = "workers do not run as root";
    let pod = spec.security_context.as_ref();
    let as_root = pod.is_some_and(|pod| pod.run_as_user == Some(0) || pod.run_as_non_root == Some(false));
    refuse(as_root, "securityContext", root);
    for volume in spec.volumes.iter().flatten() {
        let path = format!("volumes[{}]", volume.name);
        let is_own = OWN_VOLUMES.contains(&volume.name.as_str()) || volume.name.starts_with("secret-");
        refuse(is_own, &path, "the operator has a volume of that name");
        refuse(volume.host_path.is_some(), &format!("{path}.hostPath"), machine);
        let projected = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        let has_token = projected
            .into_iter()
            .any(|source| source.service_account_token.is_some());
        refuse(has_token, &format!("{path}.projected"), account);
    }
    let lists = [
        ("containers", Some(&spec.containers)),
        ("initContainers", spec.init_containers.as_ref()),
    ];
    for (list, containers) in lists {
        for container in containers.into_iter().flatten() {
            refuse_container(container, &format!("{list}[{}]", container.name), &mut refuse);
        }
    }
    let debug = spec.ephemeral_containers.is_some();
    refuse(
        debug,
        "ephemeralContainers",
        "they are added to a pod that runs, by `kubectl debug`",
    );
}

fn refuse_container(container: &Container, path: &str, refuse: &mut impl FnMut(bool, &str, &str)) {
    if let Some(context) = &container.security_context {
        let path = format!("{path}.securityContext");
        let privileges = "a pipeline has no privileges";
        refuse(
            context.privileged == Some(true),
            &format!("{path}.privileged"),
            privileges,
        );
        let escalates = context.allow_privilege_escalation == Some(true);
        refuse(escalates, &format!("{path}.allowPrivilegeEscalation"), privileges);
        let as_root = context.run_as_user == Some(0) || context.run_as_non_root == Some(false);
        refuse(as_root, &format!("{path}.runAsUser"), "workers do not run as root");
        let adds = context
            .capabilities
            .as_ref()
            .is_some_and(|capabilities| capabilities.add.is_some());
        refuse(adds, &format!("{path}.capabilities.add"), privileges);
    }
    if container.name == WORKER_CONTAINER {
        let ours = "the operator sets it; use `workers.image`, and the other fields of the spec";
        refuse(container.image.is_some(), &format!("{path}.image"), ours);
        refuse(container.args.is_some(), &format!("{path}.args"), ours);
        refuse(container.command.is_some(), &format!("{path}.command"), ours);
        let mut mounts = container.volume_mounts.iter().flatten();
        let hides = mounts.any(|mount| OWN_FOLDERS.iter().any(|folder| mount.mount_path.starts_with(folder)));
        refuse(
            hides,
            &format!("{path}.volumeMounts"),
            "the operator mounts /etc/tocsin and /var/lib/tocsin",
        );
    }
    let host_ports = container.ports.iter().flatten().any(|port| port.host_port.is_some());
    refuse(
        host_ports,
        &format!("{path}.ports"),
        "a pipeline must not take a port of the machine",
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use expect_test::{Expect, expect};

    fn check(yaml: &str, expected: &Expect) {
        let template: Map<String, Value> = serde_yaml_ng::from_str(yaml).unwrap();
        let told = match parse(&template) {
            Ok(template) => format!("ok: {}", serde_json::to_value(template).unwrap()),
            Err(problems) => problems.iter().map(|problem| format!("{problem}\n")).collect(),
        };
        expected.assert_eq(told.trim_end());
    }

    #[test]
    fn one_container_without_a_name_is_the_workers() {
        check(
            "spec: {containers: [{env: [{name: A, value: b}]}]}",
            &expect![[r#"ok: {"spec":{"containers":[{"env":[{"name":"A","value":"b"}],"name":"worker"}]}}"#]],
        );
        check(
            "metadata: {labels: {team: noc}}",
            &expect![[r#"ok: {"metadata":{"labels":{"team":"noc"}}}"#]],
        );
        check(
            "spec: {nodeSelector: {disk: ssd}}",
            &expect![[r#"ok: {"spec":{"containers":[],"nodeSelector":{"disk":"ssd"}}}"#]],
        );
    }

    #[test]
    fn a_field_that_no_pod_has_is_named() {
        check(
            "spec: {tolerance: [], containers: [{name: worker, envs: []}]}",
            &expect![[r#"
                spec.workers.podTemplate.spec.tolerance: is no field of a pod template
                spec.workers.podTemplate.spec.containers[worker].envs: is no field of a pod template"#]],
        );
        check(
            "spec: {tolerations: yes please}",
            &expect![[
                r#"spec.workers.podTemplate: is not a pod template: invalid type: string "yes please", expected a sequence"#
            ]],
        );
    }

    #[test]
    fn a_template_reaches_no_further_than_its_author() {
        check(
            "spec:
  serviceAccountName: admin
  hostNetwork: true
  volumes: [{name: root, hostPath: {path: /}}]
  containers:
  - name: worker
    image: other
    securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN]}}
  - {name: side, image: side, ports: [{containerPort: 1, hostPort: 1}]}
",
            &expect![[r#"
                spec.workers.podTemplate.spec.serviceAccountName: must not be given: workers have an account of their own, without rights
                spec.workers.podTemplate.spec.hostNetwork: must not be given: a pipeline must not reach into the machine
                spec.workers.podTemplate.spec.volumes[root].hostPath: must not be given: a pipeline must not reach into the machine
                spec.workers.podTemplate.spec.containers[worker].securityContext.privileged: must not be given: a pipeline has no privileges
                spec.workers.podTemplate.spec.containers[worker].securityContext.capabilities.add: must not be given: a pipeline has no privileges
                spec.workers.podTemplate.spec.containers[worker].image: must not be given: the operator sets it; use `workers.image`, and the other fields of the spec
                spec.workers.podTemplate.spec.containers[side].ports: must not be given: a pipeline must not take a port of the machine"#]],
        );
    }
}
