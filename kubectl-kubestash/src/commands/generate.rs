//! `kubectl kubestash generate`: the files of `deploy/`, for those who build this program.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::cli::{CliContext, exit};

/// Write the manifests that are made from the code
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The directory, which is made if it is not there
    pub dir: PathBuf,
}

pub fn run(args: &GenerateArgs, context: &CliContext) -> anyhow::Result<u8> {
    let files = kubestash::deploy::files()?;
    for file in &files {
        let path = args.dir.join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    context.note(&format!("Wrote {} files to {}.", files.len(), args.dir.display()));
    Ok(exit::OK)
}
