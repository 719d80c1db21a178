//! `kubectl kubestash restore --in-cluster`: a RestoreSession, made and followed.

use anyhow::Context as _;
use kube::api::PostParams;
use kubestash::{
    api::{AddonInfo, DataSource, RestoreSession, RestoreSessionSpec, TaskReference, join_name},
    deploy::addon::ADDON,
};
use serde_json::{Value, json};

use super::restore::{ExistingPolicy, RestoreArgs};
use crate::{
    cli::{CliContext, errors::hinted, exit, output::print_bytes, repo::cluster_repository, session::follow_restore},
    resources::namespaced,
};

/// Makes a RestoreSession of what the flags say, and follows it.
pub async fn run(args: &RestoreArgs, context: &CliContext) -> anyhow::Result<u8> {
    let place = context.args.repo.as_deref().unwrap_or_default();
    let repository = cluster_repository(place).ok_or_else(|| {
        hinted(
            "--in-cluster restores from a Repository of the cluster",
            "name it with --repo NAMESPACE/NAME; `kubectl get repositories -A` lists them",
        )
    })?;
    if args.words.len() > 1 || args.filename.is_some() || !args.names.is_empty() {
        return Err(hinted(
            "a RestoreSession cannot name single objects",
            "choose with -n, --include-resources and -l, or restore from here, without --in-cluster",
        ));
    }
    if args.existing == ExistingPolicy::Fail {
        return Err(hinted("a RestoreSession cannot refuse existing objects", "use --existing=skip or --existing=update"));
    }
    let cluster = context.cluster().await?;
    let namespace = repository.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    let snapshot = args.words.first().map_or("latest", String::as_str);
    let name = join_name("", &repository.name, &format!("restore-{}", jiff::Timestamp::now().as_second()));
    let spec = RestoreSessionSpec {
        data_source: Some(DataSource { repository: Some(repository.name.clone()), snapshot: Some(snapshot.to_owned()), ..DataSource::default() }),
        addon: Some(AddonInfo {
            name: ADDON.to_owned(),
            tasks: vec![TaskReference { name: "manifest-restore".to_owned(), params: Some(parameters(args, context)), ..TaskReference::default() }],
            ..AddonInfo::default()
        }),
        ..RestoreSessionSpec::default()
    };
    let mut made = RestoreSession::new(&name, spec);
    made.metadata.namespace = Some(namespace.clone());
    let api = namespaced::<RestoreSession>(&cluster.client(), &namespace);
    api.create(&PostParams::default(), &made).await.with_context(|| format!("cannot make RestoreSession {namespace}/{name}"))?;
    print_bytes(format!("{name}\n").as_bytes())?;
    if args.no_wait {
        return Ok(exit::OK);
    }
    let ended = follow_restore(&api, &name, |line| context.note(line)).await?;
    context.note(&ended.text);
    Ok(ended.code)
}

fn parameters(args: &RestoreArgs, context: &CliContext) -> kubestash::api::Params {
    let namespace = context.args.namespace.as_ref().filter(|_| !context.args.all_namespaces);
    let mut all: Vec<(&str, Value)> = vec![("IncludeClusterResources", json!(namespace.is_none().to_string()))];
    all.extend(namespace.map(|namespace| ("IncludeNamespaces", json!(namespace))));
    if !args.include_resources.is_empty() {
        all.push(("IncludeResources", json!(args.include_resources.join(","))));
    }
    all.extend(args.selector.as_ref().map(|selector| ("labelSelector", json!(selector))));
    if args.existing == ExistingPolicy::Update {
        all.push(("OverrideResources", json!("true")));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
