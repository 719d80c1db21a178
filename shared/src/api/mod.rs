//! The files of KubeStash's backend tree: BackendMeta, Repository and Snapshot as YAML.
