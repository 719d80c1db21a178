//! A process of the torture; see `kubestash_tests::torture`.

use clap::Parser;
use kubestash_tests::torture::Role;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

fn main() -> anyhow::Result<()> {
    Cli::parse().role.play()
}
