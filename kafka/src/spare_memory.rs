//! Memory of answers, used again: of fresh memory the kernel clears each page before it is read into.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

/// Smaller answers get memory of their own.
const LEAST: usize = 64 << 10;

/// Sizes of memory are multiples of this, so that it fits an answer that is a little larger, too.
const STEP: usize = 1 << 20;

/// An answer gets no memory that is so much larger than what it would get anew: it may wait for long, and its bytes alone are
/// counted.
const FITTING: usize = 4;

/// The most bytes that are kept.
const MOST: usize = 32 << 20;

/// Nothing is kept when no large answer came for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory that answers leave behind when the last part of them is dropped; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SpareMemory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    spare: Vec<Vec<u8>>,
    /// When the last large answer came; none if nothing is to be kept.
    last_large: Option<Instant>,
}

/// The bytes of an answer, whose memory goes back.
struct Lent {
    bytes: Vec<u8>,
    to: Weak<Mutex<Kept>>,
}

impl SpareMemory {
    /// Empty memory with room for an answer that comes now.
    pub fn take(&self, n_bytes: usize, now: Instant) -> Vec<u8> {
        if n_bytes < LEAST {
            self.let_go(now);
            return Vec::with_capacity(n_bytes);
        }
        let mut kept = self.0.lock();
        kept.last_large = Some(now);
        let size = n_bytes.next_multiple_of(STEP);
        let fits = |spare: &Vec<u8>| (n_bytes..=size.saturating_mul(FITTING)).contains(&spare.capacity());
        match kept.spare.iter().rposition(fits) {
            Some(at) => kept.spare.remove(at),
            None => Vec::with_capacity(size),
        }
    }

    /// Keeps nothing any more if no large answer came for a while.
    pub fn let_go(&self, now: Instant) {
        let mut kept = self.0.lock();
        if kept.last_large.is_some_and(|last| now.duration_since(last) > PATIENCE) {
            let idle = std::mem::take(&mut *kept);
            drop(kept);
            drop(idle);
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
        if kept.last_large.is_none() {
            return;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        kept.spare.push(bytes);
        // What nobody took for longest may fit nothing.
        while kept.spare.iter().map(Vec::capacity).sum::<usize>() > MOST {
            kept.spare.remove(0);
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
    fn an_answer_gets_no_memory_that_is_too_small_or_much_too_large() {
        let memory = SpareMemory::default();
        drop([read(&memory, STEP), read(&memory, 5 * STEP)]);
        let sizes = [2 * STEP, STEP, 3 * STEP].map(|n_bytes| memory.take(n_bytes, Instant::now()).capacity());
        assert_eq!(sizes, [5 * STEP, STEP, 3 * STEP]);
        assert_eq!(kept(&memory), 0);
        drop(read(&memory, 5 * STEP));
        assert_eq!(memory.take(STEP, Instant::now()).capacity(), STEP);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let memory = SpareMemory::default();
        let answers: Vec<Bytes> = (1..9).map(|n| read(&memory, n * STEP)).collect();
        drop(answers);
        assert_eq!(kept(&memory), (4 + 5 + 6 + 7 + 8) * STEP);
        drop(read(&memory, MOST + 1));
        assert_eq!(kept(&memory), 0, "larger than all that is kept");
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
