//! Traces by OpenTelemetry: spans of transactions, recoveries and snapshots, never of records.
//!
//! Off unless `--otlp` or one of OpenTelemetry's own variables names a collector. The SDK reads its other variables too:
//! `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS`.

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use crate::failure::Failure;

/// Either names a collector.
const VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Where a collector takes traces, behind its address.
const PATH: &str = "/v1/traces";

/// Traces while they are made. What is still to be sent is sent when it is dropped.
pub struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that is away is told of nothing.
        self.0.shutdown().ok();
    }
}

/// A layer that makes traces, and what ends them.
type Tracing<S> = (Box<dyn Layer<S> + Send + Sync>, Traces);

/// A layer that makes traces, if somebody takes them.
pub fn begin<S>(otlp: Option<&str>, pipeline: &str, worker: &str) -> Result<Option<Tracing<S>>, Failure>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let named = |variable: &&str| std::env::var(variable).is_ok_and(|value| !value.is_empty());
    if otlp.is_none() && !VARIABLES.iter().any(named) {
        return Ok(None);
    }
    let mut exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    if let Some(address) = otlp {
        exporter = exporter.with_endpoint(format!("{}{PATH}", address.trim_end_matches('/')));
    }
    let exporter = exporter.build().map_err(|error| {
        let given = if otlp.is_some() { "--otlp" } else { VARIABLES[1] };
        Failure::Usage(format!("{given}: {error}"))
    })?;
    let attributes = [("tocsin.pipeline", pipeline), ("tocsin.worker", worker)];
    let resource = Resource::builder()
        .with_service_name("tocsin")
        .with_attributes(attributes.map(|(name, value)| KeyValue::new(name, value.to_owned())))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("tocsin"))
        .with_filter(Targets::new().with_target("tocsin_worker", LevelFilter::INFO));
    Ok(Some((Box::new(layer), Traces(provider))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::Registry;

    #[test]
    fn there_are_none_unless_a_collector_is_named() {
        if VARIABLES.iter().all(|variable| std::env::var_os(variable).is_none()) {
            assert!(begin::<Registry>(None, "noc", "0").is_ok_and(|traces| traces.is_none()));
        }
        assert!(begin::<Registry>(Some("http://127.0.0.1:4318"), "noc", "0").is_ok_and(|traces| traces.is_some()));
    }
}
