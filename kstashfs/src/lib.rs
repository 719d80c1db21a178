//! Mounts a snapshot as a directory: kernel adapter, tree, source.
