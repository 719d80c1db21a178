//! `kubectl kubestash repo`: make a repository, or tell about it.

use clap::{Args, Subcommand};

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    errors::hinted,
    exit,
    output::{print_bytes, size, structured, time},
};

/// Make a repository, or tell about it
#[derive(Debug, Args)]
pub struct RepoArgs {
    #[command(subcommand)]
    pub command: RepoCommand,
}

#[derive(Debug, Subcommand)]
pub enum RepoCommand {
    /// Make an empty repository
    Init,
    /// Tell where the repository is and what it holds
    Info(OutputArgs),
}

pub async fn run(args: &RepoArgs, context: &CliContext) -> anyhow::Result<u8> {
    match &args.command {
        RepoCommand::Init => {
            if context.repository(false).await.is_ok() {
                return Err(hinted("there is a repository already", "`kubectl kubestash repo info` tells about it"));
            }
            let open = context.repository(true).await?;
            print_bytes(format!("{}\n", open.place).as_bytes())?;
        }
        RepoCommand::Info(output) => info(output.output, context).await?,
    }
    Ok(exit::OK)
}

async fn info(format: Format, context: &CliContext) -> anyhow::Result<()> {
    let open = context.repository(false).await?;
    let list = open.list(context).await?;
    let stored: u64 = open.directory.list("").await?.iter().map(|entry| entry.size).sum();
    let config = open.repository.config();
    let info = serde_json::json!({
        "place": open.place, "directory": open.entry.path, "id": config.id, "created": config.created.to_string(),
        "formatVersion": kubestash::repository::VERSION, "access": open.repository.access(), "snapshots": list.roots.len(), "storedBytes": stored,
        "newest": list.roots.last().map(|root| root.name.clone()),
    });
    if matches!(format, Format::Json | Format::Yaml) {
        return structured(&info, format == Format::Yaml);
    }
    let newest = list.roots.last().map_or_else(|| "none".to_owned(), |root| format!("{} ({} UTC)", root.name, time(root.time)));
    let text = format!(
        "Place:      {}\nDirectory:  {}\nId:         {}\nCreated:    {} UTC\nFormat:     version {}\nAccess:     {}\nSnapshots:  {}\nNewest:     {newest}\nStored:     {}\n",
        open.place,
        open.entry.path,
        config.id,
        time(config.created),
        kubestash::repository::VERSION,
        serde_json::to_value(open.repository.access())?.as_str().unwrap_or_default(),
        list.roots.len(),
        size(stored),
    );
    print_bytes(text.as_bytes())
}
