//! Numbers of keys by the hashes of the keys: open addressing with linear probing.
//!
//! A search reads one place of the memory as a rule, where tables that keep bits of the hashes apart read two; with millions of
//! keys it is the memory that is waited for. A key's home grows with its hash, so that a table that grows is read and
//! written from its beginning to its end. Source: Knuth, "The Art of Computer Programming", volume 3, 6.4, algorithms L and
//! R, and multiplicative hashing.

use super::KeyId;

/// Number of no key.
const NONE: KeyId = KeyId::MAX;

/// Slots of the smallest table.
const SMALLEST: usize = 8;

/// A table from hashes to numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// A power of two of them, of which at least three in ten are free.
    slots: Vec<Slot>,
    n_keys: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    id: KeyId,
}

const FREE: Slot = Slot { hash: 0, id: NONE };

impl Index {
    /// How many keys are there.
    pub fn len(&self) -> usize {
        self.n_keys
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// The slot where a search begins: the highest bits of a product on which all bits of the hash have bearing.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        let product = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (product >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    #[inline]
    fn behind(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// The key with this hash for which `is_it` says so.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl FnMut(KeyId) -> bool) -> Option<KeyId> {
        if self.slots.is_empty() {
            return None;
        }
        self.find_or_free(hash, is_it).ok()
    }

    /// The same; or the slot where it belongs, until another one is added or removed. There must be a free one: see
    /// [`Index::make_room`].
    #[inline]
    pub fn find_or_free(&self, hash: u32, mut is_it: impl FnMut(KeyId) -> bool) -> Result<KeyId, usize> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.id == NONE {
                return Err(at);
            }
            if slot.hash == hash && is_it(slot.id) {
                return Ok(slot.id);
            }
            at = self.behind(at);
        }
    }

    /// Makes room for one more key.
    #[inline]
    pub fn make_room(&mut self) {
        if (self.n_keys + 1) * 10 > self.slots.len() * 7 {
            self.grow(self.n_keys + 1);
        }
    }

    /// Adds a key that is not there, where [`Index::find_or_free`] says that it belongs.
    #[inline]
    pub fn insert(&mut self, free: usize, hash: u32, id: KeyId) {
        self.n_keys += 1;
        self.slots[free] = Slot { hash, id };
    }

    /// Makes room for so many keys.
    pub fn grow(&mut self, n_keys: usize) {
        let n_slots = (n_keys * 10).div_ceil(7).next_power_of_two().max(SMALLEST);
        if n_slots > self.slots.len() {
            self.move_to(n_slots);
        }
    }

    #[cold]
    fn move_to(&mut self, n_slots: usize) {
        let before = std::mem::replace(&mut self.slots, vec![FREE; n_slots]);
        for slot in before.into_iter().filter(|slot| slot.id != NONE) {
            let mut at = self.home(slot.hash);
            while self.slots[at].id != NONE {
                at = self.behind(at);
            }
            self.slots[at] = slot;
        }
    }

    /// Removes a key with this hash, if it is there.
    pub fn remove(&mut self, hash: u32, id: KeyId) -> bool {
        if self.slots.is_empty() || id == NONE {
            return false;
        }
        let mut free = self.home(hash);
        while self.slots[free].id != id {
            if self.slots[free].id == NONE {
                return false;
            }
            free = self.behind(free);
        }
        // What stands behind comes nearer to its home, up to the next free slot.
        let mut at = free;
        loop {
            at = self.behind(at);
            let slot = self.slots[at];
            if slot.id == NONE {
                break;
            }
            let mask = self.slots.len() - 1;
            let home = self.home(slot.hash);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(free) & mask {
                self.slots[free] = slot;
                free = at;
            }
        }
        self.slots[free] = FREE;
        self.n_keys -= 1;
        true
    }

    /// Reads where the searches for these hashes begin, so that the processor fetches many of the places at a time.
    pub fn touch(&self, hashes: &[u32]) {
        if !self.slots.is_empty() {
            let read = hashes.iter().fold(0, |all, hash| all ^ self.slots[self.home(*hash)].id);
            std::hint::black_box(read);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    fn add(index: &mut Index, hash: u32, id: KeyId) {
        index.make_room();
        let free = index.find_or_free(hash, |found| found == id).unwrap_err();
        index.insert(free, hash, id);
    }

    proptest! {
        /// Hashes are few, so that many keys have one and the same; and some are neighbours.
        #[test]
        fn an_index_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..40, 0u32..60), 1..800)) {
            let mut index = Index::default();
            let mut model: BTreeMap<KeyId, u32> = BTreeMap::new();
            for (adds, hash, id) in steps {
                if hash == 39 {
                    index.grow(id as usize * 4);
                }
                let hash = if hash < 20 { hash } else { u32::MAX - hash };
                if !adds {
                    let known = model.remove(&id);
                    prop_assert_eq!(index.remove(known.unwrap_or(hash), id), known.is_some());
                } else if let Entry::Vacant(vacant) = model.entry(id) {
                    add(&mut index, hash, id);
                    vacant.insert(hash);
                }
                prop_assert_eq!(index.len(), model.len());
                for (id, hash) in &model {
                    prop_assert_eq!(index.find(*hash, |found| found == *id), Some(*id));
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let mut index = Index::default();
        assert_eq!(index.find(0, |_| true), None);
        assert!(!index.remove(0, 0));
        index.touch(&[0, 1]);
        add(&mut index, 7, 0);
        assert_eq!(index.find(8, |_| true), None);
        assert!(index.remove(7, 0));
        assert_eq!(index.find(7, |_| true), None);
    }
}
