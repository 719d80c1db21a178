//! Neighbour push, the policy: which files the kernel gets before it asks for them. Pure.
//!
//! A reader that walks a directory in listing order (grep, tar, diff, cp) asks for file k, then k+1. When that shows, the files behind k
//! are stored into the page cache before k is answered, twice as many each time. Anything else pushes nothing.

/// Most files pushed at once.
pub const LARGEST_WINDOW: u32 = 64;
/// Most bytes pushed at once.
pub const LARGEST_BYTES: usize = 256 << 10;
const FIRST_WINDOW: u32 = 4;
/// A reader may leave out this many files and still be walking.
const LARGEST_GAP: u32 = 4;
/// Directories followed at the same time; a power of two. Two that fall on one place only cost each other their windows.
const READERS: usize = 256;

#[derive(Debug, Clone, Copy, Default)]
struct Reader {
    /// Inode of the first file of the directory.
    directory: u64,
    /// The row it asks for next, if it walks.
    expected: u32,
    window: u32,
}

/// Follows the readers of directories; a directory is known by the inode of its first file.
#[derive(Debug)]
pub struct Policy {
    readers: Box<[Reader; READERS]>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { readers: Box::new([Reader::default(); READERS]) }
    }
}

impl Policy {
    fn reader(&mut self, directory: u64) -> &mut Reader {
        // Multiplying by a large odd number spreads neighbours; the upper bits are the ones that are mixed.
        let at = (directory.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize % READERS;
        let reader = &mut self.readers[at];
        if reader.directory != directory {
            *reader = Reader { directory, expected: u32::MAX, window: 0 };
        }
        reader
    }

    /// A file was asked for. Gives the number of files behind it to push.
    pub fn asked(&mut self, directory: u64, row: u32, is_first: bool) -> u32 {
        let reader = self.reader(directory);
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
        let reader = self.reader(directory);
        reader.expected = reader.expected.saturating_add(files);
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
        // 1 + 4, 1 + 8, … : the seventh read is for the five files that the sixth window left.
        assert_eq!(reads, 7);
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
    fn a_walk_survives_others_beside_it() {
        let mut policy = Policy::default();
        policy.asked(7, 10, true);
        // Some fall on the same place; most of these walks must go on all the same.
        let going_on = (100..200_u64)
            .filter(|&other| {
                policy.asked(other, 0, true);
                policy.asked(7, 11, false);
                policy.asked(other, 1, false) > 0
            })
            .count();
        assert!(going_on >= 95, "{going_on}");
    }
}
