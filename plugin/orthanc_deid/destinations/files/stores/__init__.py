"""Object stores: `s3`, `gcs`, `azure`, `sftp`; `fsspec_store` is common to all, `errors` says what failures mean."""
