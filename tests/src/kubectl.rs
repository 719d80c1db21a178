//! kubectl without a cluster, as the judge of YAML: what it reads in a text, and how it prints an object.
//!
//! `kubectl annotate --local` decodes what it is given, changes annotations and prints the result; asked to remove an annotation that is
//! not there it is a plain converter. Objects need an annotation of their own, or an empty map would be added: see [`object`].

use std::{collections::HashMap, io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::cluster;

/// An object of no known kind, ready for [`read`] and [`print`], with more members at its top.
pub fn object(name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": "test/v1", "kind": "Strings", "metadata": {"annotations": {"kept": "always"}, "name": name}});
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

/// What kubectl takes a YAML text for.
///
/// # Errors
/// kubectl's own words when it refuses the text.
pub fn read(yaml: &[u8]) -> Result<Value, String> {
    match run("json", yaml) {
        (_, Some(complaint)) => Err(complaint),
        (printed, None) => serde_json::from_str(&printed).map_err(|error| error.to_string()),
    }
}

/// How kubectl prints each object as YAML; nothing for one that it cannot print. Their names must differ.
pub fn print(objects: &[Value]) -> Vec<Option<String>> {
    let input: Vec<u8> = objects.iter().flat_map(|object| [object.to_string().into_bytes(), b"\n".to_vec()].concat()).collect();
    // It goes on behind an object that it cannot print.
    let mut printed: HashMap<String, String> =
        documents(&run("yaml", &input).0).into_iter().map(|document| (name_line(&document).to_owned(), document)).collect();
    objects.iter().map(|object| printed.remove(&format!("  name: {}", object["metadata"]["name"].as_str().unwrap()))).collect()
}

fn name_line(document: &str) -> &str {
    let metadata = document.lines().skip_while(|line| *line != "metadata:");
    metadata.skip(1).find(|line| line.starts_with("  name: ")).unwrap_or_default()
}

/// The documents of a YAML stream. Objects are indented wherever they hold text, so the line between two is never inside of one.
pub fn documents(stream: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in stream.split_inclusive('\n') {
        match documents.last_mut() {
            Some(last) if line != "---\n" => last.push_str(line),
            _ => documents.push(String::new()),
        }
    }
    documents.retain(|document| !document.is_empty());
    documents
}

/// What kubectl printed, and what it complained about if it failed.
fn run(output: &str, input: &[u8]) -> (String, Option<String>) {
    let mut child = cluster::kubectl()
        .args(["annotate", "--local", "--show-managed-fields", "-f", "-", "absent-", "-o", output])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // kubectl prints while it reads: both sides of a full pipe would wait for each other.
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // kubectl may stop reading at an error, which it tells itself.
    let _ = feeder.join();
    let complaint = (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned());
    (String::from_utf8(output.stdout).unwrap(), complaint)
}
