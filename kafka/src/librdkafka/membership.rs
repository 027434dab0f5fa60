//! What proves that a consumer of librdkafka is a member of its group, for those who commit offsets without librdkafka.
//!
//! The crate around librdkafka hands it on as a whole only, for librdkafka's own producers.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use rdkafka::bindings as raw;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use crate::Membership;

/// The membership of a consumer as it is now. Nothing if it is in no group.
pub fn membership<C: ConsumerContext + 'static>(consumer: &BaseConsumer<C>) -> Option<Membership> {
    // SAFETY: the consumer is one as long as it is borrowed.
    let metadata = unsafe { raw::rd_kafka_consumer_group_metadata(consumer.client().native_ptr()) };
    if metadata.is_null() {
        return None;
    }
    // SAFETY: the metadata is there, and so are its texts, until it is given back below.
    let membership = unsafe {
        Membership {
            group: text(raw::rd_kafka_consumer_group_metadata_group_id(metadata)).unwrap_or_default(),
            generation: raw::rd_kafka_consumer_group_metadata_generation_id(metadata),
            member: text(raw::rd_kafka_consumer_group_metadata_member_id(metadata)).unwrap_or_default(),
            instance: text(raw::rd_kafka_consumer_group_metadata_group_instance_id(metadata)),
        }
    };
    // SAFETY: it is ours, and nobody refers to it any more.
    unsafe { raw::rd_kafka_consumer_group_metadata_destroy(metadata) };
    Some(membership)
}

/// # Safety
/// The pointer is nobody's, or a text that ends with a zero.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
