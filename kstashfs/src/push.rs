//! Neighbour push, the policy: which files the kernel gets before it asks for them. Pure.
//!
//! A reader that walks a directory in listing order (grep, tar, diff, cp) asks for file k, then k+1. When that shows, the files behind k
//! are stored into the page cache: a few before k is answered, the others while the reader is busy with those. Each time it comes to the
//! end of what was stored, twice as many follow. Who walks one directory after another gets more of the next one at once. Anything else
//! pushes nothing.

use std::ops::Range;

/// Most files pushed for one read.
pub const LARGEST_WINDOW: u32 = 512;
/// Most bytes pushed for one read.
pub const LARGEST_BYTES: usize = 2 << 20;
/// Files that are pushed before the read is answered, while the reader waits. A grep goes through a file about as fast as one is pushed, so
/// it overtakes some pushes all the same; 1 and 16 instead measured no better, and all of them at once a quarter slower.
pub const HEAD_START: u32 = 4;
/// Files that are pushed for a reader that has overtaken a push, all of them before its answer: on a busy machine the pushing thread may wait
/// for a core for as long as a reader takes for a hundred files.
pub const CATCH_UP: u32 = 32;
const FIRST_WINDOW: u32 = 4;
/// A reader may leave out this many files and still be walking.
const LARGEST_GAP: u32 = 4;
/// Directories walked in a row, after which the whole of the next one is pushed: `FIRST_WINDOW << LONGEST_STREAK` is `LARGEST_WINDOW`.
const LONGEST_STREAK: u32 = 7;
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
    /// Directories that were walked to their ends, one after the other.
    streak: u32,
    /// The directory that was begun last.
    begun: u64,
    /// Whether it was walked to its end.
    ended: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { readers: Box::new([Reader::default(); READERS]), streak: 0, begun: 0, ended: true }
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

    /// A file was asked for, one of the directory's `files`. Gives the number of files behind it to push.
    pub fn asked(&mut self, directory: u64, row: u32, files: &Range<u32>) -> u32 {
        let is_first = row == files.start;
        if is_first {
            if directory == self.begun || !self.ended {
                self.streak = 0;
            }
            (self.begun, self.ended) = (directory, false);
        }
        let first_window = FIRST_WINDOW << self.streak;
        let reader = self.reader(directory);
        let walks = row.checked_sub(reader.expected).is_some_and(|gap| gap <= LARGEST_GAP);
        reader.window = match (walks, is_first) {
            (true, _) => (reader.window * 2).clamp(FIRST_WINDOW, LARGEST_WINDOW),
            // Who opens the first file of a directory mostly opens them all.
            (false, true) => first_window,
            (false, false) => 0,
        };
        reader.expected = row.saturating_add(1);
        let window = reader.window;
        self.note_end(directory, files);
        window
    }

    /// The files behind the one asked for were pushed, up to and without `next`.
    pub fn pushed(&mut self, directory: u64, next: u32, files: &Range<u32>) {
        let reader = self.reader(directory);
        if reader.expected != u32::MAX {
            reader.expected = reader.expected.max(next);
        }
        self.note_end(directory, files);
    }

    /// Whether so many directories were read one after the other that the next one will be, too.
    pub fn goes_on(&self) -> bool {
        self.streak > 1
    }

    fn note_end(&mut self, directory: u64, files: &Range<u32>) {
        let at_end = self.reader(directory).expected >= files.end;
        if at_end && directory == self.begun && !self.ended {
            self.ended = true;
            self.streak = (self.streak + 1).min(LONGEST_STREAK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Range<u32> = 10..2_000;

    /// Walks a directory; gives the windows of its reads.
    fn walk(policy: &mut Policy, directory: u64, files: Range<u32>) -> Vec<u32> {
        let (mut row, mut windows) = (files.start, Vec::new());
        while row < files.end {
            let window = policy.asked(directory, row, &files);
            windows.push(window);
            row = (row + window + 1).min(files.end);
            policy.pushed(directory, row, &files);
        }
        windows
    }

    #[test]
    fn a_walk_grows_its_window() {
        let windows = walk(&mut Policy::default(), 1, MANY);
        assert_eq!(windows, [4, 8, 16, 32, 64, 128, 256, 512, 512, 512]);
    }

    #[test]
    fn who_walks_directory_after_directory_gets_the_next_one_whole() {
        let mut policy = Policy::default();
        assert!(!policy.goes_on());
        let reads: Vec<usize> = (1..8).map(|directory| walk(&mut policy, directory, 0..80).len()).collect();
        assert_eq!(reads, [5, 4, 3, 2, 2, 1, 1]);
        assert!(policy.goes_on());
        // A directory that is left in its middle, or a second visit, says that it is no such walk any more.
        policy.asked(100, 0, &MANY);
        assert_eq!(policy.asked(101, MANY.start, &MANY), 512);
        assert_eq!(policy.asked(102, MANY.start, &MANY), 4);
        assert!(!policy.goes_on());
    }

    #[test]
    fn single_reads_push_nothing() {
        let mut policy = Policy::default();
        for row in [50, 20, 90, 13, 70] {
            assert_eq!(policy.asked(1, row, &MANY), 0, "{row}");
        }
        // The other direction is no walk either.
        for row in [60, 59, 58] {
            assert_eq!(policy.asked(1, row, &MANY), 0, "{row}");
        }
    }

    #[test]
    fn small_gaps_are_still_a_walk_and_jumps_are_not() {
        let mut policy = Policy::default();
        policy.asked(1, 20, &MANY);
        assert_eq!(policy.asked(1, 23, &MANY), 4);
        assert_eq!(policy.asked(1, 50, &MANY), 0);
        assert_eq!(policy.asked(1, 51, &MANY), 4);
        assert_eq!(policy.asked(2, 52, &MANY), 0, "directories are followed apart");
    }

    #[test]
    fn a_walk_survives_others_beside_it() {
        let mut policy = Policy::default();
        policy.asked(7, 10, &MANY);
        // Some fall on the same place; most of these walks must go on all the same.
        let going_on = (100..200_u64)
            .filter(|&other| {
                policy.asked(other, 10, &MANY);
                policy.asked(7, 11, &MANY);
                policy.asked(other, 11, &MANY) > 0
            })
            .count();
        assert!(going_on >= 95, "{going_on}");
    }
}
