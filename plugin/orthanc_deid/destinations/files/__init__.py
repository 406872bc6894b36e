"""Kinds that hold files: `folder` and `object_store`, the latter through `stores`.

`contents` says which files a study is to be there and their names, `fetching` makes one a local file, `sending` sends,
confirms and writes the `manifest` last; `stores.store` is what sending asks of any place.
"""
