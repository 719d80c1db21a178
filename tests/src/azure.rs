//! A server that answers as Azure Blob Storage does: Azurite.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kubestash::store::{Credentials, Location, Provider, Store, StoreOptions};

use crate::{cache_folder, ports::free_port, watchdog::Watchdog};

/// The account that every Azurite has; its key is no secret, and stands in Microsoft's documentation.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The key of [`ACCOUNT`].
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const CONTAINER: &str = "container";

/// A running server with one container.
#[derive(Debug)]
pub struct AzureServer {
    port: u16,
    watchdog: Option<Watchdog>,
    process: Child,
    folder: tempfile::TempDir,
}

/// The server's program, which `make setup` puts into the cache.
fn azurite() -> PathBuf {
    let setup = std::fs::read_to_string(crate::tests_folder("setup")).unwrap();
    let version = setup.lines().find_map(|line| line.strip_prefix("azurite=")).unwrap();
    let path = cache_folder().join(format!("azurite-{version}/node_modules/azurite/dist/src/blob/main.js"));
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

impl AzureServer {
    /// Starts a server and makes its container.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let log = std::fs::File::create(path.join("log")).unwrap();
        let port = free_port("127.0.0.1");
        let watchdog = Watchdog::start("kill -KILL $(cat \"$1/pid\"); rm -rf \"$1\"", path);
        let process = Command::new("node")
            .arg(azurite())
            .args(["--blobHost", "127.0.0.1", "--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .args([format!("--blobPort={port}"), format!("--location={}", path.join("data").display())])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("node starts");
        std::fs::write(path.join("pid"), process.id().to_string()).unwrap();
        let server = Self { port, watchdog: Some(watchdog), process, folder };
        server.make_container();
        server
    }

    /// The client library makes no containers.
    fn make_container(&self) {
        let start = Instant::now();
        loop {
            let script = crate::tests_folder("src/azure_container.js");
            let made = Command::new("node").arg(script).args([&self.endpoint(), ACCOUNT, KEY, CONTAINER]).stdin(Stdio::null()).output().unwrap();
            if made.status.success() {
                return;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(60), "the Azure server does not get ready: {made:?}\n{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// `http://127.0.0.1:PORT/ACCOUNT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{ACCOUNT}", self.port)
    }

    /// How to reach it.
    pub fn options(&self) -> StoreOptions {
        let (account, endpoint) = (Some(ACCOUNT.to_owned()), Some(self.endpoint()));
        StoreOptions { endpoint, account, credentials: Credentials::AccountKey(KEY.to_owned()), ..StoreOptions::default() }
    }

    /// A store in its container.
    pub fn store(&self, prefix: &str) -> Store {
        Location::bucket(Provider::Azure, CONTAINER, prefix).unwrap().open(&self.options(), true).unwrap()
    }

    /// `--repo` and the variables that go with it.
    pub fn settings(&self, prefix: &str) -> (String, [(&'static str, String); 3]) {
        let variables =
            [("AZURE_STORAGE_ENDPOINT", self.endpoint()), ("AZURE_STORAGE_ACCOUNT", ACCOUNT.to_owned()), ("AZURE_STORAGE_KEY", KEY.to_owned())];
        (format!("az://{CONTAINER}/{prefix}"), variables)
    }
}

impl Drop for AzureServer {
    fn drop(&mut self) {
        drop(self.watchdog.take());
        // The watchdog killed it; nobody else collects it.
        let _ = self.process.wait();
    }
}
