//! Waiting for new definitions: an object of a kind that is not served is refused.
//!
//! One watch tells of all of them. Discovery follows seconds later, but nothing here needs it: an established kind takes requests. With several
//! API servers one may know a kind before the other; creating objects is retried for that.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::Run;
use crate::{
    cluster::{ApiError, Event, Passing},
    restore::{
        order::Stage,
        plan::{Action, Step},
    },
};

const COLLECTION: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Before a watch is opened again, and between two looks at whether the restore was stopped.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize)]
struct Definition {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    message: String,
}

/// Waits until every new definition is established; what does not get there in time is reported, and its objects are not
/// attempted one by one. Time in which the API server does not answer is not counted, for as long as it is waited for elsewhere. Who may not
/// watch definitions finds out by writing the objects, which are tried for as long.
pub async fn wait(run: &Run) {
    let (mut end, mut outage) = (Instant::now() + run.patience.settle, Duration::ZERO);
    let created = run.plan.steps().filter(|step| step.action == Action::Create && Stage::of(&step.kind.group_resource()) == Stage::Definitions);
    // Those that could not be created are reported already.
    let mut waiting: BTreeMap<&str, (&Step, String)> =
        created.filter(|step| !run.is_broken(step)).map(|step| (step.name.as_str(), (step, "it is not there yet".to_owned()))).collect();
    while !waiting.is_empty() && Instant::now() < end && !run.stopped() {
        let began = Instant::now();
        let Err(error) = follow(run, &mut waiting, end).await else { continue };
        if error.status() == 403 {
            let told = format!("it is not known when new definitions are served ({error}); their objects are tried all the same");
            return run.report(|report| report.warnings.push(told));
        }
        waiting.values_mut().for_each(|(_, state)| *state = error.to_string());
        tokio::time::sleep(PAUSE).await;
        if error.passing() == Some(Passing::Outage) && outage < run.patience.outage {
            outage += began.elapsed();
            end += began.elapsed();
        }
    }
    for (step, why) in waiting.into_values() {
        run.breaks(step);
        run.report(|report| report.warn(step, [format!("not served: {why}")]));
    }
}

/// Follows one watch and strikes out what is established, until nothing is left, time is over or the watch ends.
async fn follow(run: &Run, waiting: &mut BTreeMap<&str, (&Step, String)>, end: Instant) -> Result<(), ApiError> {
    let mut watch = run.cluster.watch(COLLECTION, end.saturating_duration_since(Instant::now()).as_secs() + 1).await?;
    while !waiting.is_empty() && Instant::now() < end && !run.stopped() {
        let event = match tokio::time::timeout(PAUSE, watch.next::<Definition>()).await {
            Err(_) => continue,
            Ok(event) => event?,
        };
        match event {
            // Ended by the server: another one begins with all there is.
            None => {
                tokio::time::sleep(PAUSE).await;
                return Ok(());
            }
            Some(Event::State(definition)) => match missing(&definition.status.conditions) {
                None => drop(waiting.remove(definition.metadata.name.as_str())),
                Some(what) => {
                    if let Some((_, state)) = waiting.get_mut(definition.metadata.name.as_str()) {
                        *state = what;
                    }
                }
            },
            Some(Event::Deleted(definition)) => {
                if let Some((_, state)) = waiting.get_mut(definition.metadata.name.as_str()) {
                    *state = "it was deleted meanwhile".to_owned();
                }
            }
        }
    }
    Ok(())
}

/// What a definition still waits for; nothing when it is served.
fn missing(conditions: &[Condition]) -> Option<String> {
    for wanted in ["NamesAccepted", "Established"] {
        match conditions.iter().find(|one| one.kind == wanted) {
            Some(one) if one.status == "True" => {}
            Some(one) => return Some(format!("{wanted} is {}: {}", one.status, one.message)),
            None => return Some(format!("{wanted} is not reported yet")),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_served_when_both_conditions_hold() {
        let one = |kind: &str, status: &str, message: &str| Condition { kind: kind.into(), status: status.into(), message: message.into() };
        let with = |names: &str, established: &str| [one("NamesAccepted", names, "taken"), one("Established", established, "wait")];
        assert_eq!(missing(&with("True", "True")), None);
        assert_eq!(missing(&with("False", "False")).as_deref(), Some("NamesAccepted is False: taken"));
        assert_eq!(missing(&with("True", "False")).as_deref(), Some("Established is False: wait"));
        assert_eq!(missing(&[]).as_deref(), Some("NamesAccepted is not reported yet"));
    }
}
