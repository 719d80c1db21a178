//! A Kubernetes control plane for a test.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use kubestash::{
    cluster::{self, ClusterArgs},
    collect::{self, Filters, Progress},
    repository::{BackupOptions, CommitInfo, Repository, Snapshot},
};

use crate::{tests_folder, watchdog::Watchdog};

/// A running control plane, or the cluster of `KUBESTASH_TEST_KUBECONFIG`. Dropping it ends what was started.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    folder: Option<tempfile::TempDir>,
    _watchdog: Option<Watchdog>,
}

impl Cluster {
    /// A new cluster with controllers; ready in some seconds.
    pub fn start() -> Self {
        Self::start_with("yes")
    }

    /// Without controllers, for loading many objects undisturbed.
    pub fn without_controllers() -> Self {
        Self::start_with("no")
    }

    /// One cluster for all tests of a process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start_with(controllers: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if let Some(kubeconfig) = std::env::var_os("KUBESTASH_TEST_KUBECONFIG") {
            return Self { kubeconfig: kubeconfig.into(), folder: None, _watchdog: None };
        }
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let script = tests_folder("devcluster/devcluster");
        let watchdog = Watchdog::start(&format!("'{}' down \"$1\"", script.display()), &state);
        let output = Command::new(&script).arg("up").arg(&state).env("CONTROLLERS", controllers).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "the cluster does not start");
        Self { kubeconfig: state.join("admin.kubeconfig"), folder: Some(folder), _watchdog: Some(watchdog) }
    }

    /// Its kubeconfig, of a user who may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Folder with the processes' logs and ids; nothing for a cluster that was given.
    pub fn state(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("state"))
    }

    /// A connection of the library.
    pub async fn connect(&self) -> cluster::Cluster {
        self.connect_as(None).await
    }

    /// The same as another user.
    pub async fn connect_as(&self, user: Option<&str>) -> cluster::Cluster {
        let args = ClusterArgs { kubeconfig: Some(self.kubeconfig.clone()), as_user: user.map(str::to_owned), ..ClusterArgs::default() };
        cluster::Cluster::connect(&args).await.unwrap()
    }

    /// Runs kubectl and gives what it printed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_with_input(args, "")
    }

    /// The same with something to read.
    pub fn kubectl_with_input(&self, args: &[&str], input: &str) -> String {
        let mut child = Command::new(tests_folder("devcluster/devcluster"))
            .arg("kubectl")
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

    /// Applies a text of YAML documents.
    pub fn apply(&self, text: &str) {
        self.kubectl_with_input(&["apply", "--server-side", "-f", "-"], text);
    }

    /// Applies folders of the corpus, one after the other, and waits for the definitions in them.
    pub fn apply_corpus(&self, folders: &[&str]) {
        for folder in folders {
            self.kubectl(&["apply", "--server-side", "-f", tests_folder("corpus").join(folder).to_str().unwrap()]);
            self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        }
    }

    /// Everything the demo shows too: kube-prometheus, the Gateway API's definitions, an application.
    pub fn apply_everything(&self) {
        self.apply_corpus(&["gateway-api", "kube-prometheus/setup", "kube-prometheus", "shop"]);
    }

    /// Waits until controllers have made what they make.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(4)).await;
    }

    /// Backs everything up into a repository.
    pub async fn snapshot(&self, repository: &Repository, name: &str) -> Snapshot {
        let cluster = self.connect().await;
        let filters = Filters::default();
        let plan = collect::plan(&cluster.discover().await.unwrap(), &filters).unwrap();
        let writers = Arc::new(vec![repository.backup(BackupOptions::default()).await.unwrap()]);
        let report = collect::collect(&cluster, &plan, &filters, Arc::clone(&writers), &Arc::new(Progress::default())).await.unwrap();
        let writer = Arc::into_inner(writers).unwrap().pop().unwrap();
        let info = CommitInfo {
            name: name.to_owned(),
            time: jiff::Timestamp::now(),
            cluster: cluster.identity().await.unwrap(),
            filters: serde_json::to_value(&filters).unwrap(),
            resource_version: report.resource_version,
            kinds: report.kinds,
            failed_groups: report.failed_groups,
            tags: Vec::new(),
            duration_ms: 0,
        };
        let root = writer.commit(info).await.unwrap();
        repository.open_snapshot(&root).await.unwrap()
    }
}
