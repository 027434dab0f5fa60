//! A consumer of librdkafka that partitions are given to by hand.

use std::error::Error;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;

use super::client_config;
use crate::cluster::Cluster;
use crate::fetcher::FetcherSettings;
use crate::tokens::TokenLogin;

/// The largest answer that is taken.
const LARGEST_ANSWER: &str = "1000000000";

/// Says nothing of itself: events are read from the queue.
pub struct Quiet {
    pub login: TokenLogin,
}

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }

    fn error(&self, _: ClientError, _: &str) {}
}

impl ConsumerContext for Quiet {}

/// A consumer that reads so, of nothing yet.
pub fn consumer(cluster: &Cluster, settings: &FetcherSettings) -> Result<BaseConsumer<Quiet>, ClientError> {
    let isolation = if settings.committed {
        "read_committed"
    } else {
        "read_uncommitted"
    };
    let mut config = client_config(cluster.settings());
    config
        // It is never joined, but partitions cannot be given out without a name.
        .set("group.id", &cluster.settings().client_id)
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("check.crcs", "true")
        .set("fetch.min.bytes", settings.min_bytes.to_string())
        .set("fetch.wait.max.ms", settings.max_wait.as_millis().to_string())
        .set("fetch.max.bytes", settings.max_bytes.to_string())
        .set("fetch.message.max.bytes", settings.partition_bytes.to_string())
        .set("receive.message.max.bytes", LARGEST_ANSWER)
        .set("message.max.bytes", settings.max_bytes.to_string())
        .set("queued.min.messages", "100000")
        .set(
            "queued.max.messages.kbytes",
            (settings.reading.buffered >> 10).max(1).to_string(),
        )
        .set("fetch.error.backoff.ms", settings.reading.backoff.to_string())
        .set(
            "socket.timeout.ms",
            cluster.settings().request_timeout.as_millis().to_string(),
        )
        .set("reconnect.backoff.max.ms", "500");
    config.create_with_context(Quiet {
        login: cluster.settings().token_login(),
    })
}
