//! `kubectl kubestash version`.

use clap::Args;

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{print_bytes, structured},
};

/// Print the version of this program and of the repository format
#[derive(Debug, Args)]
pub struct VersionArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

pub async fn run(args: &VersionArgs, _context: &CliContext) -> anyhow::Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let format = kubestash::repository::VERSION;
    if matches!(args.output.output, Format::Json | Format::Yaml) {
        structured(&serde_json::json!({"version": version, "repositoryFormat": format}), args.output.output == Format::Yaml)?;
    } else {
        print_bytes(format!("kubectl-kubestash v{version}, repository format {format}\n").as_bytes())?;
    }
    Ok(exit::OK)
}
