//! `kubectl kubestash install` and `uninstall`: the operator in a cluster.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use k8s_openapi::{api::apps::v1::Deployment, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams},
    core::{GroupVersionKind, TypeMeta},
    discovery::{ApiResource, Scope},
};
use kubestash::{
    cluster::Cluster,
    deploy::{self, Settings},
};
use serde_json::Value;

use crate::{
    cli::{CliContext, errors::hinted, exit, output::print_bytes},
    resources::{FIELD_MANAGER, cluster_wide, namespaced},
};

/// Install the operator and its custom resources, or bring them to this version
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Image of the operator and its Jobs
    #[arg(long)]
    pub image: Option<String>,
    /// When the image is fetched: Always, IfNotPresent or Never
    #[arg(long, default_value = "IfNotPresent")]
    pub image_pull_policy: String,
    /// Only print the manifests
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait for the operator to run
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait, in seconds
    #[arg(long, default_value_t = 180, value_name = "SECONDS")]
    pub timeout: u64,
}

/// Remove the operator; custom resources, snapshots and repositories stay
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Remove the custom resources too, with all their objects; the data in the storages stays
    #[arg(long)]
    pub crds: bool,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
}

fn settings(image: Option<&String>, policy: &str, context: &CliContext) -> Settings {
    let own = Settings::default();
    Settings {
        namespace: context.args.namespace.clone().unwrap_or(own.namespace),
        image: image.cloned().unwrap_or(own.image),
        pull_policy: policy.to_owned(),
    }
}

pub async fn run(args: &InstallArgs, context: &CliContext) -> anyhow::Result<u8> {
    let settings = settings(args.image.as_ref(), &args.image_pull_policy, context);
    let definitions = deploy::crds();
    let objects = deploy::objects(&settings);
    if args.dry_run {
        for object in definitions.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?.iter().chain(&objects) {
            let mut text = b"---\n".to_vec();
            kubestash::object::yaml::write_value(object, &mut text)?;
            print_bytes(&text)?;
        }
        return Ok(exit::OK);
    }
    let cluster = context.cluster().await?;
    let client = cluster.client();
    let api = cluster_wide::<CustomResourceDefinition>(&client);
    for definition in &definitions {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&definition.name_any(), &parameters, &Patch::Apply(definition)).await;
        applied.with_context(|| format!("cannot apply CustomResourceDefinition {}", definition.name_any()))?;
    }
    established(&api, &definitions, Duration::from_secs(args.timeout)).await?;
    context.note(&format!("{} custom resources are in place.", definitions.len()));
    for object in &objects {
        apply(&client, object).await?;
    }
    context.note(&format!("The operator is installed in namespace {} with image {}.", settings.namespace, settings.image));
    if !args.no_wait {
        available(&client, &settings.namespace, Duration::from_secs(args.timeout)).await?;
        context.note("It runs. Next: create a Secret and a BackupStorage; docs/guides/operator.md shows each step.");
    }
    Ok(exit::OK)
}

async fn established(api: &Api<CustomResourceDefinition>, all: &[CustomResourceDefinition], patience: Duration) -> anyhow::Result<()> {
    let start = Instant::now();
    for definition in all {
        loop {
            let found = api.get(&definition.name_any()).await?;
            let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
            if conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
                break;
            }
            anyhow::ensure!(
                start.elapsed() < patience,
                "CustomResourceDefinition {} is not served after {} s",
                definition.name_any(),
                patience.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// The kinds of what is installed, whose scope and plural are known without asking.
fn resource_of(object: &Value) -> anyhow::Result<(ApiResource, Scope)> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let types = TypeMeta { api_version: text("apiVersion").to_owned(), kind: text("kind").to_owned() };
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
    let namespaced = object.pointer("/metadata/namespace").is_some();
    Ok((resource, if namespaced { Scope::Namespaced } else { Scope::Cluster }))
}

fn api_of(client: &Client, object: &Value) -> anyhow::Result<(Api<DynamicObject>, DynamicObject)> {
    let (resource, scope) = resource_of(object)?;
    let parsed: DynamicObject = serde_json::from_value(object.clone())?;
    let api = match scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), &parsed.namespace().unwrap_or_default(), &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    };
    Ok((api, parsed))
}

