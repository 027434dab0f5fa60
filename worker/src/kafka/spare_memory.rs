//! Memory of answers, used again: of fresh memory the kernel clears each page first, which takes as long as reading into it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

/// Smaller answers get memory of their own.
const LEAST: usize = 64 << 10;

/// Sizes of memory are multiples of this, so that an answer's fits one that is a little larger. Pages that are not reached are
/// not there.
const STEP: usize = 1 << 20;

/// The most bytes that are kept.
const MOST: usize = 32 << 20;

/// Nothing is kept when no large answer came for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory that answers leave behind when the last part of them is dropped; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SpareMemory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    spare: Vec<Vec<u8>>,
    /// When the last large answer came.
    used: Option<Instant>,
}

/// The bytes of an answer, whose memory goes back.
struct Lent {
    bytes: Vec<u8>,
    to: Weak<Mutex<Kept>>,
}

impl SpareMemory {
    /// Empty memory with room for an answer that comes now.
    pub fn take(&self, n_bytes: usize, now: Instant) -> Vec<u8> {
        let mut kept = self.0.lock();
        if n_bytes < LEAST {
            if kept.used.is_some_and(|used| now.duration_since(used) > PATIENCE) {
                *kept = Kept::default();
            }
            return Vec::with_capacity(n_bytes);
        }
        kept.used = Some(now);
        match kept.spare.pop() {
            Some(spare) if spare.capacity() >= n_bytes => spare,
            _ => Vec::with_capacity(n_bytes.next_multiple_of(STEP)),
        }
    }

    /// An answer; its memory is used again when nobody reads it any more.
    pub fn lend(&self, bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() < LEAST {
            return bytes.into();
        }
        let to = Arc::downgrade(&self.0);
        Bytes::from_owner(Lent { bytes, to })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(kept) = self.to.upgrade() else { return };
        let mut kept = kept.lock();
        let n_kept: usize = kept.spare.iter().map(Vec::capacity).sum();
        if kept.used.is_some() && n_kept + self.bytes.capacity() <= MOST {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            kept.spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer of so many bytes.
    fn read(memory: &SpareMemory, n_bytes: usize) -> Bytes {
        let mut bytes = memory.take(n_bytes, Instant::now());
        assert!(bytes.is_empty() && bytes.capacity() >= n_bytes);
        bytes.resize(n_bytes, 7);
        memory.lend(bytes)
    }

    fn kept(memory: &SpareMemory) -> usize {
        memory.0.lock().spare.iter().map(Vec::capacity).sum()
    }

    #[test]
    fn the_memory_of_an_answer_is_used_again_when_its_last_part_is_dropped() {
        let memory = SpareMemory::default();
        let answer = read(&memory, 100_000);
        let at = answer.as_ptr();
        let part = answer.slice(10..20);
        drop(answer);
        assert_eq!((kept(&memory), &part[..]), (0, &[7; 10][..]));
        drop(part);
        assert_eq!(kept(&memory), STEP);
        assert_eq!(read(&memory, 120_000).as_ptr(), at);
    }

    #[test]
    fn a_larger_answer_gets_larger_memory_and_leaves_it() {
        let memory = SpareMemory::default();
        drop(read(&memory, STEP));
        drop(read(&memory, STEP + 1));
        assert_eq!(kept(&memory), 2 * STEP);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let memory = SpareMemory::default();
        drop((0..5).map(|_| read(&memory, 8 * STEP)).collect::<Vec<_>>());
        assert_eq!(kept(&memory), MOST);
        drop(read(&memory, MOST + 1));
        assert_eq!(kept(&memory), MOST - 8 * STEP);
    }

    #[test]
    fn nothing_is_kept_where_answers_have_been_small_for_a_while() {
        let memory = SpareMemory::default();
        let late = read(&memory, LEAST);
        drop(read(&memory, LEAST));
        drop(read(&memory, LEAST - 1));
        assert_eq!(kept(&memory), STEP);
        memory.take(1, Instant::now() + 2 * PATIENCE);
        assert_eq!(kept(&memory), 0);
        drop(late);
        assert_eq!(kept(&memory), 0);
    }

    #[test]
    fn an_answer_outlives_the_connections() {
        let memory = SpareMemory::default();
        let answer = read(&memory, LEAST);
        drop(memory);
        assert_eq!(answer.len(), LEAST);
    }
}
