//! Watching a collection: one request, and an event for each change.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{ApiError, Cluster, ListBody, Method};

/// A watch that is open.
pub struct Watch {
    body: ListBody,
    rest: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
}

/// One change of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<T> {
    /// It is there, in this state.
    State(T),
    /// It has been deleted; its last state.
    Deleted(T),
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    code: u16,
    reason: String,
    message: String,
}

impl Cluster {
    /// Watches a collection by its path, beginning with a [`Event::State`] for every object that is there. The API server ends it after
    /// `seconds`, at most 55.
    ///
    /// # Errors
    /// The API server's refusal, or that there was no answer.
    pub async fn watch(&self, collection: &str, seconds: u64) -> Result<Watch, ApiError> {
        // Without a version it starts with all there is. It has to end before a silent connection is taken for a dead one.
        let path = format!("{collection}?watch=true&timeoutSeconds={}", seconds.clamp(1, 55));
        let body = self.stream(Method::Get, &path, "application/json", Bytes::new()).await?;
        Ok(Watch { body, rest: Vec::new(), lines: VecDeque::new() })
    }
}

impl Watch {
    /// The next change; `None` when the API server has ended the watch. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// The API server's refusal in the midst of it, a connection that was cut, an object that is not a `T`.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Event<T>>, ApiError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                match read(&line)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            let Some(piece) = self.body.next().await? else { return Ok(None) };
            self.take(&piece);
        }
    }

    /// Cuts what has come at the ends of lines.
    fn take(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.lines.push_back(std::mem::take(&mut self.rest));
            }
        }
    }
}

/// One line; nothing for marks that tell no change.
fn read<T: DeserializeOwned>(line: &[u8]) -> Result<Option<Event<T>>, ApiError> {
    let wrong = |error: serde_json::Error| ApiError::Malformed { reason: format!("an event of a watch: {error}") };
    let Line { kind, object } = serde_json::from_slice(line).map_err(wrong)?;
    let object = object.get();
    Ok(match kind.as_str() {
        "ADDED" | "MODIFIED" => Some(Event::State(serde_json::from_str(object).map_err(wrong)?)),
        "DELETED" => Some(Event::Deleted(serde_json::from_str(object).map_err(wrong)?)),
        "ERROR" => {
            let Status { code, reason, message } = serde_json::from_str(object).unwrap_or_default();
            return Err(ApiError::Refused { status: code, reason, message, retry_after: None });
        }
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_events() {
        let found = |line: &str| read::<serde_json::Value>(line.as_bytes()).map_err(|error| (error.status(), error.to_string()));
        let object = serde_json::json!({"a": 1});
        assert_eq!(found(r#"{"type":"ADDED","object":{"a":1}}"#), Ok(Some(Event::State(object.clone()))));
        assert_eq!(found(r#"{"type":"MODIFIED","object":{"a":1}}"#), Ok(Some(Event::State(object.clone()))));
        assert_eq!(found(r#"{"type":"DELETED","object":{"a":1}}"#), Ok(Some(Event::Deleted(object))));
        assert_eq!(found(r#"{"type":"BOOKMARK","object":{}}"#), Ok(None));
        assert_eq!(found(r#"{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}"#), Err((410, "too old".to_owned())));
        assert!(found("{").is_err());
    }
}
