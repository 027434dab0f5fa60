//! Memory that is filled again and again.

/// Bytes, of which the first are filled. What was filled once stays initialised, so that making room costs nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    filled: usize,
}

impl Scratch {
    /// What is filled.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// `n` bytes behind what is filled, with any values.
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        let end = self.filled + n;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }

    /// The first `n` bytes of the last [`Scratch::room`] are filled now.
    pub fn advance(&mut self, n: usize) {
        self.filled = (self.filled + n).min(self.bytes.len());
    }

    /// Appends bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Drops what stands before `at`; what is behind moves to the front.
    pub fn keep_from(&mut self, at: usize) {
        let at = at.min(self.filled);
        self.bytes.copy_within(at..self.filled, 0);
        self.filled -= at;
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives memory back if there is more than `n` bytes.
    pub fn shrink_to(&mut self, n: usize) {
        if self.bytes.len() > n.max(self.filled) {
            self.bytes.truncate(n.max(self.filled));
            self.bytes.shrink_to_fit();
        }
    }
}
