//! Texts that the kernel may still read, each by a number of its own.

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;

/// Texts that are kept at the same time, a few kilobytes each. Who has more files open finds the oldest one gone.
const MOST: usize = 256;

/// Numbers begin with 1 and are never used again.
#[derive(Debug, Default)]
pub(super) struct Texts {
    last: u64,
    kept: BTreeMap<u64, (Bytes, SystemTime)>,
}

impl Texts {
    /// Keeps a text that was written at a time; gives its number.
    pub(super) fn keep(&mut self, text: Bytes, time: SystemTime) -> u64 {
        self.last += 1;
        self.kept.insert(self.last, (text, time));
        if self.kept.len() > MOST {
            self.kept.pop_first();
        }
        self.last
    }

    /// A text and when it was written.
    pub(super) fn get(&self, number: u64) -> Option<(Bytes, SystemTime)> {
        self.kept.get(&number).cloned()
    }

    /// Nobody reads it any more.
    pub(super) fn forget(&mut self, number: u64) {
        self.kept.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_texts_is_kept_until_they_are_forgotten() {
        let mut texts = Texts::default();
        let mut keep = |text: &'static str| texts.keep(Bytes::from_static(text.as_bytes()), SystemTime::UNIX_EPOCH);
        let (one, two) = (keep("one"), keep("two"));
        texts.forget(one);
        assert_eq!(texts.get(one), None);
        assert_eq!(texts.get(two), Some((Bytes::from_static(b"two"), SystemTime::UNIX_EPOCH)));
        for _ in 0..MOST {
            texts.keep(Bytes::new(), SystemTime::UNIX_EPOCH);
        }
        assert_eq!((texts.get(two), texts.kept.len()), (None, MOST));
        assert_eq!(texts.last, 2 + MOST as u64);
    }
}
