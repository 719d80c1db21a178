//! A command in a container.

use std::time::Duration;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::{Client, ResourceExt as _, api::AttachParams};
use kubestash::session::hooks::HookError;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{run::failed, tail};
use crate::resources::namespaced;

/// So many bytes of the end of each output are kept,
const KEPT: usize = 2048;
/// and so many characters of them shown.
const SHOWN: usize = 400;

/// What a command printed last.
#[derive(Default)]
struct Printed {
    out: Vec<u8>,
    err: Vec<u8>,
}

/// Runs a command; it must end with the exit code 0 in time. One that does not end goes on in its container: nobody can stop it from here.
pub async fn run(client: &Client, pod: &Pod, container: &str, command: &[String], timeout: Duration) -> Result<(), HookError> {
    let mut printed = Printed::default();
    let running = attach(client, pod, container, command, &mut printed);
    let place = format!("in container {container} of Pod {}", pod.name_any());
    let why = match tokio::time::timeout(timeout, running).await {
        Ok(Ok(status)) => match verdict(status.as_ref()) {
            Ok(()) => return Ok(()),
            Err(why) => format!("the command {place} {why}"),
        },
        Ok(Err(error)) => return Err(failed(&format!("the command {place} cannot be run"), &error)),
        Err(_) => format!("the command {place} did not end within {}s", timeout.as_secs_f64().ceil()),
    };
    Err(HookError::Failed(format!("{why}{}", printed.shown())))
}

async fn attach(client: &Client, pod: &Pod, container: &str, command: &[String], printed: &mut Printed) -> kube::Result<Option<Status>> {
    let pods = namespaced::<Pod>(client, &pod.namespace().unwrap_or_default());
    let params = AttachParams::default().stdin(false).stdout(true).stderr(true).container(container);
    let mut process = pods.exec(&pod.name_any(), command, &params).await?;
    let (out, err) = (process.stdout(), process.stderr());
    let status = process.take_status();
    let status = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    let ((), (), status) = tokio::join!(keep(out, &mut printed.out), keep(err, &mut printed.err), status);
    Ok(status)
}

/// Reads to the end, and keeps the last bytes.
async fn keep(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 4096];
    while let Ok(count) = stream.read(&mut chunk).await {
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { return };
        kept.extend_from_slice(read);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}

/// Whether a command succeeded, or why not.
fn verdict(status: Option<&Status>) -> Result<(), String> {
    let Some(status) = status else { return Err("ended without a word: the connection to it was lost".to_owned()) };
    if status.status.as_deref() == Some("Success") {
        return Ok(());
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let code = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode")).find_map(|cause| cause.message.clone());
    match code {
        Some(code) => Err(format!("ended with exit code {code}")),
        None => Err(format!("cannot be run: {}", tail(status.message.as_deref().unwrap_or("no reason is known"), SHOWN))),
    }
}

impl Printed {
    /// Where a command complained, what it said there; else what it printed.
    fn shown(&self) -> String {
        let text = |bytes: &[u8]| tail(&String::from_utf8_lossy(bytes), SHOWN);
        match (text(&self.err), text(&self.out)) {
            (err, _) if !err.is_empty() => format!("; it said: {err}"),
            (_, out) if !out.is_empty() => format!("; it printed: {out}"),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn verdicts() {
        let status = |value: serde_json::Value| serde_json::from_value::<Status>(value).unwrap();
        assert_eq!(verdict(Some(&status(json!({"status": "Success"})))), Ok(()));
        let failed = status(json!({
            "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with non-zero exit code",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        }));
        assert_eq!(verdict(Some(&failed)).unwrap_err(), "ended with exit code 3");
        let missing = status(json!({"status": "Failure", "message": "exec: \"mysql\": executable file not found in $PATH"}));
        assert!(verdict(Some(&missing)).unwrap_err().contains("executable file not found"));
        assert!(verdict(None).unwrap_err().contains("the connection to it was lost"));
    }

    #[tokio::test]
    async fn the_end_of_the_output_is_kept() {
        let mut printed = Printed::default();
        let long = "x".repeat(100_000) + "\n last\twords\u{7} ";
        keep(Some(long.as_bytes()), &mut printed.out).await;
        assert_eq!(printed.out.len(), KEPT);
        let shown = printed.shown();
        assert!(shown.starts_with("; it printed: …xxx") && shown.ends_with("xxx last words"), "{shown}");
        assert!(shown.chars().count() < SHOWN + 30);
        keep(Some(&b"no\xffsuch table\n"[..]), &mut printed.err).await;
        assert_eq!(printed.shown(), "; it said: no\u{fffd}such table");
    }
}
