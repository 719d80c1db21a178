//! `kubectl kubestash key`: the passwords of a repository.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kubestash::repository::{Access, KeyCost, KeyInfo, Password, Repository};

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    ask::confirm,
    errors::hinted,
    exit,
    output::{count, print_bytes, structured, table, time},
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
    /// Make new data keys, so that a password that somebody has had opens nothing that is written from now on
    ///
    /// The passwords that you give stay; all others are removed, for a password that is not at hand cannot be given the new keys. What is there
    /// stays readable; `prune --re-encrypt` writes it anew under the new keys.
    Rotate {
        /// File with another password that stays; may be repeated
        #[arg(long = "keep-password-file", value_name = "FILE")]
        keep: Vec<PathBuf>,
        /// Only show which keys stay and which go
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
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
        KeyCommand::Rotate { keep, dry_run, yes } => return rotate(keep, *dry_run, *yes, &open.repository, context).await,
        KeyCommand::Remove { id } => {
            let removed = open.repository.remove_key(id).await.context("cannot remove the key")?;
            print_bytes(format!("removed {removed}\n").as_bytes())?;
        }
    }
    Ok(exit::OK)
}

async fn rotate(keep: &[PathBuf], dry_run: bool, yes: bool, repository: &Repository, context: &CliContext) -> anyhow::Result<u8> {
    let mut passwords = vec![context.password(false)?];
    for path in keep {
        passwords.push(read_password(path)?);
    }
    let rotation = repository.plan_rotation(&passwords).await.context("cannot rotate the data keys")?;
    // The first is one's own: it opened the repository, unless that was one of the cluster's Secrets.
    if let Some(useless) = rotation.useless.first() {
        let whose = useless.checked_sub(1).and_then(|at| keep.get(at)).map_or_else(|| "your own".to_owned(), |path| format!("of {}", path.display()));
        return Err(hinted(
            format!("the password {whose} opens no key of the repository"),
            "`kubectl kubestash key list` shows the keys; nothing was changed",
        ));
    }
    let named = |key: &KeyInfo| format!("{}{}", key.id, if key.label.is_empty() { String::new() } else { format!(" ({})", key.label) });
    for (id, error) in &rotation.damaged {
        context.note(&format!("warning: {error}\nIts password opens nothing new. Remove it with `kubectl kubestash key remove {id}`."));
    }
    let rows = |keys: &[KeyInfo], what: &str| keys.iter().map(|key| vec![named(key), what.to_owned()]).collect::<Vec<_>>();
    let table = table(&["KEY", "PASSWORD"], &[rows(&rotation.carried, "stays"), rows(&rotation.removed, "opens nothing any more")].concat());
    print_bytes(table.as_bytes())?;
    if dry_run {
        return Ok(exit::OK);
    }
    let removed = count(rotation.removed.len() as u64, "password");
    if !rotation.removed.is_empty()
        && !yes
        && !confirm(&format!("Make new data keys, and remove {removed}?"), "say --yes, or look first with --dry-run")?
    {
        context.note("Nothing was changed.");
        return Ok(exit::ERROR);
    }
    repository.rotate(&rotation, KeyCost::default(), Timestamp::now()).await.context("cannot rotate the data keys")?;
    context.note("What is written from now on is sealed with new keys. `kubectl kubestash prune --re-encrypt` writes anew what is there.");
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
