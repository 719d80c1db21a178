//! Randomness that comes from a text only: the same everywhere and always.

use k8s_openapi::ByteString;

/// Letters and digits of the suffixes that controllers make.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Midnight of 1 January 2025, UTC, in seconds: the cluster was born then.
const BIRTH: i64 = 1_735_689_600;
/// Seconds of a day.
pub(super) const DAY: usize = 86_400;

/// SplitMix64: small, fast, and good enough to look busy.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of a text.
    pub(super) fn of(text: &str) -> Self {
        // FNV-1a.
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to below `high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        let width = (high - low) as u128;
        low + ((u128::from(self.next()) * width) >> 64) as usize
    }

    /// From 0 to below `limit`.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.between(0, limit)
    }

    /// From 0 to below 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Several different ones, in any order.
    pub(super) fn several<T: Copy>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut left = from.to_vec();
        (0..count.min(from.len())).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }

    /// Bytes that nothing compresses.
    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// The same as base64, as Secrets hold them.
    pub(super) fn base64(&mut self, length: usize) -> String {
        base64(self.bytes(length))
    }

    /// Hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.below(16) as u32, 16).unwrap()).collect()
    }

    /// A uid as the API server makes them: random, version 4.
    pub(super) fn uid(&mut self) -> String {
        let variant = self.pick(&["8", "9", "a", "b"]);
        format!("{}-{}-4{}-{variant}{}-{}", self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12))
    }

    /// The end of a generated name.
    pub(super) fn suffix(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(SUFFIX_LETTERS))).collect()
    }

    /// A resourceVersion of the first state.
    pub(super) fn version(&mut self) -> String {
        (180_000_000 + self.below(40_000_000)).to_string()
    }

    /// An address of the pod network.
    pub(super) fn address(&mut self) -> String {
        format!("10.{}.{}.{}", self.between(64, 128), self.below(256), self.between(1, 255))
    }

    /// A moment in the first 300 days.
    pub(super) fn time(&mut self) -> String {
        self.time_between(0, 300)
    }

    /// A moment between two days.
    pub(super) fn time_between(&mut self, from: usize, to: usize) -> String {
        moment(self.between(from * DAY, to * DAY))
    }
}

/// So many seconds into the cluster's life, as Kubernetes writes times.
pub(super) fn moment(seconds: usize) -> String {
    jiff::Timestamp::from_second(BIRTH + seconds as i64).unwrap().to_string()
}

/// Base64 of bytes.
pub(super) fn base64(bytes: Vec<u8>) -> String {
    match serde_json::to_value(ByteString(bytes)) {
        Ok(serde_json::Value::String(text)) => text,
        other => panic!("bytes are written as {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_kubernetes() {
        let mut random = Random::of("a text");
        let uid = random.uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert_eq!(moment(0), "2025-01-01T00:00:00Z");
        assert_eq!(base64(b"hello".to_vec()), "aGVsbG8=");
        assert_eq!(random.several(&[1, 2, 3], 9).len(), 3);
        assert_eq!(Random::of("a text").uid(), uid);
    }

    #[test]
    fn every_value_comes_up() {
        let mut random = Random::of("dice");
        let mut seen = [0; 6];
        for _ in 0..6000 {
            seen[random.below(6)] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
        assert_eq!(random.bytes(13).len(), 13);
    }
}
