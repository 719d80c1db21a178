//! The floor of a backup: every kind listed as it comes, eight connections, the bodies dropped.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use kubestash::{
    cluster::{Cluster, Method, percent_encode},
    object::KindInfo,
};

use super::process::own_cpu_seconds;

/// Kinds listed side by side.
const CONNECTIONS: usize = 8;
/// How much of a body's ends is looked at for the token of the next page.
const END: usize = 4096;

/// What listing everything took.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// Seconds.
    pub seconds: f64,
    /// Own processor seconds.
    pub cpu_seconds: f64,
    /// Bytes of all bodies.
    pub bytes: u64,
}

fn path(kind: &KindInfo) -> String {
    let root = if kind.group.is_empty() { "/api" } else { "/apis" };
    format!("{root}/{}/{}", kind.api_version(), kind.resource)
}

/// The token in the head or the tail of a LIST body. Built-in kinds have their metadata first, custom resources last.
fn next_token(head: &[u8], tail: &[u8]) -> Option<String> {
    const KEY: &str = "\"continue\":\"";
    let value = |text: &str| text.split_once(KEY).map(|(_, rest)| rest.chars().take_while(|&c| c != '"').collect::<String>());
    let (head, tail) = (String::from_utf8_lossy(head), String::from_utf8_lossy(tail));
    let before = head.split("\"items\":").next().and_then(value);
    let after = || tail.rsplit_once("],\"kind\"").and_then(|(_, metadata)| value(metadata));
    before.or_else(after).filter(|token| !token.is_empty())
}

/// All pages of a kind, one after the other, each piece given away as it comes.
async fn pages(cluster: &Cluster, kind: &KindInfo, page: usize, each: &(dyn Fn(&[u8]) + Sync)) -> anyhow::Result<()> {
    let mut query = format!("limit={page}");
    loop {
        let path = format!("{}?{query}", path(kind));
        let mut body = cluster.stream(Method::Get, &path, "application/json", Bytes::new()).await.with_context(|| format!("cannot list {path}"))?;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        while let Some(piece) = body.next().await? {
            if head.len() < END {
                head.extend_from_slice(&piece[..piece.len().min(END - head.len())]);
            }
            tail.extend_from_slice(&piece[piece.len().saturating_sub(END)..]);
            tail.drain(..tail.len().saturating_sub(END));
            each(&piece);
        }
        match next_token(&head, &tail) {
            Some(token) => query = format!("limit={page}&continue={}", percent_encode(&token)),
            None => return Ok(()),
        }
    }
}

/// Lists all kinds and drops what comes.
///
/// # Errors
/// The first kind that cannot be listed.
pub async fn list(cluster: &Cluster, kinds: &[KindInfo], page: usize) -> anyhow::Result<Listing> {
    let (start, cpu, bytes) = (Instant::now(), own_cpu_seconds(), AtomicU64::new(0));
    let count = |piece: &[u8]| {
        bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
    };
    futures::stream::iter(kinds).map(|kind| pages(cluster, kind, page, &count)).buffer_unordered(CONNECTIONS).try_collect::<()>().await?;
    Ok(Listing { seconds: start.elapsed().as_secs_f64(), cpu_seconds: own_cpu_seconds() - cpu, bytes: bytes.into_inner() })
}

/// Bytes of everything listed, packed with gzip: what a plain archive of the cluster would take.
///
/// # Errors
/// A kind that cannot be listed, or no gzip.
pub async fn gzipped(cluster: &Cluster, kinds: &[KindInfo], page: usize) -> anyhow::Result<u64> {
    let gzip = Gzip::start()?;
    for kind in kinds {
        pages(cluster, kind, page, &|piece| gzip.write(piece)).await?;
    }
    gzip.finish()
}

/// A gzip that counts what it makes.
pub struct Gzip {
    child: std::process::Child,
    input: Mutex<std::process::ChildStdin>,
    counter: std::thread::JoinHandle<std::io::Result<u64>>,
}

impl Gzip {
    /// Starts one.
    ///
    /// # Errors
    /// When there is no gzip.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new("gzip").arg("-6").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start gzip")?;
        let (input, mut output) = (child.stdin.take().context("gzip reads nothing")?, child.stdout.take().context("gzip writes nothing")?);
        let counter = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self { child, input: Mutex::new(input), counter })
    }

    /// Packs bytes. A gzip that ended early is found out at the end.
    pub fn write(&self, bytes: &[u8]) {
        let _ = self.input.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes);
    }

    /// Bytes it made of all that was written.
    ///
    /// # Errors
    /// When gzip failed.
    pub fn finish(mut self) -> anyhow::Result<u64> {
        drop(self.input);
        anyhow::ensure!(self.child.wait()?.success(), "gzip failed");
        Ok(self.counter.join().expect("counting does not panic")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_both_kinds_of_lists() {
        for (body, token) in [
            (r#"{"kind":"PodList","metadata":{"resourceVersion":"1","continue":"abc","remainingItemCount":3},"items":[{"a":1}]}"#, Some("abc")),
            (r#"{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[{"x":"\"continue\":\"no\""}]}"#, None),
            (r#"{"apiVersion":"x/v1","items":[{"continue":"no"}],"kind":"L","metadata":{"continue":"def","resourceVersion":"1"}}"#, Some("def")),
            (r#"{"apiVersion":"x/v1","items":[{"continue":"no"}],"kind":"L","metadata":{"continue":"","resourceVersion":"1"}}"#, None),
        ] {
            assert_eq!(next_token(body.as_bytes(), body.as_bytes()).as_deref(), token, "{body}");
        }
    }

    #[test]
    fn gzip_counts() {
        let gzip = Gzip::start().unwrap();
        gzip.write(&b"a".repeat(100_000));
        let packed = gzip.finish().unwrap();
        assert!((20..1000).contains(&packed), "{packed}");
    }
}
