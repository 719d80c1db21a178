//! Objects from JSON to the YAML of their parts, as a backup of new objects does with each.

use std::{hint::black_box, time::Instant};

use anyhow::Context as _;
use kubestash::object::{Parts, Sensitivity, TypeMeta, merge, split};

use super::{
    figure::{Figure, Target, median},
    stage::Stage,
};

/// Bytes of JSON in a round: more than the processor's caches, and soon done.
const BYTES: usize = 100 << 20;
const MB: f64 = 1e6;

/// One item as the API server lists it.
struct Item {
    json: String,
    api_version: String,
    kind: String,
}

/// `object.*`.
///
/// # Errors
/// When an object of the corpus cannot be split.
pub fn figures(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    // Spread over the whole corpus, so that a round has all kinds.
    let corpus = stage.corpus();
    let mut items = Vec::new();
    let (mut bytes, step) = (0, (corpus.len() * 4500 / BYTES).max(1));
    for object in corpus.iter().step_by(step) {
        let info = object.kind.info();
        let json = object.value.to_string();
        bytes += json.len();
        items.push(Item { json, api_version: info.api_version(), kind: info.kind });
    }
    let mut parts = Parts::default();
    let (mut emit, mut put_together, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..stage.options.rounds.max(3) {
        let start = Instant::now();
        for item in &items {
            serde_json::from_str::<serde::de::IgnoredAny>(&item.json).context("an object of the corpus is no JSON")?;
        }
        floor.push(bytes as f64 / MB / start.elapsed().as_secs_f64());

        let (mut written, start) = (0, Instant::now());
        for item in &items {
            let type_meta = TypeMeta { api_version: &item.api_version, kind: &item.kind };
            split(item.json.as_bytes(), type_meta, Sensitivity::Open, &mut parts)?;
            written += parts.manifest.len() + parts.status.len() + parts.server.len();
        }
        emit.push(written as f64 / MB / start.elapsed().as_secs_f64());

        let (mut merged, mut seconds) = (0, 0.0);
        for item in &items {
            let type_meta = TypeMeta { api_version: &item.api_version, kind: &item.kind };
            split(item.json.as_bytes(), type_meta, Sensitivity::Open, &mut parts)?;
            let start = Instant::now();
            merged += black_box(merge(&parts.manifest, &parts.status, &parts.server)?).len();
            seconds += start.elapsed().as_secs_f64();
        }
        put_together.push(merged as f64 / MB / seconds);
    }
    let floor = median(floor);
    let note = format!("MB of YAML; floor: serde_json skipping over the same {:.0} MB of JSON, {} objects", bytes as f64 / MB, items.len());
    Ok(vec![
        Figure::rate("object.emit", median(emit).unwrap_or_default(), "MB/s").over(floor).aims_at(Target::Value(150.0)).noting(note),
        Figure::rate("object.merge", median(put_together).unwrap_or_default(), "MB/s"),
    ])
}
