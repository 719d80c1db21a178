//! `kubectl kubestash restore --in-cluster`: a RestoreSession, made and followed.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::ValueEnum as _;
use kube::api::PostParams;
use kubestash::{
    api::{AddonInfo, DataSource, Params, RestoreSession, RestoreSessionSpec, TaskReference, join_name},
    deploy::addon::ADDON,
};
use serde_json::json;

use super::RestoreArgs;
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
    if args.words.len() > 1 {
        return Err(hinted(
            "a RestoreSession cannot name single objects",
            "choose with -n, --include-resources, --name and -l, or restore from here, without --in-cluster",
        ));
    }
    let namespace = context.args.namespace.as_deref().filter(|_| !context.args.all_namespaces);
    let parameters = parameters(args, namespace)?;
    let cluster = context.cluster().await?;
    let namespace = repository.namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
    let snapshot = args.words.first().map_or("latest", String::as_str);
    let name = join_name("", &repository.name, &format!("restore-{}", jiff::Timestamp::now().as_second()));
    let spec = RestoreSessionSpec {
        data_source: Some(DataSource { repository: Some(repository.name.clone()), snapshot: Some(snapshot.to_owned()), ..DataSource::default() }),
        addon: Some(AddonInfo {
            name: ADDON.to_owned(),
            tasks: vec![TaskReference { name: "manifest-restore".to_owned(), params: Some(parameters), ..TaskReference::default() }],
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

/// The parameters of the task that say what the flags say. Where KubeStash has one that does, it is that one.
fn parameters(args: &RestoreArgs, namespace: Option<&str>) -> anyhow::Result<Params> {
    // What cannot be understood is told here, not by a Job.
    args.edits.read()?;
    if args.existing.iter().any(|word| word.ends_with("recreate")) {
        return Err(hinted(
            "a restore in the cluster deletes nothing, so that it cannot create objects anew",
            "use update, or restore from here, without --in-cluster",
        ));
    }
    let patches = args.edits.patches.as_ref().map(std::fs::read_to_string).transpose().context("cannot read the patches")?;
    let overrides = args.existing == ["update"] && args.force_conflicts;
    let existing = if overrides || args.existing == ["skip"] { &[][..] } else { &args.existing[..] };
    let drop: Vec<String> = args.edits.drop.iter().filter_map(|tools| Some(tools.to_possible_value()?.get_name().to_owned())).collect();
    let colons = |words: &[String], from: &str, to: &str| words.iter().map(|word| word.replace(from, to)).collect::<Vec<_>>();
    let lists = [
        ("IncludeResources", args.include_resources.clone()),
        ("NamespaceMappings", colons(&args.edits.namespaces, "=", ":")),
        ("StorageClassMappings", colons(&args.edits.storage_classes, ":", "=")),
        ("Existing", existing.to_vec()),
        ("Names", args.names.clone()),
        ("Labels", args.edits.labels.clone()),
        ("Annotations", args.edits.annotations.clone()),
        ("Drop", drop),
        ("APIVersions", args.versions.clone()),
        ("RestoreStatus", args.restore_status.clone()),
    ];
    let mut all = BTreeMap::from([("IncludeClusterResources", namespace.is_none().to_string())]);
    for (name, words) in lists {
        let listed = ["NamespaceMappings", "StorageClassMappings"].contains(&name);
        if let Some(word) = words.iter().find(|word| word.contains(',') && !listed) {
            return Err(hinted(
                format!("{word:?} has a comma, which separates values in a RestoreSession"),
                "restore from here, without --in-cluster",
            ));
        }
        if !words.is_empty() {
            all.insert(name, words.join(","));
        }
    }
    all.extend(namespace.map(|namespace| ("IncludeNamespaces", namespace.to_owned())));
    all.extend(args.selector.clone().map(|selector| ("labelSelector", selector)));
    all.extend(patches.map(|text| ("Patches", text)));
    all.extend(overrides.then(|| ("OverrideResources", "true".to_owned())));
    all.extend((args.force_conflicts && !overrides).then(|| ("ForceConflicts", "true".to_owned())));
    let address = args.service_addresses.and_then(|addresses| Some(addresses.to_possible_value()?.get_name().to_owned()));
    all.extend(address.map(|address| ("ServiceAddresses", address)));
    Ok(all.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RestoreArgs,
    }

    fn read(flags: &[&str], namespace: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let line = Line::try_parse_from(["restore", "latest", "--in-cluster"].into_iter().chain(flags.iter().copied()))
            .map_err(|error| error.to_string())?;
        let found = parameters(&line.args, namespace).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect())
    }

    #[test]
    fn flags_become_parameters() {
        let folder = tempfile::tempdir().unwrap();
        let patches = folder.path().join("patches.yaml");
        let text = "- target: {kind: Deployment}\n  patch: [{op: replace, path: /spec/replicas, value: 1}]\n";
        std::fs::write(&patches, text).unwrap();
        let patches = patches.to_str().unwrap();
        type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
        let rows: [Row<'_>; 10] = [
            (&[], &[]),
            (&["--existing=skip"], &[]),
            (&["--existing=update"], &[("Existing", "update")]),
            (&["--existing=update", "--force-conflicts"], &[("OverrideResources", "true")]),
            (&["--existing=update,secrets=skip", "--force-conflicts"], &[("Existing", "update,secrets=skip"), ("ForceConflicts", "true")]),
            (
                &["--include-resources=deploy,cm", "-l", "app=web", "--name=web-*"],
                &[("IncludeResources", "deploy,cm"), ("Names", "web-*"), ("labelSelector", "app=web")],
            ),
            (
                &["--namespace-mapping=a=b", "--storage-class-mapping=slow:fast"],
                &[("NamespaceMappings", "a:b"), ("StorageClassMappings", "slow=fast")],
            ),
            (
                &["--label=a=b", "--label=c-", "--annotation=d=e", "--drop=gitops,helm"],
                &[("Annotations", "d=e"), ("Drop", "gitops,helm"), ("Labels", "a=b,c-")],
            ),
            (
                &["--api-version=widgets.example.com=v2", "--service-addresses=new", "--restore-status=gauges"],
                &[("APIVersions", "widgets.example.com=v2"), ("RestoreStatus", "gauges"), ("ServiceAddresses", "new")],
            ),
            (&["--patches", patches], &[("Patches", text)]),
        ];
        for (flags, expected) in rows {
            let mut expected: Vec<(String, String)> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            expected.push(("IncludeClusterResources".to_owned(), "true".to_owned()));
            expected.sort();
            assert_eq!(read(flags, None).unwrap(), expected, "{flags:?}");
        }
        let one = read(&[], Some("shop")).unwrap();
        assert_eq!(
            one,
            [("IncludeClusterResources", "false"), ("IncludeNamespaces", "shop")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn what_a_session_cannot_say_is_refused() {
        for (flags, expected) in [
            (&["--existing=jobs=recreate"][..], "deletes nothing"),
            (&["--annotation=a=b,c"], "has a comma"),
            (&["--name={a,b}"], "has a comma"),
            (&["--exact"], "cannot be used with"),
            (&["--field=data.a"], "cannot be used with"),
            (&["--wait-timeout=5"], "cannot be used with"),
        ] {
            let said = read(flags, None).unwrap_err();
            assert!(said.contains(expected), "{flags:?}: {said}");
        }
    }
}
