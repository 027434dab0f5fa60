//! Results that go ahead by librdkafka's producer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext, PurgeConfig};

use super::{Failure, OnTheWay, Sender, Sent};
use crate::shards::producer::{LARGEST_MESSAGE, ProducerError, send};
use tocsin_kafka::{ClusterSettings, NewRecords, TokenLogin, client_config};

/// Hears what became of results.
struct Deliveries {
    login: TokenLogin,
    on_the_way: OnTheWay,
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.login.answer()
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Arc<Sent>) {
        let record = match result {
            Ok(record) => record,
            Err((error, record)) => {
                sent.fail(failure(record.topic(), error.clone().into()));
                record
            }
        };
        let bytes = record.payload().map_or(0, <[u8]>::len) as u64;
        self.on_the_way.arrived(&sent, 1, bytes);
    }
}

fn failure(topic: &str, error: ProducerError) -> Failure {
    Failure {
        refused_by: error.is_never_taken().then(|| topic.to_owned()),
        error,
    }
}

/// A producer of librdkafka without transactions.
pub struct LibrdkafkaSender(BaseProducer<Deliveries>);

impl LibrdkafkaSender {
    pub fn begin(settings: &ClusterSettings, on_the_way: OnTheWay) -> Result<Self, ProducerError> {
        let deliveries = Deliveries {
            login: settings.token_login(),
            on_the_way,
        };
        let mut config = client_config(settings);
        config
            .set("enable.idempotence", "true")
            // A broker that is away is waited for; what is lost with its shard is given up by hand.
            .set("message.timeout.ms", "0")
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "100")
            .set("linger.ms", "1")
            .set("message.max.bytes", LARGEST_MESSAGE)
            .set("compression.type", "lz4")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("partitioner", "murmur2_random");
        Ok(Self(config.create_with_context(deliveries)?))
    }
}

impl Sender for LibrdkafkaSender {
    fn send(&self, results: NewRecords, sent: &Arc<Sent>) {
        for result in results.iter() {
            if let Err((topic, error)) = send(&self.0, result, Arc::clone(sent)) {
                sent.fail(failure(&topic, error.into()));
                let bytes = result.value.len() as u64;
                self.0.context().on_the_way.arrived(sent, 1, bytes);
            }
        }
    }

    fn listen(&self) {
        self.0.poll(Duration::ZERO);
    }

    fn give_up(&self) {
        self.0.purge(PurgeConfig::default().queue().inflight());
    }
}
