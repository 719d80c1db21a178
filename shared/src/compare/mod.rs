//! Comparing snapshots: catalogs first, bytes only where hashes differ.
