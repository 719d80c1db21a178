//! A Kubernetes control plane for a test.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use kubestash::{
    cluster::{self, ClusterArgs},
    collect::{self, Filters, Progress},
    repository::{BackupOptions, CommitInfo, Repository, Snapshot},
};

use crate::{tests_folder, watchdog::Watchdog};

/// The kubectl of `KUBEBUILDER_ASSETS`, or of the release that the clusters run.
pub fn kubectl() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|folder| PathBuf::from(folder).join("kubectl"));
    if let Some(given) = given.filter(|path| path.exists()) {
        return Command::new(given);
    }
    let binary = BINARY.get_or_init(|| {
        let built = Command::new(tests_folder("devcluster/devcluster")).arg("build").stderr(Stdio::inherit()).output().unwrap();
        assert!(built.status.success(), "the Kubernetes binary does not build");
        String::from_utf8(built.stdout).unwrap().trim().into()
    });
    let mut command = Command::new(binary);
    command.arg("kubectl");
    command
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success(), "{} cannot be copied", from.display());
}

/// A running control plane, or the cluster of `KUBESTASH_TEST_KUBECONFIG`. Dropping it ends what was started.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    folder: Option<PathBuf>,
    /// Folders of the corpus that were applied: some refuse to be applied again.
    applied: Mutex<BTreeSet<String>>,
    _watchdog: Option<Watchdog>,
}

impl Cluster {
    /// A new cluster with controllers; ready in some seconds.
    pub fn start() -> Self {
        Self::given().unwrap_or_else(Self::own)
    }

    /// Without controllers, for loading many objects undisturbed.
    pub fn without_controllers() -> Self {
        Self::given().unwrap_or_else(|| Self::up("CONTROLLERS=no", ""))
    }

    /// One cluster for all tests of a process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A new cluster even where another one is given: for tests of starting and ending.
    pub fn own() -> Self {
        Self::up("", "")
    }

    /// A new cluster with one node that runs pods, even where another one is given: images can be put only into a node of our own. Needs root.
    pub fn with_node() -> Self {
        Self::up("", "--node")
    }

