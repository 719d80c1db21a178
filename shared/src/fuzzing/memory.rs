//! How much memory a piece of code takes: an allocator that counts for each thread by itself, so that tests do not count each other's.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: usize) {
    // A thread that ends has no counters any more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get().saturating_add_unsigned(bytes));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
    let _ = TOTAL.try_with(|total| total.set(total.get().saturating_add(bytes)));
}

fn remove(bytes: usize) {
    let _ = LIVE.try_with(|live| live.set(live.get().saturating_sub_unsigned(bytes)));
}

// SAFETY: everything is left to the system's allocator; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: as above; the pointer came from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // While it is copied both are there.
        add(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        remove(layout.size());
        moved
    }
}

/// What a piece of code on one thread allocated from Rust: the most at one time, and all together, in bytes.
pub(super) struct Taken {
    pub(super) peak: usize,
    pub(super) total: usize,
}

/// Counts what `work` allocates on this thread.
pub(super) fn measure(work: impl FnOnce()) -> Taken {
    LIVE.set(0);
    PEAK.set(0);
    TOTAL.set(0);
    work();
    Taken { peak: PEAK.get().unsigned_abs(), total: TOTAL.get() }
}

#[test]
fn what_is_taken_is_counted() {
    let taken = measure(|| drop((vec![0_u8; 1 << 20], vec![1_u8; 1 << 19])));
    assert_eq!((taken.peak, taken.total), (3 << 19, 3 << 19));
    let taken = measure(|| (0..4).for_each(|_| drop(vec![0_u8; 1 << 20])));
    assert_eq!((taken.peak, taken.total), (1 << 20, 4 << 20));
}
