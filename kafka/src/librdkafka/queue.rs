//! What a consumer of librdkafka has to say, with the place that each event is about.
//!
//! The crate around librdkafka keeps the place of an error and of a partition's end to itself, and without it nobody knows how
//! far the log was read over transaction markers. So the consumer's queue is read here, through librdkafka's own calls.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as raw;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use tocsin_worker_core::kafka::Unpacked;

/// A partition, as librdkafka names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
    /// Where: of an end the offset behind the last record.
    pub offset: i64,
}

/// Something that the consumer says.
pub enum Said<'a> {
    /// A record, and the reign in which it was written.
    Record {
        topic: &'a str,
        partition: i32,
        record: Unpacked<'a>,
        epoch: i32,
    },
    /// A partition is read to its end.
    End(Place),
    /// Something went wrong, perhaps with a partition.
    Error {
        place: Option<Place>,
        code: RDKafkaErrorCode,
        text: String,
    },
    /// A token is wanted.
    Token,
}

/// The queue of a consumer. Nothing else may poll that.
pub struct Queue<C: ConsumerContext + 'static> {
    // Dropped in this order: the queue is the consumer's.
    queue: QueuePointer,
    consumer: Arc<BaseConsumer<C>>,
}

struct QueuePointer(*mut raw::rd_kafka_queue_t);

// SAFETY: librdkafka's queues have locks of their own; every call on them is allowed from any thread.
unsafe impl Send for QueuePointer {}
// SAFETY: as above.
unsafe impl Sync for QueuePointer {}

impl Drop for QueuePointer {
    fn drop(&mut self) {
        // SAFETY: the reference that `Queue::of` got is given back, once.
        unsafe { raw::rd_kafka_queue_destroy(self.0) }
    }
}

/// An event, given back when it is done with.
struct Event(*mut raw::rd_kafka_event_t);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is ours, and nobody refers to it any more.
        unsafe { raw::rd_kafka_event_destroy(self.0) }
    }
}

