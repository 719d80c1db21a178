//! `kubectl kubestash ls`: the objects of a snapshot.

use clap::Args;

use crate::cli::{
    CliContext,
    args::{Format, OutputArgs},
    exit,
    objects::find_rows,
    output::{count, print_bytes, size, structured, table},
};

/// List the objects of a snapshot
///
/// Without a kind: the kinds with their numbers of objects. Reads the catalog only.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// A name, a unique beginning, `latest` or a time
    #[arg(default_value = "latest")]
    pub snapshot: String,
    /// Kind, KIND/NAME or `all` for every object; -n and -A as with kubectl
    pub objects: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

pub async fn run(args: &LsArgs, context: &CliContext) -> anyhow::Result<u8> {
    let open = context.repository(false).await?;
    let root = open.snapshot(context, &args.snapshot).await?;
    let snapshot = open.repository.open_snapshot(&root).await?;
    let catalog = snapshot.catalog();
    // A snapshot is looked at as a whole unless a namespace is named.
    let namespace = context.args.namespace.as_deref().filter(|_| !context.args.all_namespaces);
    let all = args.objects.first().is_some_and(|word| word == "all")
        || (args.objects.is_empty() && (namespace.is_some() || args.output.output == Format::Name));
    if args.objects.is_empty() && !all {
        let kinds: Vec<(String, u32)> =
            catalog.kinds().iter().map(|kind| (kind.info.group_resource().to_string(), kind.rows.end - kind.rows.start)).collect();
        match args.output.output {
            Format::Json | Format::Yaml => structured(&kinds, args.output.output == Format::Yaml)?,
            _ => {
                let rows: Vec<Vec<String>> = kinds.into_iter().map(|(kind, objects)| vec![kind, objects.to_string()]).collect();
                print_bytes(table(&["KIND", "OBJECTS"], &rows).as_bytes())?;
                context.note(&format!("{} in {}; add a kind, or `all`, to see them.", count(catalog.len().into(), "object"), root.name));
            }
        }
        return Ok(exit::OK);
    }
    let rows = if all {
        catalog.rows().filter(|row| namespace.is_none() || row.namespace == namespace).collect()
    } else {
        find_rows(catalog, &args.objects, namespace)?
    };
    match args.output.output {
        Format::Name => print_bytes(rows.iter().map(|row| format!("{}\n", row.id().mount_path())).collect::<String>().as_bytes())?,
        Format::Json | Format::Yaml => {
            let objects: Vec<serde_json::Value> = rows
                .iter()
                .map(|row| {
                    serde_json::json!({"resource": row.kind.group_resource().to_string(), "kind": row.kind.kind, "apiVersion": row.kind.api_version(),
                    "namespace": row.namespace, "name": row.name, "path": row.id().mount_path(), "bytes": row.lengths.manifest})
                })
                .collect();
            structured(&objects, args.output.output == Format::Yaml)?;
        }
        Format::Table | Format::Wide => {
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    vec![
                        row.namespace.unwrap_or("-").to_owned(),
                        row.kind.group_resource().to_string(),
                        row.name.to_owned(),
                        size(row.lengths.manifest.into()),
                    ]
                })
                .collect();
            print_bytes(table(&["NAMESPACE", "KIND", "NAME", "SIZE"], &cells).as_bytes())?;
        }
    }
    Ok(exit::OK)
}
