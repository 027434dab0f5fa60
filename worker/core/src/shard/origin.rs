//! Where a record came from that could not be taken.

use crate::engine::DeadLetter;
use crate::kafka::Block;

/// Key and headers of a record that could not be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// Names and values of the headers.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Origin {
    pub(super) fn of(letter: &DeadLetter, block: &Block<'_>) -> Self {
        let offset = letter.offset;
        if let Ok(i) = block.records.spans.binary_search_by_key(&offset, |span| span.offset) {
            let record = block.record(i);
            return Self {
                key: record.key.map(<[u8]>::to_vec),
                headers: record.owned_headers(),
            };
        }
        let unread = block.unread.iter().find(|unread| unread.offset as u64 == offset);
        Self {
            key: unread.and_then(|unread| unread.key.clone()),
            headers: unread.map(|unread| unread.headers.clone()).unwrap_or_default(),
        }
    }
}
