//! How many requests are in flight: more while the API server answers, half as many when it says that it is too much.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests in flight at the start.
const START: usize = 8;
/// Most requests in flight. Measured: creating small objects gains up to 32 connections and nothing beyond.
pub const MOST: usize = 32;
/// Answers after which the window grows by one.
const GROW_AFTER: usize = 8;

/// A bounded, adaptive window of requests.
pub struct Window {
    permits: Semaphore,
    size: AtomicUsize,
    answered: AtomicUsize,
}

impl Default for Window {
    fn default() -> Self {
        Self { permits: Semaphore::new(START), size: AtomicUsize::new(START), answered: AtomicUsize::new(0) }
    }
}

impl Window {
    /// Waits for a place. `None` never happens: the semaphore is not closed.
    pub async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }

    /// Notes an answer; the window grows slowly.
    pub fn answered(&self) {
        if self.answered.fetch_add(1, Ordering::Relaxed) % GROW_AFTER != GROW_AFTER - 1 {
            return;
        }
        if self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |size| (size < MOST).then_some(size + 1)).is_ok() {
            self.permits.add_permits(1);
        }
    }

    /// Notes that the server wants less; the window halves. `permit` is the place of the request that was refused.
    pub fn refused(&self) {
        let halved = self.size.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |size| (size > 1).then_some(size.div_ceil(2)));
        if let Ok(before) = halved {
            let missing = before - before.div_ceil(2);
            // Only free places can be taken away at once; where too few are free the window stays that much larger.
            let taken = self.permits.forget_permits(missing);
            self.size.fetch_add(missing - taken, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_slowly_and_halves() {
        let window = Window::default();
        for _ in 0..GROW_AFTER {
            window.answered();
        }
        assert_eq!(window.size(), START + 1);
        for _ in 0..1000 {
            window.answered();
        }
        assert_eq!(window.size(), MOST);
        window.refused();
        assert_eq!((window.size(), window.permits.available_permits()), (MOST / 2, MOST / 2));
        for _ in 0..20 {
            window.refused();
        }
        assert_eq!((window.size(), window.permits.available_permits()), (1, 1));
    }
}
