//! Neighbour push: which files the kernel gets before it asks for them. Pure.
//!
//! A reader that walks a directory in listing order (grep, tar, diff, cp) asks for file k, then k+1. When that shows, the files behind k
//! are stored into the page cache before k is answered, twice as many each time. Anything else pushes nothing.

use std::collections::HashMap;

/// Most files pushed at once.
pub const LARGEST_WINDOW: u32 = 64;
/// Most bytes pushed at once.
pub const LARGEST_BYTES: usize = 256 << 10;
const FIRST_WINDOW: u32 = 4;
/// A reader may leave out this many files and still be walking.
const LARGEST_GAP: u32 = 4;
/// Directories followed at the same time.
const MAX_READERS: usize = 512;

#[derive(Debug, Clone, Copy)]
struct Reader {
    /// The row it asks for next, if it walks.
    expected: u32,
    window: u32,
}

/// Follows the readers of directories; a directory is known by its first row and view.
#[derive(Debug, Default)]
pub struct Policy {
    readers: HashMap<u64, Reader>,
}

impl Policy {
    /// A file was asked for. Gives the number of files behind it to push.
    pub fn asked(&mut self, directory: u64, row: u32, is_first: bool) -> u32 {
        if self.readers.len() >= MAX_READERS && !self.readers.contains_key(&directory) {
            self.readers.clear();
        }
        let reader = self.readers.entry(directory).or_insert(Reader { expected: u32::MAX, window: 0 });
        let walks = row.checked_sub(reader.expected).is_some_and(|gap| gap <= LARGEST_GAP);
        reader.window = match (walks, is_first) {
            (true, _) => (reader.window * 2).clamp(FIRST_WINDOW, LARGEST_WINDOW),
            // Who opens the first file of a directory mostly opens them all.
            (false, true) => FIRST_WINDOW,
            (false, false) => 0,
        };
        reader.expected = row.saturating_add(1);
        reader.window
    }

    /// So many files behind the one asked for were pushed.
    pub fn pushed(&mut self, directory: u64, files: u32) {
        if let Some(reader) = self.readers.get_mut(&directory) {
            reader.expected = reader.expected.saturating_add(files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_grows_its_window() {
        let mut policy = Policy::default();
        let (mut row, mut reads, mut windows) = (10_u32, 0, Vec::new());
        while row < 210 {
            let window = policy.asked(1, row, row == 10);
            windows.push(window);
            policy.pushed(1, window);
            row += window + 1;
            reads += 1;
        }
        assert_eq!(windows.get(..6), Some([4, 8, 16, 32, 64, 64].as_slice()));
        assert_eq!(reads, 6);
    }

    #[test]
    fn single_reads_push_nothing() {
        let mut policy = Policy::default();
        for row in [50, 20, 90, 3, 70] {
            assert_eq!(policy.asked(1, row, false), 0, "{row}");
        }
        // The other direction is no walk either.
        for row in [60, 59, 58] {
            assert_eq!(policy.asked(1, row, false), 0, "{row}");
        }
    }

    #[test]
    fn small_gaps_are_still_a_walk_and_jumps_are_not() {
        let mut policy = Policy::default();
        policy.asked(1, 10, false);
        assert_eq!(policy.asked(1, 13, false), 4);
        assert_eq!(policy.asked(1, 40, false), 0);
        assert_eq!(policy.asked(1, 41, false), 4);
        assert_eq!(policy.asked(2, 42, false), 0, "directories are followed apart");
    }

    #[test]
    fn many_directories_stay_bounded() {
        let mut policy = Policy::default();
        for directory in 0..10_000 {
            policy.asked(directory, 1, false);
        }
        assert!(policy.readers.len() <= MAX_READERS);
    }
}
