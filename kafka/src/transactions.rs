//! Transactions that are open, and how one is ended that its producer has left behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{InitProducerIdRequest, ListTransactionsRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use tocsin_worker_core::kafka::error_code::CONCURRENT_TRANSACTIONS;

use super::cluster::Cluster;
use super::error::KafkaError;
use super::groups::CoordinatorOf;

/// ListTransactions.
const LIST_TRANSACTIONS: i16 = 0;
/// InitProducerId: newer versions let a producer say who it was before.
const INIT_PRODUCER_ID: i16 = 2;
/// State of a transaction that somebody has begun, and nobody ended.
const ONGOING: &str = "Ongoing";

/// Between two looks whether a transaction has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// For so long it is looked.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Ids of the producers whose transactions are open and whose ids begin like this. A broker that cannot be asked is left
    /// out: transactions that it coordinated go to others.
    ///
    /// # Errors
    /// If no broker can be asked.
    pub fn open_transactions(&mut self, prefix: &str) -> Result<BTreeSet<String>, KafkaError> {
        if self.other.is_some() {
            return Ok(BTreeSet::new());
        }
        let what = "ListTransactions";
        let request = ListTransactionsRequest::default().with_state_filters(vec![StrBytes::from_static_str(ONGOING)]);
        self.topics(&[])?;
        let mut found = BTreeSet::new();
        let mut failed = None;
        let mut asked = 0;
        for address in self.addresses() {
            let answer = self.connect(&address).and_then(|mut connection| {
                let response = connection.call(what, &request, LIST_TRANSACTIONS)?;
                connection.check(what, response.error_code)?;
                Ok(response.transaction_states)
            });
            match answer {
                Ok(open) => {
                    asked += 1;
                    let ids = open.into_iter().map(|open| open.transactional_id.0.to_string());
                    found.extend(ids.filter(|id| id.starts_with(prefix)));
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if asked == 0 => Err(error),
            _ => Ok(found),
        }
    }

    /// Ends the transaction that the producer of this id has left open, if it has, as a new producer with its id would; whoever
    /// has that id can commit nothing any more until it begins anew.
    ///
    /// # Errors
    /// If the coordinator does not answer, or refuses it, or does not end it in time.
    pub fn end_transaction(&mut self, id: &str, timeout: Duration) -> Result<(), KafkaError> {
        let what = "InitProducerId";
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(StrBytes::from_string(id.to_owned()))))
            .with_transaction_timeout_ms(timeout.as_millis() as i32);
        let mut connection = self.coordinator(CoordinatorOf::Transactions, id)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let response = connection.call(what, &request, INIT_PRODUCER_ID)?;
            // What was left open is being ended.
            if response.error_code != CONCURRENT_TRANSACTIONS || Instant::now() > until {
                return connection.check(what, response.error_code);
            }
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
    }
}
