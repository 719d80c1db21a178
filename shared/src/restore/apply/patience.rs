//! How long an execution waits for what, and what it has stopped waiting for.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::cluster::{ApiError, Passing};

/// How long to wait for what takes time.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For definitions to be served, and for what is being deleted to be gone.
    pub settle: Duration,
    /// For a webhook, or what else an API server cannot decide without.
    pub undecided: Duration,
    /// For an API server that does not answer: as long as a restart of one may take.
    pub outage: Duration,
    /// For an API server that has too much to do.
    pub busy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { settle: seconds(60), undecided: seconds(30), outage: seconds(120), busy: seconds(300) }
    }
}

/// What a request is asked again for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The cause passes by itself.
    For(Passing),
    /// What it needs is on its way: a kind that is not served everywhere yet, an account that a controller makes, the end of an old object.
    Settling,
}

impl Patience {
    /// From the first refusal on.
    pub const fn of(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Settling => self.settle,
            Wait::For(Passing::Undecided) => self.undecided,
            Wait::For(Passing::Outage) => self.outage,
            Wait::For(Passing::Busy) => self.busy,
        }
    }
}

/// Causes kept in mind; beyond that each object is waited for again.
const CAUSES: usize = 1000;

/// What all steps have learnt about waiting: nobody waits again for what another has waited for in vain, or a dead webhook would
/// cost its patience for each of thousands of objects.
#[derive(Debug)]
pub struct Learnt {
    hopeless: Mutex<HashSet<String>>,
    /// The last answer of the API server, of whatever kind.
    heard: Mutex<Instant>,
    lost: Mutex<Option<String>>,
}

impl Default for Learnt {
    fn default() -> Self {
        Self { hopeless: Mutex::default(), heard: Mutex::new(Instant::now()), lost: Mutex::default() }
    }
}

impl Learnt {
    /// Notes that the API server answers.
    pub fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether waiting for this cause was in vain.
    pub fn is_hopeless(&self, cause: &str) -> bool {
        self.hopeless.lock().unwrap_or_else(PoisonError::into_inner).contains(cause)
    }

    /// Notes that waiting was in vain. Where nothing at all was heard of the API server meanwhile, it is lost.
    pub fn in_vain(&self, cause: String, error: &ApiError, waited: Duration) {
        if error.status() == 0 {
            // Single answers may get lost; that says nothing about others.
            if self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= waited {
                let why = format!("the API server did not answer for {} s: {error}", waited.as_secs());
                self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
            }
            return;
        }
        let mut hopeless = self.hopeless.lock().unwrap_or_else(PoisonError::into_inner);
        if hopeless.len() < CAUSES {
            hopeless.insert(cause);
        }
    }

    /// Why nothing more can be done, if so.
    pub fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_twice_for_the_same_and_a_silent_server_is_lost() {
        let learnt = Learnt::default();
        let refused = ApiError::Refused { status: 500, reason: String::new(), message: "failed calling webhook".into(), retry_after: None };
        learnt.in_vain("failed calling webhook".to_owned(), &refused, Duration::ZERO);
        assert!(learnt.is_hopeless("failed calling webhook") && !learnt.is_hopeless("another"));
        assert_eq!(learnt.lost(), None);

        let silent = ApiError::Unreachable { reason: "refused".into() };
        learnt.in_vain("no connection".to_owned(), &silent, Duration::from_secs(3600));
        assert_eq!(learnt.lost(), None, "it answered others within that hour");
        learnt.in_vain("no connection".to_owned(), &silent, Duration::ZERO);
        assert!(learnt.lost().is_some_and(|why| why.contains("did not answer for 0 s")));
        assert!(!learnt.is_hopeless("no connection"));
    }

    #[test]
    fn patience_is_by_cause() {
        let patience = Patience::default();
        assert_eq!(patience.of(Wait::Settling), patience.settle);
        assert_eq!(patience.of(Wait::For(Passing::Undecided)), patience.undecided);
        assert!(patience.of(Wait::For(Passing::Undecided)) < patience.of(Wait::For(Passing::Outage)));
        assert!(patience.of(Wait::For(Passing::Outage)) < patience.of(Wait::For(Passing::Busy)));
    }
}
