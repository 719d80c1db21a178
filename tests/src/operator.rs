//! The operator as a process of this machine, with the rights of its own account: where no Pod is needed, or its memory is to be measured.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::{cluster::Cluster, ports::free_port, program::User};

/// The account that it acts as.
pub const ACCOUNT: &str = "system:serviceaccount:kubestash:kubestash-operator";
/// Name of an image that nobody has: Jobs are made, and no Pod of them starts.
pub const IMAGE: &str = "example.com/operator:1";

/// A running operator; it ends with this value.
#[derive(Debug)]
pub struct Operator {
    command: Command,
    process: Child,
    metrics: u16,
}

impl Operator {
    /// Installs everything into a cluster and runs the operator here. The API server calls its webhook at an address of this machine.
    pub fn beside(cluster: &Cluster, user: &User, more: &[&str]) -> Self {
        user.ok(&["install", "--image", IMAGE, "--no-wait"]);
        let (webhook, metrics) = (free_port("127.0.0.1"), free_port("127.0.0.1"));
        let url = json!([{"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": format!("https://127.0.0.1:{webhook}/validate")}}]);
        cluster.kubectl(&["patch", "validatingwebhookconfiguration", "kubestash-operator", "--type=json", "-p", &url.to_string()]);
        let (webhook, port) = (webhook.to_string(), metrics.to_string());
        let args = ["operator", "--as", ACCOUNT, "--image", IMAGE, "--webhook-host=127.0.0.1", "--webhook-port", &webhook, "--metrics-port", &port];
        let mut command = user.command(&[&args, more].concat());
        command.env("KUBESTASH_LOG", "kubectl_kubestash=info").stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let process = command.spawn().unwrap();
        Self { command, process, metrics }
    }

    /// Ends it and starts another one, which finds everything that is there.
    pub fn restart(&mut self) {
        self.end();
        self.process = self.command.spawn().unwrap();
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Id of its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// What it tells Prometheus; nothing before it listens.
    pub fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.metrics)).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end();
    }
}
