//! What moves on a terminal, and a line every ten seconds elsewhere.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// What there is to show something on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A terminal of this many columns and lines.
    Terminal { width: usize, height: usize },
    /// A log, or nobody.
    Lines,
}

/// Shows what a closure says until dropped.
pub struct Ticker {
    done: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl Ticker {
    /// Starts showing a line; nothing is shown when `quiet`.
    pub fn line(quiet: bool, line: impl Fn() -> String + Send + 'static) -> Self {
        Self::start(quiet, move |_| line())
    }

    /// Starts showing, on a terminal as many lines as the closure gives; nothing is shown when `quiet`.
    pub fn start(quiet: bool, show: impl Fn(Screen) -> String + Send + 'static) -> Self {
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
                        bar.set_message(show(screen()));
                        bar.tick();
                    }
                    None if !quiet && ticks.is_multiple_of(100) => eprintln!("{}", show(Screen::Lines)),
                    None => {}
                }
            }
        });
        Self { done, task, bar }
    }
}

/// The terminal as it is now: it may be made larger or smaller meanwhile.
fn screen() -> Screen {
    let (height, width) = console::Term::stderr().size();
    Screen::Terminal { width: width.into(), height: height.into() }
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
