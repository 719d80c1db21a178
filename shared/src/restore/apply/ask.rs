//! One request of an execution, asked again as long as its refusal passes. All of them go this way, so that window, patience and stopping
//! mean the same for each.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{Mode, Run, patience::Wait, write};
use crate::{
    cluster::{ApiError, Method, Passing},
    restore::{
        api::{self, Answer, Call},
        plan::{Action, Step},
        report,
    },
};

/// First pause before asking again; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause, where the server does not want a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at whether the restore was stopped.
const LOOK: Duration = Duration::from_millis(50);

/// The end of a request without the answer that was wanted.
#[derive(Debug)]
pub struct Refusal {
    /// The last answer.
    pub error: ApiError,
    /// A try before it may have done what was asked for, although nobody was told.
    pub unsure: bool,
    end: End,
}

/// Why it is not asked again.
#[derive(Debug)]
enum End {
    /// It would be refused again.
    Final,
    /// The patience for its cause is over, here or elsewhere in the same restore.
    Waited(Duration),
    /// The restore was stopped.
    Stopped,
}

impl Refusal {
    /// HTTP status of the last answer, 0 where none came.
    pub fn status(&self) -> u16 {
        self.error.status()
    }

    /// The server's sentence about a step, how long it was waited for, and the way on.
    pub fn explain(&self, step: &Step) -> String {
        format!("{}{}", write::explain(&self.error, step), self.end)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.error, self.end)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final => Ok(()),
            // The limit, not the time of this very object: equal causes are counted together.
            Self::Waited(limit) => write!(f, " (waiting {} s for it did not help)", limit.as_secs()),
            Self::Stopped => write!(f, " (stopped before it was asked again)"),
        }
    }
}

/// What a refusal is waited for, where nothing about the request makes a difference.
pub fn passing(error: &ApiError) -> Option<Wait> {
    error.passing().map(Wait::For)
}

/// What objects of one kind wait for together.
fn cause(error: &ApiError, step: &Step) -> String {
    format!("{}: {}", step.kind.group_resource(), report::general(&error.to_string(), step))
}

impl Run {
    /// Sends a request about a step until it is answered for good.
    pub async fn ask(&self, step: &Step, call: &Call) -> Result<Answer, Refusal> {
        self.ask_unless(Some(step), call, passing).await
    }

    /// The same; `wait` says what a refusal is waited for, and nothing for one that is final.
    pub async fn ask_unless(&self, step: Option<&Step>, call: &Call, wait: impl Fn(&ApiError) -> Option<Wait>) -> Result<Answer, Refusal> {
        let (mut since, mut pause, mut unsure) = (None, PAUSE, false);
        loop {
            let answer = {
                let _place = self.window.enter().await;
                if call.method != Method::Get {
                    self.report(|report| report.write_requests += 1);
                }
                api::once(&self.cluster, call).await
            };
            let error = match answer {
                Ok(answer) => {
                    self.learnt.heard();
                    self.window.answered();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.status() != 0 {
                self.learnt.heard();
            }
            let Some(wait) = wait(&error) else { return Err(Refusal { error, unsure, end: End::Final }) };
            unsure |= wait == Wait::For(Passing::Outage) && call.method != Method::Get && self.mode == Mode::Write;
            if wait == Wait::For(Passing::Busy) {
                self.window.refused();
            }
            let (since, limit): (Instant, _) = (*since.get_or_insert_with(Instant::now), self.patience.of(wait));
            let cause = step.map_or_else(|| error.to_string(), |step| cause(&error, step));
            let next = error.retry_after().map_or(pause, |seconds| Duration::from_secs(seconds).max(pause));
            if self.learnt.is_hopeless(&cause) {
                return Err(Refusal { error, unsure, end: End::Waited(limit) });
            }
            if since.elapsed() + next > limit {
                if wait != Wait::For(Passing::Busy) {
                    self.learnt.in_vain(cause, &error, since.elapsed());
                }
                return Err(Refusal { error, unsure, end: End::Waited(limit) });
            }
            if !self.pause(next, step).await {
                return Err(Refusal { error, unsure, end: End::Stopped });
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits; false when the restore was stopped meanwhile. What was deleted to be created anew must come back: that is not stopped.
    pub async fn pause(&self, time: Duration, step: Option<&Step>) -> bool {
        let end = Instant::now() + time;
        loop {
            let persists = step.is_some_and(|step| step.action == Action::Recreate);
            if self.stopped() && (!persists || self.learnt.lost().is_some()) {
                return false;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }
}
