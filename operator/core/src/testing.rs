//! Pipelines for tests, as users write them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use tocsin_contract::document;
use tocsin_contract::problem::Problem;

use crate::pipeline::{Pipeline, PipelineId, Settings};
use crate::validate::{Subject, validate};

/// The beginning of a pipeline: a source `alerts`. What follows are further fields of the spec.
pub const HEAD: &str = "
apiVersion: tocsin.dev/v1alpha1
kind: IncidentPipeline
metadata: {name: noc}
spec:
  sources:
  - {name: alerts, kafka: {topic: incident_alerts}, format: {type: Json}, eventTime: {field: ts, unit: Milliseconds}}
";

/// The pipeline `ops/noc` of this text, or what is wrong with it.
pub fn validated(yaml: &str) -> Result<Pipeline, Vec<Problem>> {
    let parsed = document::parse_pipeline(yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    let subject = Subject {
        id: id(),
        generation: 3,
        spec: parsed.spec,
    };
    validate(subject, &BTreeMap::new(), None)
}

/// The pipeline of this text, which can be built.
pub fn pipeline(yaml: &str) -> Pipeline {
    validated(yaml).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Which pipeline it is.
pub fn id() -> PipelineId {
    PipelineId {
        namespace: "ops".to_owned(),
        name: "noc".to_owned(),
        uid: "5c0e7a8e-0000-4000-8000-000000000001".to_owned(),
    }
}

/// Settings of the operator.
pub fn settings() -> Settings {
    Settings {
        worker_image: "tocsin-worker:1".to_owned(),
        kafka_image: "apache/kafka:4.1.1".to_owned(),
        namespace: "tocsin-system".to_owned(),
    }
}