async fn apply(client: &Client, object: &Value) -> anyhow::Result<()> {
    let (api, parsed) = api_of(client, object)?;
    let applied = api.patch(&parsed.name_any(), &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&parsed)).await;
    applied.with_context(|| format!("cannot apply {}", named(object)))?;
    Ok(())
}

fn named(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

async fn available(client: &Client, namespace: &str, patience: Duration) -> anyhow::Result<()> {
    let api = namespaced::<Deployment>(client, namespace);
    let start = Instant::now();
    loop {
        let found = api.get(deploy::NAME).await?;
        let generation = found.metadata.generation;
        let status = found.status.unwrap_or_default();
        let current = status.observed_generation == generation && status.updated_replicas == status.replicas;
        if current && status.available_replicas.unwrap_or(0) > 0 {
            return Ok(());
        }
        if start.elapsed() >= patience {
            return Err(hinted(
                format!("the operator does not run after {} s", patience.as_secs()),
                format!("`kubectl -n {namespace} describe pods` and `kubectl -n {namespace} logs deploy/{}` say why", deploy::NAME),
            ));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Takes our finalizer from all objects of a kind: nobody is there any more who would clean up behind them, and the data is to stay.
async fn release(client: &Client, definition: &CustomResourceDefinition) -> anyhow::Result<()> {
    let spec = &definition.spec;
    let version = spec.versions.first().map(|version| version.name.clone()).unwrap_or_default();
    let resource = ApiResource {
        group: spec.group.clone(),
        api_version: format!("{}/{version}", spec.group),
        version,
        kind: spec.names.kind.clone(),
        plural: spec.names.plural.clone(),
    };
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let found = match all.list(&ListParams::default()).await {
        Ok(found) => found,
        Err(error) if crate::resources::is_missing(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for object in found {
        let left: Vec<&String> = object.finalizers().iter().filter(|name| *name != kubestash::api::labels::CLEANUP_FINALIZER).collect();
        if left.len() == object.finalizers().len() {
            continue;
        }
        let api = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
            None => all.clone(),
        };
        let patch = Patch::Merge(serde_json::json!({"metadata": {"finalizers": left}}));
        match api.patch(&object.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => {}
            Err(error) if crate::resources::is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub async fn uninstall(args: &UninstallArgs, context: &CliContext) -> anyhow::Result<u8> {
    if !args.yes && args.crds {
        return Err(hinted(
            "removing the custom resources removes all BackupConfigurations, Repositories and Snapshots of the cluster",
            "say --yes; the data in the storages stays, and a new BackupStorage finds it again",
        ));
    }
    let settings = settings(None, "IfNotPresent", context);
    let cluster: Cluster = context.cluster().await?;
    let client = cluster.client();
    for object in deploy::objects(&settings).iter().rev() {
        let (api, parsed) = api_of(&client, object)?;
        match api.delete(&parsed.name_any(), &DeleteParams::background()).await {
            Ok(_) => {}
            // The definitions may be gone, and with them their paths.
            Err(error) if crate::resources::is_missing(&error) => {}
            Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot remove {}", named(object)))),
        }
    }
    context.note(&format!("The operator is removed from namespace {}. Backups in storages are untouched.", settings.namespace));
    if args.crds {
        for definition in deploy::crds() {
            release(&client, &definition).await?;
            crate::resources::delete(&cluster_wide::<CustomResourceDefinition>(&client), &definition.name_any()).await?;
        }
        context.note("The custom resources are removed.");
    } else {
        context.note("The custom resources and their objects stay; --crds removes them too.");
    }
    Ok(exit::OK)
}
