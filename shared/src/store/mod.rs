//! Object stores: local folder, S3, memory.
