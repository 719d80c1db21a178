//! `kubectl kubestash cat`: print objects of a snapshot.

use anyhow::Context as _;
use clap::Args;
use kubestash::repository::Part;

use crate::cli::{CliContext, errors::hinted, exit, objects::find_rows, output::print_bytes};

/// Print objects of a snapshot as YAML
#[derive(Debug, Args)]
pub struct CatArgs {
    /// A name, a unique beginning, `latest` or a time
    pub snapshot: String,
    /// deploy/web, deploy web, or a path of the mounted snapshot
    #[arg(required = true)]
    pub objects: Vec<String>,
    /// The status as well
    #[arg(long)]
    pub status: bool,
    /// Everything, as `kubectl get -o yaml --show-managed-fields`
    #[arg(long, conflicts_with = "status")]
    pub full: bool,
    /// Hide the values of Secrets
    #[arg(long, conflicts_with_all = ["full", "status"])]
    pub hide_secrets: bool,
}

pub async fn run(args: &CatArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    let root = open.snapshot(context, &args.snapshot).await?;
    let snapshot = open.repository.open_snapshot(&root).await?;
    let all = context.args.all_namespaces;
    let namespace = match (&context.args.namespace, all) {
        (_, true) => None,
        (Some(namespace), false) => Some(namespace.clone()),
        // The namespace of the context, as kubectl takes it; `default` without a kubeconfig.
        (None, false) => Some(context.cluster().await.map_or_else(|_| "default".to_owned(), |cluster| cluster.default_namespace().to_owned())),
    };
    let rows = find_rows(snapshot.catalog(), &args.objects, namespace.as_deref())?;
    if rows.is_empty() {
        return Err(hinted("no object is named", "name it as KIND/NAME"));
    }
    let several = rows.len() > 1;
    for row in rows {
        let bytes = match (args.full, args.status, args.hide_secrets && row.sensitive) {
            (true, _, _) => snapshot.whole(row.number).await,
            (_, true, _) => snapshot.with_status(row.number).await,
            (_, _, true) => snapshot.read(row.number, Part::Redacted).await,
            _ => snapshot.manifest(row.number).await,
        }
        .with_context(|| format!("cannot read {}", row.id()))?;
        if several {
            print_bytes(b"---\n")?;
        }
        print_bytes(&bytes)?;
    }
    Ok(exit::OK)
}
