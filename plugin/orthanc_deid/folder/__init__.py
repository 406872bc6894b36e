"""The folder door: de-identify a folder of files into another one, without any server."""
