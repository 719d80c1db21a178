//! `kubectl kubestash key`: the passwords of a repository.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kubestash::repository::{Access, KeyCost, Password};

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    output::{print_bytes, structured, table, time},
    repo::{read_password, write_private},
};

/// Manage the passwords of the repository
#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List the keys
    List(OutputArgs),
    /// Add a password
    Add {
        /// File with the new password; it is made with a random one if it does not exist
        #[arg(long, value_name = "FILE")]
        new_password_file: PathBuf,
        /// Whose password it is
        #[arg(long, default_value = "")]
        label: String,
        /// Open everything but the values of Secrets
        #[arg(long)]
        general_only: bool,
    },
    /// Change the password that opens the repository now; what it opens and its label stay
    Change {
        /// File with the new password; it is made with a random one if it does not exist
        #[arg(long, value_name = "FILE")]
        new_password_file: PathBuf,
    },
    /// Remove a password by the id of its key
    Remove {
        /// Id or its unique beginning, as listed
        id: String,
    },
}

pub async fn run(args: &KeyArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    match &args.command {
        KeyCommand::List(output) => {
            let list = open.repository.keys().await?;
            for (id, error) in &list.damaged {
                context
                    .note(&format!("warning: {error}\nIf nobody needs its password any more, remove it with `kubectl kubestash key remove {id}`."));
            }
            let keys = list.keys;
            if matches!(output.output, Format::Json | Format::Yaml) {
                structured(&keys, output.output == Format::Yaml)?;
            } else {
                let access = |access| if access == Access::Full { "full" } else { "general" };
                let rows: Vec<Vec<String>> = keys
                    .iter()
                    .map(|key| {
                        vec![
                            format!("{}{}", key.id, if key.current { "*" } else { "" }),
                            access(key.access).to_owned(),
                            time(key.created),
                            key.label.clone(),
                        ]
                    })
                    .collect();
                print_bytes(table(&["ID", "ACCESS", "CREATED (UTC)", "LABEL"], &rows).as_bytes())?;
            }
        }
        KeyCommand::Add { new_password_file, label, general_only } => {
            let password = new_password(new_password_file, context)?;
            let access = if *general_only { Access::General } else { Access::Full };
            let id = open.repository.add_key(&password, access, KeyCost::default(), label, Timestamp::now()).await.context("cannot add the key")?;
            print_bytes(format!("{id}\n").as_bytes())?;
        }
        KeyCommand::Change { new_password_file } => {
            let password = new_password(new_password_file, context)?;
            let (old, new) =
                open.repository.change_key(&password, KeyCost::default(), Timestamp::now()).await.context("cannot change the password")?;
            print_bytes(format!("{new}\n").as_bytes())?;
            context.note(&format!("The old password (key {old}) opens the repository no more. Keep a copy of the new one somewhere else."));
        }
        KeyCommand::Remove { id } => {
            let removed = open.repository.remove_key(id).await.context("cannot remove the key")?;
            print_bytes(format!("removed {removed}\n").as_bytes())?;
        }
    }
    Ok(exit::OK)
}

/// The password of a file, which is made with a random one where it does not exist.
fn new_password(path: &Path, context: &CliContext) -> anyhow::Result<Password> {
    if !path.exists() {
        let password = Password::generate()?;
        write_private(path, password.expose())?;
        context.note(&format!("Made a random password in {}.", path.display()));
    }
    read_password(path)
}
