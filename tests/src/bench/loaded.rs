//! A cluster that holds the corpus: loaded now, or kept from a run before.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
};

use super::stage::Stage;
use crate::{
    cache_folder,
    cluster::Cluster,
    corpus::{Corpus, Object, load},
};

/// Starts a cluster with the corpus in it.
///
/// # Errors
/// The first object that the cluster does not take.
pub fn start(stage: &Stage) -> anyhow::Result<Cluster> {
    let corpus = stage.corpus();
    if !stage.options.keep {
        let cluster = Cluster::without_controllers();
        fill(stage, &cluster, &corpus)?;
        return Ok(cluster);
    }
    let kept = kept_folder(&corpus);
    if !kept.exists() {
        let cluster = Cluster::without_controllers();
        fill(stage, &cluster, &corpus)?;
        // Runs of other sizes and of older generators go: each holds a gigabyte.
        let _ = fs::remove_dir_all(kept.with_file_name(""));
        cluster.keep(&kept);
        stage.say(&format!("kept the loaded cluster in {}", kept.display()));
    }
    stage.say("starting the cluster that was kept");
    Ok(Cluster::resume(&kept))
}

fn fill(stage: &Stage, cluster: &Cluster, corpus: &Corpus) -> anyhow::Result<()> {
    stage.say(&format!("loading {} objects into a cluster", corpus.len()));
    stage.wait(async { load::load(&cluster.connect().await, corpus).await })
}

/// Named by what would be loaded, so that another generator finds nothing.
fn kept_folder(corpus: &Corpus) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for object in corpus.iter().map(Object::loadable) {
        object.value.to_string().hash(&mut hasher);
    }
    cache_folder().join("bench").join(format!("{:016x}", hasher.finish()))
}
