//! The operator.
use clap::Args;
use crate::cli::CliContext;
/// Run the operator
#[derive(Debug, Args)]
pub struct OperatorArgs {}
pub async fn run(_args: &OperatorArgs, _context: &CliContext) -> anyhow::Result<u8> {
    Ok(0)
}
