//! A real S3 server: SeaweedFS.

use std::{
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use kubestash::store::{Credentials, Location, Provider, Store, StoreOptions};

use crate::{cache_folder, certificate, ports::free_port, watchdog::Watchdog};

const CREDENTIALS: &str = r#"{"identities":[{"name":"admin","credentials":[{"accessKey":"testkey","secretKey":"testsecret"}],"actions":["Admin","Read","Write","List","Tagging"]}]}"#;
const BUCKET: &str = "bucket";

/// A running server with one bucket.
#[derive(Debug)]
pub struct S3Server {
    address: String,
    port: u16,
    /// PEM of the authority that signed its certificate, where it has one.
    authority: Option<Vec<u8>>,
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

impl S3Server {
    /// Starts a server and waits for its bucket.
    pub fn start() -> Self {
        Self::start_with("127.0.0.1", false)
    }

    /// The same on an address of this machine that others reach too, such as [`crate::cluster::Cluster::machine_address`].
    pub fn start_at(address: &str) -> Self {
        Self::start_with(address, false)
    }

    /// Starts one that is reached by HTTPS only, with a certificate that an authority of its own signed.
    pub fn start_tls() -> Self {
        Self::start_with("127.0.0.1", true)
    }

    /// Between choosing ports and listening on them somebody else may take one: then the server ends, and is started with others.
    fn start_with(address: &str, tls: bool) -> Self {
        for _ in 0..3 {
            let mut server = Self::try_start(address, tls);
            if server.gets_ready() {
                return server;
            }
        }
        panic!("the S3 server does not get ready");
    }

    fn try_start(address: &str, tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join("s3.json"), CREDENTIALS).unwrap();
        let log = std::fs::File::create(path.join("log")).unwrap();
        let [port, master, volume, filer] = std::array::from_fn(|_| free_port(address));
        let watchdog = Watchdog::start("kill -KILL $(cat \"$1/pid\"); rm -rf \"$1\"", path);
        let authority = tls.then(|| certificate::make(path, "IP:127.0.0.1"));
        let https = free_port(address);
        let mut command = Command::new(weed());
        command.arg("mini");
        if tls {
            let file = |name: &str| path.join(name).display().to_string();
            command.args([
                format!("-s3.port.https={https}"),
                format!("-s3.cert.file={}", file("cert.pem")),
                format!("-s3.key.file={}", file("key.pem")),
            ]);
        }
        let process = command
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
        let port = if tls { https } else { port };
        Self { address: address.to_owned(), port, authority, watchdog: Some(watchdog), process, _folder: folder }
    }

    fn gets_ready(&mut self) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) && self.process.try_wait().unwrap().is_none() {
            let answers = TcpStream::connect((self.address.as_str(), self.port)).is_ok();
            if answers && runtime.block_on(async { self.store("ready").put("ready", "yes".into()).await.is_ok() }) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        false
    }

    /// `http://ADDRESS:PORT`, or `https://…`.
    pub fn endpoint(&self) -> String {
        format!("{}://{}:{}", if self.authority.is_some() { "https" } else { "http" }, self.address, self.port)
    }

    /// How to reach it.
    pub fn options(&self) -> StoreOptions {
        let credentials = Credentials::AccessKey { id: "testkey".to_owned(), secret: "testsecret".to_owned(), session_token: None };
        StoreOptions { endpoint: Some(self.endpoint()), credentials, ca_certificate: self.authority.clone(), ..StoreOptions::default() }
    }

    /// Id of its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// A store in its bucket.
    pub fn store(&self, prefix: &str) -> Store {
        Location::bucket(Provider::S3, BUCKET, prefix).unwrap().open(&self.options(), true).unwrap()
    }

    /// Makes a bucket in which everything is kept for so many days, and gives a store in it.
    pub fn locked_store(&self, bucket: &str, days: u32) -> Store {
        let rule = format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>{days}</Days>\
             </DefaultRetention></Rule></ObjectLockConfiguration>"
        );
        let url = format!("{}/{bucket}", self.endpoint());
        let put = |args: &[&str]| {
            let signed = ["-sf", "-X", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "testkey:testsecret"];
            // The version of curl in Debian signs no body.
            let mut curl = Command::new("curl");
            curl.args(signed).args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]).args(args).stdin(Stdio::null());
            assert!(curl.status().unwrap().success(), "{args:?}");
        };
        put(&["-H", "x-amz-bucket-object-lock-enabled: true", &url]);
        put(&["-H", "Content-Type: application/xml", "--data-binary", &rule, &format!("{url}?object-lock=")]);
        Location::bucket(Provider::S3, bucket, "p").unwrap().open(&self.options(), true).unwrap()
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