impl<C: ConsumerContext + 'static> Queue<C> {
    /// The queue of a consumer, which has a group's name.
    pub fn of(consumer: Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the consumer lives as long as the queue, which holds it.
        let queue = unsafe { raw::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        (!queue.is_null()).then(|| Self {
            queue: QueuePointer(queue),
            consumer,
        })
    }

    /// Ends the wait of [`Queue::poll`] that is under way, or else of the next.
    pub fn wake(&self) {
        // SAFETY: the queue is there as long as `self`.
        unsafe { raw::rd_kafka_queue_yield(self.queue.0) }
    }

    /// Waits for the next event, and gives out what it says. False if there was none.
    pub fn poll(&self, wait: Duration, mut say: impl FnMut(Said<'_>)) -> bool {
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is there as long as `self`.
        let event = unsafe { raw::rd_kafka_queue_poll(self.queue.0, millis) };
        if event.is_null() {
            return false;
        }
        let event = Event(event);
        // SAFETY: the event is one.
        match unsafe { raw::rd_kafka_event_type(event.0) } {
            raw::RD_KAFKA_EVENT_FETCH => records(&event, &mut say),
            raw::RD_KAFKA_EVENT_ERROR => say(error(&event)),
            raw::RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => say(Said::Token),
            // What the log and the statistics say nobody asked for.
            _ => {}
        }
        true
    }

    /// Hands over a token, or why there is none.
    pub fn answer_token(&self) {
        let token = self.consumer.context().generate_oauth_token(None);
        let client = self.consumer.client().native_ptr();
        let mut why = [0 as c_char; 512];
        let refused = match token {
            Ok(token) => {
                let texts = std::ffi::CString::new(token.token)
                    .and_then(|text| std::ffi::CString::new(token.principal_name).map(|name| (text, name)));
                match texts {
                    Ok((text, name)) => {
                        // SAFETY: all pointers are to texts that end with a zero, and outlive the call.
                        let code = unsafe {
                            raw::rd_kafka_oauthbearer_set_token(
                                client,
                                text.as_ptr(),
                                token.lifetime_ms,
                                name.as_ptr(),
                                ptr::null_mut(),
                                0,
                                why.as_mut_ptr(),
                                why.len(),
                            )
                        };
                        // SAFETY: librdkafka ends what it writes there with a zero; without it stands one from the start.
                        let said = unsafe { CStr::from_ptr(why.as_ptr()) };
                        (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
                            .then(|| said.to_string_lossy().into_owned())
                    }
                    Err(_) => Some("the token has a zero in it".to_owned()),
                }
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(Ok(why)) = refused.map(std::ffi::CString::new) {
            // SAFETY: a text that ends with a zero, and outlives the call.
            unsafe { raw::rd_kafka_oauthbearer_set_token_failure(client, why.as_ptr()) };
        }
    }
}

fn records(event: &Event, say: &mut impl FnMut(Said<'_>)) {
    loop {
        // SAFETY: the event is one of records; what it gives lives as long as it.
        let Some(message) = (unsafe { raw::rd_kafka_event_message_next(event.0).as_ref() }) else {
            return;
        };
        // SAFETY: a record has a topic, whose name lives as long as the record.
        let topic = unsafe { CStr::from_ptr(raw::rd_kafka_topic_name(message.rkt)) };
        let topic = topic.to_string_lossy();
        let mut kind = raw::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: both pointers are good for the call.
        let timestamp = unsafe { raw::rd_kafka_message_timestamp(message, &mut kind) };
        // SAFETY: the record is there.
        let epoch = unsafe { raw::rd_kafka_message_leader_epoch(message) };
        // SAFETY: key and value have the lengths that stand beside them, and live as long as the record.
        let (key, value) = unsafe { (part(message.key, message.key_len), part(message.payload, message.len)) };
        say(Said::Record {
            topic: &topic,
            partition: message.partition,
            record: Unpacked {
                offset: message.offset,
                timestamp,
                key,
                value,
                headers: &headers(message),
            },
            epoch,
        });
    }
}

/// # Safety
/// The pointer is nobody's, or of so many bytes that live as long as `'a`.
unsafe fn part<'a>(bytes: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller says.
    (!bytes.is_null()).then(|| unsafe { slice::from_raw_parts(bytes.cast(), length) })
}

fn headers(message: &raw::rd_kafka_message_t) -> Vec<(&[u8], Option<&[u8]>)> {
    let mut found = Vec::new();
    let mut headers = ptr::null_mut();
    // SAFETY: the record is there, and keeps its headers.
    let code = unsafe { raw::rd_kafka_message_headers(message, &mut headers) };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return found;
    }
    loop {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the pointers are good for the call; behind the last header it answers with an error.
        let code = unsafe { raw::rd_kafka_header_get_all(headers, found.len(), &mut name, &mut value, &mut length) };
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return found;
        }
        // SAFETY: a name ends with a zero; a value has its length; both live as long as the record.
        found.push(unsafe { (CStr::from_ptr(name).to_bytes(), part(value, length)) });
    }
}

fn error(event: &Event) -> Said<'static> {
    // SAFETY: the event is an error, with a text that ends with a zero.
    let (code, text) = unsafe {
        let text = raw::rd_kafka_event_error_string(event.0);
        let text = if text.is_null() {
            String::new()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        };
        (raw::rd_kafka_event_error(event.0), text)
    };
    // SAFETY: what it gives is ours, if it gives anything, and is given back behind the copy.
    let place = unsafe {
        let pointer = raw::rd_kafka_event_topic_partition(event.0);
        pointer.as_ref().map(|found| {
            let place = Place {
                topic: CStr::from_ptr(found.topic).to_string_lossy().into_owned(),
                partition: found.partition,
                offset: found.offset,
            };
            raw::rd_kafka_topic_partition_destroy(pointer);
            place
        })
    };
    match (place, code) {
        (Some(place), RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF) => Said::End(place),
        (place, code) => Said::Error {
            place,
            code: code.into(),
            text,
        },
    }
}

/// Sets the epoch in which the last record before the position of a list's last partition was written.
pub fn set_epoch(list: &TopicPartitionList, epoch: i32) {
    let Some(last) = list.count().checked_sub(1) else {
        return;
    };
    // SAFETY: the list has that many partitions, and lives as long as the call.
    unsafe {
        let elements = (*list.ptr()).elems;
        raw::rd_kafka_topic_partition_set_leader_epoch(elements.add(last), epoch);
    }
}
