//! When a cron schedule runs next, by the rules of Kubernetes' CronJobs.

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};

/// A schedule that a CronJob would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule {schedule:?} cannot be used: {reason}")]
pub struct ScheduleError {
    schedule: String,
    reason: String,
}

/// The first time after `now`, in UTC, which is the time of a cluster's controllers unless they are told otherwise.
///
/// # Errors
/// A schedule that is none of Kubernetes': five fields, or a word such as `@daily`.
pub fn next(schedule: &str, now: Timestamp) -> Result<Timestamp, ScheduleError> {
    let error = |reason: &str| ScheduleError { schedule: schedule.to_owned(), reason: reason.to_owned() };
    let text = schedule.trim();
    if text.contains("TZ=") {
        return Err(error("Kubernetes takes no time zone in a schedule"));
    }
    let is_word = text.starts_with('@');
    if !is_word && text.split_whitespace().count() != 5 {
        return Err(error("five fields are needed: minute, hour, day of month, month, day of week"));
    }
    // Further fields of the library's dialect; names of months and days hold none of these letters behind a digit.
    let odd = |field: &str| {
        field.contains('#')
            || field.chars().zip(field.chars().skip(1)).any(|(a, b)| a.is_ascii_digit() && matches!(b, 'L' | 'W' | 'l' | 'w'))
            || matches!(field, "L" | "l" | "W" | "w")
    };
    if !is_word && text.split_whitespace().any(odd) {
        return Err(error("L, W and # are not known to Kubernetes"));
    }
    let cron: Cron = text.parse().map_err(|reason: croner::errors::CronError| error(&reason.to_string()))?;
    let found = cron.find_next_occurrence(&now.to_zoned(TimeZone::UTC), false).map_err(|reason| error(&reason.to_string()))?;
    Ok(found.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time() {
        let now: Timestamp = "2026-11-25T20:03:30Z".parse().unwrap();
        for (schedule, wanted) in [
            ("*/5 * * * *", "2026-11-25T20:05:00Z"),
            ("@daily", "2026-11-26T00:00:00Z"),
            ("@hourly", "2026-11-25T21:00:00Z"),
            ("0 3 * * 1", "2026-11-30T03:00:00Z"),
            // Either of the two days, as cron has it.
            ("0 0 28 * 5", "2026-11-27T00:00:00Z"),
            ("0 0 1 JAN *", "2027-01-01T00:00:00Z"),
            (" 30 20 * * * ", "2026-11-25T20:30:00Z"),
        ] {
            assert_eq!(next(schedule, now).map(|time| time.to_string()).as_deref(), Ok(wanted), "{schedule}");
        }
        for schedule in ["", "* * * *", "0 * * * * *", "0 0 L * *", "0 0 15W * *", "0 0 * * 1#2", "CRON_TZ=UTC 0 0 * * *", "99 * * * *", "@never"] {
            assert!(next(schedule, now).is_err(), "{schedule}");
        }
    }
}
