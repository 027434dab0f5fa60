//! A real API server takes and refuses what the schemas say, in the words of the rules.
//!
//! The cases are those by which `contract/` tests its schemas and their rules itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde::Deserialize;
use serde_json::Value as Json;
use tocsin_e2e::kubernetes::Client;
use tocsin_e2e::{Controllers, Kubernetes, User};

/// A file, and what the API server says of it: nothing if it takes it.
#[derive(Deserialize)]
struct Case {
    says: Option<String>,
    before: Option<String>,
    object: String,
}

fn read(text: &str) -> Json {
    serde_yaml_ng::from_str(text).unwrap()
}

/// Where objects of this kind are, and how strictly unknown fields are seen to.
fn path(object: &Json) -> String {
    let plural = match object["kind"].as_str().unwrap() {
        "OpenStackIdentity" => return "/apis/tocsin.dev/v1alpha1/openstackidentities".to_owned(),
        "IncidentPipeline" => "incidentpipelines",
        "PipelineSnapshot" => "pipelinesnapshots",
        "IncidentRuleSet" => "incidentrulesets",
        _ => "incidentmodels",
    };
    format!("/apis/tocsin.dev/v1alpha1/namespaces/default/{plural}")
}

/// What the API server says of the object, if it refuses it. Nothing is stored.
fn refused(client: &Client, case: &Case) -> Option<String> {
    let how = "dryRun=All&fieldValidation=Strict";
    let mut object = read(&case.object);
    let collection = path(&object);
    let Some(before) = &case.before else {
        let (status, answer) = client
            .send(
                "POST",
                &format!("{collection}?{how}"),
                Some(("application/json", &object)),
            )
            .unwrap();
        return (status != 201).then(|| answer["message"].as_str().unwrap_or_default().to_owned());
    };
    let stored = client.create(&collection, &read(before)).unwrap();
    let one = format!("{collection}/{}", stored["metadata"]["name"].as_str().unwrap());
    object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
    let (status, answer) = client
        .send("PUT", &format!("{one}?{how}"), Some(("application/json", &object)))
        .unwrap();
    client.delete(&one).unwrap();
    (status != 200).then(|| answer["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn an_api_server_takes_and_refuses_what_the_schemas_say() {
    let kubernetes = Kubernetes::start(Controllers::None).unwrap();
    kubernetes.apply_crds().unwrap();
    let client = kubernetes.client(User::Admin).unwrap();
    let cases: Vec<Case> = serde_yaml_ng::from_str(include_str!("schemas.yaml")).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        match (refused(&client, case), &case.says) {
            (None, None) => {}
            (Some(refusal), Some(says)) if refusal.contains(says.as_str()) => {}
            (found, expected) => wrong.push(format!("{}\nexpected: {expected:?}\nfound: {found:?}", case.object)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n---\n")
    );
    let refused = cases.iter().filter(|case| case.says.is_some()).count();
    assert!(
        refused >= 60 && cases.len() - refused >= 60,
        "{refused} of {} cases are refused",
        cases.len()
    );
}
