//! A line that moves on a terminal, a line every ten seconds elsewhere.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows what a closure says until dropped.
pub struct Ticker {
    done: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Ticker {
    /// Starts showing; nothing is shown when `quiet`.
    pub fn start(quiet: bool, line: impl Fn() -> String + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let terminal = std::io::stderr().is_terminal();
        let bar = (terminal && !quiet).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        let (own, shown) = (Arc::clone(&done), bar.clone());
        let task = tokio::spawn(async move {
            let mut ticks = 0_u64;
            while !own.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                ticks += 1;
                match &shown {
                    Some(bar) => {
                        bar.set_message(line());
                        bar.tick();
                    }
                    None if !quiet && ticks.is_multiple_of(100) => eprintln!("{}", line()),
                    None => {}
                }
            }
        });
        Self { done, task, bar }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
