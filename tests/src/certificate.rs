//! Certificates of servers that tests start.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Makes `cert.pem` and its `key.pem` in a folder, for an alternative name such as `IP:127.0.0.1`; gives the authority that signed it.
pub fn make(folder: &Path, name: &str) -> Vec<u8> {
    let script = "cd \"$1\" && exec 2>/dev/null \
        && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=tests \
        && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=server \
        && printf 'subjectAltName=%s\\nextendedKeyUsage=serverAuth\\n' \"$2\" >names \
        && openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem";
    let made = Command::new("sh").args(["-c", script, "certificate"]).arg(folder).arg(name).stdin(Stdio::null()).status().unwrap();
    assert!(made.success(), "openssl makes a certificate");
    std::fs::read(folder.join("ca.pem")).unwrap()
}