    fn given() -> Option<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = std::env::var_os("KUBESTASH_TEST_KUBECONFIG")?;
        Some(Self { kubeconfig: kubeconfig.into(), folder: None, applied: Mutex::default(), _watchdog: None })
    }

    fn up(variables: &str, flags: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self::up_in(tempfile::tempdir().unwrap().keep(), variables, flags)
    }

    /// A cluster without controllers that goes on where [`Cluster::keep`] left another. The folder is copied and can be used again.
    pub fn resume(kept: &Path) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap().keep();
        copy(kept, &folder.join("state"));
        Self::up_in(folder, "CONTROLLERS=no", "")
    }

    /// Ends the cluster and keeps its data in a folder that is not there yet.
    pub fn keep(self, folder: &Path) {
        let state = self.state().expect("only a cluster that was started here can be kept");
        let entries = || std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        for file in entries().filter(|path| path.extension().is_some_and(|extension| extension == "pid")) {
            // The process, and when it was started.
            let record = std::fs::read_to_string(&file).unwrap();
            let process = record.split_whitespace().next().expect("a record names its process");
            assert!(Command::new("kill").args(["-KILL", process]).status().unwrap().success());
            while Path::new("/proc").join(process).join("exe").exists() {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::fs::remove_file(file).unwrap();
        }
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        // Half a copy must not be taken for a whole one.
        let half = folder.with_extension("half");
        let _ = std::fs::remove_dir_all(&half);
        copy(&state, &half);
        std::fs::rename(half, folder).unwrap();
    }

    /// The watchdog removes the folder, also when this process is killed.
    fn up_in(folder: PathBuf, variables: &str, flags: &str) -> Self {
        let script = tests_folder("devcluster/devcluster");
        let script = script.display();
        let begin = format!("{variables} '{script}' up \"$1/state\" {flags}");
        let watchdog = Watchdog::around(&begin, &format!("'{script}' down \"$1/state\" && rm -rf \"$1\""), &folder);
        Self { kubeconfig: folder.join("state/admin.kubeconfig"), folder: Some(folder), applied: Mutex::default(), _watchdog: Some(watchdog) }
    }

    /// Puts an image into its node, built from a folder with a Containerfile; pods need `imagePullPolicy: Never`.
    pub fn import_image(&self, tag: &str, folder: &Path) {
        let state = self.state().expect("only a cluster of our own takes images");
        let imported = Command::new(tests_folder("devcluster/devcluster")).arg("image").arg(state).arg(tag).arg(folder).status().unwrap();
        assert!(imported.success(), "the image {tag} cannot be imported");
    }

    /// Kills kubelet and containerd of its node, and starts them again.
    pub fn restart_node(&self) {
        let state = self.state().expect("only a node of our own can be restarted");
        let restarted = Command::new(tests_folder("devcluster/devcluster")).arg("restart-node").arg(state).status().unwrap();
        assert!(restarted.success(), "the node cannot be restarted");
    }

    /// Kills processes of its control plane as a crash would: `etcd`, `apiserver`, `controllers`, `scheduler`.
    pub fn crash(&self, names: &[&str]) {
        self.control("crash", names);
    }

    /// Starts what has crashed, and waits until the API server answers.
    pub fn start_again(&self, names: &[&str]) {
        self.control("again", names);
    }

    fn control(&self, what: &str, names: &[&str]) {
        let state = self.state().expect("only a control plane of our own can crash");
        let done = Command::new(tests_folder("devcluster/devcluster")).arg(what).arg(state).args(names).status().unwrap();
        assert!(done.success(), "{what} {names:?}");
    }

    /// Address of this machine that its pods and this machine itself reach: for servers that a test starts beside a cluster with a node.
    pub fn machine_address(&self) -> String {
        let text = std::fs::read_to_string(&self.kubeconfig).unwrap();
        let server = text.split_once("https://").unwrap().1.split(':').next().unwrap();
        // The link between machine and node is a net of four addresses: the machine has the one below the API server's.
        let mut address: std::net::Ipv4Addr = server.parse().unwrap();
        address = std::net::Ipv4Addr::from(u32::from(address) - 1);
        address.to_string()
    }

    /// Its kubeconfig, of a user who may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Folder with the processes' logs and ids; nothing for a cluster that was given.
    pub fn state(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join("state"))
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

    /// Runs kubectl, which must succeed, and gives what it printed.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.kubectl_with_input(args, "")
    }

    /// The same with something to read.
    pub fn kubectl_with_input(&self, args: &[&str], input: &str) -> String {
        self.try_kubectl(args, input).unwrap_or_else(|error| panic!("kubectl {args:?}: {error}"))
    }

    /// The same; what kubectl complained about is the error.
    ///
    /// # Errors
    /// What kubectl wrote to stderr when it failed.
    pub fn try_kubectl(&self, args: &[&str], input: &str) -> Result<String, String> {
        let mut command = kubectl();
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Applies again until it succeeds: a namespace gets its ServiceAccount, and a definition is served, only a moment later.
    fn apply_with_patience(&self, args: &[&str], input: &str) {
        let start = Instant::now();
        while let Err(error) = self.try_kubectl(args, input) {
            assert!(start.elapsed() < Duration::from_secs(60), "kubectl {args:?}: {error}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Applies a text of YAML documents.
    pub fn apply(&self, text: &str) {
        self.apply_with_patience(&["apply", "--server-side", "-f", "-"], text);
    }

    /// Applies folders of the corpus, one after the other and each once, and waits for the definitions in them.
    pub fn apply_corpus(&self, folders: &[&str]) {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folders {
            if !applied.insert((*folder).to_owned()) {
                continue;
            }
            self.apply_with_patience(&["apply", "--server-side", "-f", tests_folder("corpus").join(folder).to_str().unwrap()], "");
            // Waiting for none at all is an error of its own.
            if !self.kubectl(&["get", "crd", "-o", "name"]).is_empty() {
                self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
            }
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
        self.snapshot_of(repository, name, &Filters::default()).await
    }

    /// Backs up what filters take.
    pub async fn snapshot_of(&self, repository: &Repository, name: &str, filters: &Filters) -> Snapshot {
        let cluster = self.connect().await;
        let plan = collect::plan(&cluster.discover().await.unwrap(), filters).unwrap();
        let writers = Arc::new(vec![repository.backup(BackupOptions::default()).await.unwrap()]);
        let report = collect::collect(&cluster, &plan, filters, Arc::clone(&writers), &Arc::new(Progress::default())).await.unwrap();
        let writer = Arc::into_inner(writers).unwrap().pop().unwrap();
        let info = CommitInfo {
            name: name.to_owned(),
            id: None,
            time: jiff::Timestamp::now(),
            cluster: cluster.identity().await.unwrap(),
            filters: serde_json::to_value(filters).unwrap(),
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
