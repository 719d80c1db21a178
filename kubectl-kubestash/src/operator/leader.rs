//! One operator works at a time: the holder of a Lease.
//!
//! Work is safe also when two do it for a moment, because every write is idempotent or conditional; the Lease keeps them from doing
//! everything twice. Who loses it ends its process, and comes back as one that waits.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, Client, api::PostParams};

use crate::resources::namespaced;

const NAME: &str = "kubestash-operator";
/// Without renewal for so long, the Lease is free.
const VALID: SignedDuration = SignedDuration::from_secs(15);
const RENEW: Duration = Duration::from_secs(4);

/// What to do about a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    /// It is ours, or free.
    Take,
    /// Somebody else has it.
    Wait,
}

fn decide(lease: Option<&LeaseSpec>, own: &str, now: Timestamp) -> Move {
    let Some(lease) = lease else { return Move::Take };
    let free = match (&lease.holder_identity, &lease.renew_time) {
        (None, _) => true,
        (Some(holder), _) if holder.is_empty() || holder == own => true,
        (_, None) => true,
        (_, Some(renewed)) => now.duration_since(renewed.0) > VALID,
    };
    if free { Move::Take } else { Move::Wait }
}

fn taken(old: Option<&LeaseSpec>, own: &str, now: Timestamp) -> LeaseSpec {
    let same = old.is_some_and(|old| old.holder_identity.as_deref() == Some(own));
    let transitions = old.and_then(|old| old.lease_transitions).unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(own.to_owned()),
        lease_duration_seconds: i32::try_from(VALID.as_secs()).ok(),
        acquire_time: old.filter(|_| same).and_then(|old| old.acquire_time.clone()).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if same || old.is_none() { transitions } else { transitions + 1 }),
        ..LeaseSpec::default()
    }
}

/// Takes or renews the Lease; false when somebody else has it.
async fn hold(api: &Api<Lease>, own: &str) -> kube::Result<bool> {
    let now = Timestamp::now();
    let found = api.get_opt(NAME).await?;
    let old = found.as_ref().and_then(|lease| lease.spec.as_ref());
    if decide(old, own, now) == Move::Wait {
        return Ok(false);
    }
    let spec = Some(taken(old, own, now));
    let written = match found {
        Some(lease) => api.replace(NAME, &PostParams::default(), &Lease { spec, ..lease }).await,
        None => {
            let mut lease = Lease { spec, ..Lease::default() };
            lease.metadata.name = Some(NAME.to_owned());
            api.create(&PostParams::default(), &lease).await
        }
    };
    match written {
        Ok(_) => Ok(true),
        // Another one was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until the Lease is ours.
pub async fn acquire(client: &Client, namespace: &str, own: &str) {
    let api = namespaced(client, namespace);
    loop {
        match hold(&api, own).await {
            Ok(true) => return,
            Ok(false) => tracing::debug!("another operator leads"),
            Err(error) => tracing::warn!("the Lease {namespace}/{NAME} cannot be taken: {error}"),
        }
        tokio::time::sleep(RENEW).await;
    }
}

/// Renews the Lease; returns when it is lost.
pub async fn keep(client: &Client, namespace: &str, own: &str) {
    let api = namespaced(client, namespace);
    let mut renewed = Timestamp::now();
    // Given up a renewal before another one may take it.
    while Timestamp::now().duration_since(renewed) < VALID - SignedDuration::from_secs(4) {
        match tokio::time::timeout(RENEW, hold(&api, own)).await {
            Ok(Ok(true)) => renewed = Timestamp::now(),
            Ok(Ok(false)) => return,
            Ok(Err(error)) => tracing::warn!("the Lease {namespace}/{NAME} cannot be renewed: {error}"),
            Err(_) => tracing::warn!("the Lease {namespace}/{NAME} cannot be renewed: the API server does not answer"),
        }
        tokio::time::sleep(RENEW / 2).await;
    }
}

/// Gives the Lease back, so that the next one need not wait.
pub async fn release(client: &Client, namespace: &str, own: &str) {
    let api: Api<Lease> = namespaced(client, namespace);
    if let Ok(Some(mut lease)) = api.get_opt(NAME).await
        && let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(own))
    {
        spec.holder_identity = None;
        let _ = api.replace(NAME, &PostParams::default(), &lease).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_it_is_free_or_old() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1000);
        let held = |holder: &str, ago: i64| LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            renew_time: Some(MicroTime(now - SignedDuration::from_secs(ago))),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        };
        assert_eq!(decide(None, "me", now), Move::Take);
        assert_eq!(decide(Some(&held("me", 100)), "me", now), Move::Take);
        assert_eq!(decide(Some(&held("other", 3)), "me", now), Move::Wait);
        assert_eq!(decide(Some(&held("other", 16)), "me", now), Move::Take);
        assert_eq!(decide(Some(&held("", 3)), "me", now), Move::Take);
        assert_eq!(taken(Some(&held("other", 16)), "me", now).lease_transitions, Some(4));
        assert_eq!(taken(Some(&held("me", 2)), "me", now).lease_transitions, Some(3));
        assert_eq!(taken(None, "me", now).lease_transitions, Some(0));
    }
}
