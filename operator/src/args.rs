//! What the operator is started with.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tocsin_contract::ports;

/// Keeps a Kubernetes cluster as the IncidentPipelines in it ask.
#[derive(Clone, Debug, Parser)]
#[command(name = "tocsin-operator", version, max_term_width = 120)]
pub struct Args {
    /// A namespace that is looked after; may be repeated. By default all
    #[arg(
        long = "watch-namespace",
        value_name = "NAME",
        env = "WATCH_NAMESPACES",
        value_delimiter = ','
    )]
    pub watch_namespaces: Vec<String>,
    /// Only pipelines, snapshots, rule sets and models with these labels are looked after
    #[arg(long, value_name = "SELECTOR", env = "WATCH_SELECTOR")]
    pub selector: Option<String>,
    /// The operator's own namespace: its lease and its keys are there
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "tocsin-system")]
    pub namespace: String,
    /// The operator's own name, different from that of all others
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,
    /// Image of workers whose pipeline names none
    #[arg(long, value_name = "IMAGE", env = "WORKER_IMAGE")]
    pub worker_image: String,
    /// Image of the nodes of a Kafka that the operator runs; a version in the spec stands in the place of its tag
    #[arg(
        long,
        value_name = "IMAGE",
        env = "KAFKA_IMAGE",
        default_value = "apache/kafka:4.1.1"
    )]
    pub kafka_image: String,
    /// How many objects are worked on at a time
    #[arg(long, value_name = "N", default_value = "16")]
    pub concurrency: NonZeroUsize,
    /// So often everything is listed and looked at anew though nothing was heard of it, such as 2m
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub resync: Duration,
    /// How long the lease lasts by which one of several operators leads
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How often its holder renews it
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub lease_renewal: Duration,
    /// The longest that a request to the API server may take
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub request_timeout: Duration,
    /// Where probes and metrics are served
    #[arg(long, value_name = "HOST:PORT", default_value_t = SocketAddr::from(([0, 0, 0, 0], ports::OPERATOR)))]
    pub listen: SocketAddr,
    /// Where the admission webhook listens
    #[arg(long, value_name = "HOST:PORT", default_value_t = SocketAddr::from(([0, 0, 0, 0], ports::WEBHOOK)))]
    pub listen_webhook: SocketAddr,
    /// Name of the webhook's service, and of its two configurations. Without, there is no webhook
    #[arg(long, value_name = "NAME")]
    pub webhook_name: Option<String>,
    /// The least important lines that are logged: error, warn, info, debug, trace, or a filter such as tocsin_operator=debug
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Shape of a line of the log
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// Shape of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// A time such as `15s` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration: tocsin_contract::duration::Duration = text
        .parse()
        .map_err(|error: tocsin_contract::duration::InvalidDuration| error.to_string())?;
    let micros = u64::try_from(duration.as_micros()).unwrap_or_default();
    if micros == 0 {
        return Err("must be more than nothing".to_owned());
    }
    Ok(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn times_are_read_as_users_write_them() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert!(duration("0s").is_err() && duration("soon").is_err());
    }
}
