//! Reading a cluster: what to read, one consistent cut, a bounded pipeline into a snapshot.
