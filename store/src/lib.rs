//! Blobs and documents in a directory or in S3.
