//! A real S3 server: SeaweedFS.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kubestash::store::{Credentials, Location, Store, StoreOptions};

use crate::{cache_folder, watchdog::Watchdog};

const CREDENTIALS: &str = r#"{"identities":[{"name":"admin","credentials":[{"accessKey":"testkey","secretKey":"testsecret"}],"actions":["Admin","Read","Write","List","Tagging"]}]}"#;
const BUCKET: &str = "bucket";

/// A running server with one bucket.
#[derive(Debug)]
pub struct S3Server {
    address: String,
    port: u16,
    watchdog: Option<Watchdog>,
    process: Child,
    _folder: tempfile::TempDir,
}

/// The server's program, which `make setup` puts into the cache.
fn weed() -> PathBuf {
    let path = cache_folder().join("venv/bin/weed");
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

fn free_port(address: &str) -> u16 {
    // A gRPC port is taken 10,000 above each.
    loop {
        let port = TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind((address, port + 10_000)).is_ok() {
            return port;
        }
    }
}

impl S3Server {
    /// Starts a server and waits for its bucket.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// The same on an address of this machine that others reach too, such as [`crate::cluster::Cluster::machine_address`].
    pub fn start_at(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join("s3.json"), CREDENTIALS).unwrap();
        let log = std::fs::File::create(path.join("log")).unwrap();
        let [port, master, volume, filer] = std::array::from_fn(|_| free_port(address));
        let watchdog = Watchdog::start("kill -KILL $(cat \"$1/pid\"); rm -rf \"$1\"", path);
        let process = Command::new(weed())
            .arg("mini")
            .args([format!("-ip={address}"), format!("-ip.bind={address}")])
            .args(["-s3.port.iceberg=0", "-webdav=false", "-admin.ui=false", "-volume.preStopSeconds=0"])
            .args([format!("-dir={}", path.display()), format!("-s3.config={}", path.join("s3.json").display()), format!("-bucket={BUCKET}")])
            .args([format!("-s3.port={port}"), format!("-master.port={master}"), format!("-volume.port={volume}"), format!("-filer.port={filer}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        std::fs::write(path.join("pid"), process.id().to_string()).unwrap();
        let server = Self { address: address.to_owned(), port, watchdog: Some(watchdog), process, _folder: folder };
        server.wait();
        server
    }

    fn wait(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            let answers = TcpStream::connect((self.address.as_str(), self.port)).is_ok();
            if answers && runtime.block_on(async { self.store("ready").put("ready", "yes".into()).await.is_ok() }) {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("the S3 server does not get ready");
    }

    /// `http://ADDRESS:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", self.address, self.port)
    }

    /// A store in its bucket.
    pub fn store(&self, prefix: &str) -> Store {
        let credentials = Credentials::AccessKey { id: "testkey".to_owned(), secret: "testsecret".to_owned(), session_token: None };
        let options = StoreOptions { endpoint: Some(self.endpoint()), credentials, ..StoreOptions::default() };
        Location::parse(&format!("s3://{BUCKET}/{prefix}")).unwrap().open(&options, true).unwrap()
    }

    /// `--repo` and the variables that go with it.
    pub fn settings(&self, prefix: &str) -> (String, [(&'static str, String); 3]) {
        let variables =
            [("AWS_ENDPOINT_URL", self.endpoint()), ("AWS_ACCESS_KEY_ID", "testkey".to_owned()), ("AWS_SECRET_ACCESS_KEY", "testsecret".to_owned())];
        (format!("s3://{BUCKET}/{prefix}"), variables)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.watchdog.take());
        // The watchdog killed it; nobody else collects it.
        let _ = self.process.wait();
    }
}
