"""What a file is by its first bytes, and what is packed in ZIP and TAR files, with limits against bombs."""
