//! A running cluster and what restore tests do with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use kubestash::{
    cluster::{self, ClusterArgs, Discovery},
    collect::{Filters, Progress},
    compare,
    repository::{Repository, Snapshot},
};

/// A cluster that a test may change.
pub struct Cluster {
    kubeconfig: PathBuf,
    api: cluster::Cluster,
}

/// Folder of public manifests.
pub fn corpus(name: &str) -> PathBuf {
    let root = std::env::var_os("KUBESTASH_TEST_CORPUS").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus"), PathBuf::from);
    root.join(name)
}

impl Cluster {
    /// Connects to the cluster of `KUBESTASH_TEST_KUBECONFIG`.
    pub async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig =
            PathBuf::from(std::env::var_os("KUBESTASH_TEST_KUBECONFIG").expect("KUBESTASH_TEST_KUBECONFIG names a cluster to test with"));
        let args = ClusterArgs { kubeconfig: Some(kubeconfig.clone()), ..ClusterArgs::default() };
        Self { kubeconfig, api: cluster::Cluster::connect(&args).await.unwrap() }
    }

    pub fn api(&self) -> &cluster::Cluster {
        &self.api
    }

    pub async fn discover(&self) -> Discovery {
        self.api.discover().await.unwrap()
    }

    pub fn kubectl(&self, args: &[&str]) -> String {
        self.run(args, "")
    }

    fn run(&self, args: &[&str], input: &str) -> String {
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "kubectl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn apply_files(&self, folders: &[PathBuf]) {
        for folder in folders {
            self.run(&["apply", "--server-side", "-f", folder.to_str().unwrap()], "");
        }
        self.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "");
    }

    pub fn apply_text(&self, text: &str) {
        self.run(&["apply", "-f", "-"], text);
    }

    /// Waits until controllers have made what they make.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(4)).await;
    }

    pub async fn snapshot(&self, repository: &Repository) -> Snapshot {
        let (live, report) = compare::live(&self.api, repository, &Filters::default(), Vec::new(), &Arc::new(Progress::default())).await.unwrap();
        assert!(report.kinds.iter().all(|kind| !kind.outcome.is_gap()), "{:#?}", report.kinds);
        live
    }
}
