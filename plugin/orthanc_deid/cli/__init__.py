"""The command line: `orthanc-deid`."""
