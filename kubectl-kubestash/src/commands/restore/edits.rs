//! What is changed between snapshot and cluster, as flags say it.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use kubestash::{
    restore::edits::{Edits, Mappings, PatchRule, Preset, marks},
    session::parameters::mapping,
};

use crate::cli::errors::hinted;

/// Traces that copies should not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Traces {
    /// Labels and annotations by which Argo CD, Flux, Fleet and Config Sync know what is theirs.
    Gitops,
    /// Annotations and label of Helm, and the Secrets with its releases.
    Helm,
}

#[derive(Debug, Args)]
pub struct EditArgs {
    /// Restore objects of one namespace into another; what is known to refer to it follows, what else names it is told
    #[arg(long = "namespace-mapping", visible_alias = "namespace-mappings", value_name = "FROM:TO", help_heading = "Changes on the way")]
    pub namespaces: Vec<String>,
    /// Give claims and volumes another storage class
    #[arg(long = "storage-class-mapping", visible_alias = "storage-class-mappings", value_name = "OLD=NEW", help_heading = "Changes on the way")]
    pub storage_classes: Vec<String>,
    /// Set or remove a label of every object that is restored
    #[arg(long = "label", value_name = "KEY=VALUE|KEY-", help_heading = "Changes on the way")]
    pub labels: Vec<String>,
    /// Set or remove an annotation
    #[arg(long = "annotation", value_name = "KEY=VALUE|KEY-", help_heading = "Changes on the way")]
    pub annotations: Vec<String>,
    /// Leave out the traces by which a tool would take a copy for its own
    #[arg(long, value_enum, value_name = "TOOLS", value_delimiter = ',', help_heading = "Changes on the way")]
    pub drop: Vec<Traces>,
    /// JSON patches for objects by kind, name, namespace and labels, in the shape of kustomize's patches
    #[arg(long, value_name = "FILE", help_heading = "Changes on the way")]
    pub patches: Option<PathBuf>,
}

impl EditArgs {
    /// Reads the flags, and the file of patches.
    pub fn read(&self) -> anyhow::Result<Edits> {
        let wrong = |text: String| hinted(text, "`kubectl kubestash restore --help` shows the form");
        let patches = match &self.patches {
            None => Vec::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                PatchRule::read(&text).with_context(|| format!("cannot use the patches in {}", path.display()))?
            }
        };
        Ok(Edits {
            namespaces: Mappings::parse(&self.namespaces)?,
            // Names of classes hold no colon, so both spellings are clear.
            storage_classes: mapping("--storage-class-mapping", &self.storage_classes.join(",").replace(':', "="))?,
            labels: marks(&self.labels).map_err(wrong)?,
            annotations: marks(&self.annotations).map_err(wrong)?,
            drop: self.drop.iter().map(|traces| preset(*traces)).collect::<BTreeSet<_>>(),
            patches,
        })
    }
}

const fn preset(traces: Traces) -> Preset {
    match traces {
        Traces::Gitops => Preset::Gitops,
        Traces::Helm => Preset::Helm,
    }
}
