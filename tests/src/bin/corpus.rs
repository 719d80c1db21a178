//! Writes the made-up cluster of the tests to disk, or loads it into a real one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use std::{fs::File, io::BufWriter, path::PathBuf};

use clap::{Parser, Subcommand};
use kubestash::cluster::{Cluster, ClusterArgs};
use kubestash_tests::corpus::{
    Corpus, Object, load,
    tree::{write_files, write_lines},
};

/// A made-up cluster, as large as you like
#[derive(Debug, Parser)]
struct Args {
    /// How many objects
    #[arg(long, global = true, default_value_t = 10_000)]
    objects: usize,
    /// Any text; the same text gives the same bytes
    #[arg(long, global = true, default_value = "1")]
    seed: String,
    /// Which later state of the same cluster
    #[arg(long, global = true, default_value_t = 0)]
    revision: u32,
    /// Share of the objects that each revision changes
    #[arg(long, global = true, default_value_t = 0.01)]
    changed: f64,
    #[command(subcommand)]
    target: Target,
}

#[derive(Debug, Subcommand)]
enum Target {
    /// A folder of YAML files: RESOURCE/namespaces/NAMESPACE/NAME.yaml
    Tree { folder: PathBuf },
    /// A file with one JSON object a line
    Lines {
        file: PathBuf,
        /// Without what only a server writes
        #[arg(long)]
        loadable: bool,
    },
    /// A running cluster, best one without controllers
    Load { kubeconfig: PathBuf },
    /// The changes of --revision, in a cluster that was loaded with the revision before
    Change { kubeconfig: PathBuf },
}

async fn connect(kubeconfig: PathBuf) -> anyhow::Result<Cluster> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(Cluster::connect(&ClusterArgs { kubeconfig: Some(kubeconfig), ..ClusterArgs::default() }).await?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let corpus = Corpus::new(args.objects, &args.seed).at_revision(args.revision).changing(args.changed);
    let written = match args.target {
        Target::Tree { folder } => write_files(corpus.iter(), &folder)?,
        Target::Lines { file, loadable } => {
            let target = BufWriter::new(File::create(file)?);
            if loadable { write_lines(corpus.iter().map(Object::loadable), target)? } else { write_lines(corpus.iter(), target)? }
        }
        Target::Load { kubeconfig } => return load::load(&connect(kubeconfig).await?, &corpus).await,
        Target::Change { kubeconfig } => {
            println!("{} objects changed", load::change(&connect(kubeconfig).await?, &corpus).await?);
            return Ok(());
        }
    };
    eprintln!("{} objects, {} bytes, {} on average", written.objects, written.bytes, written.bytes / written.objects.max(1));
    Ok(())
}
