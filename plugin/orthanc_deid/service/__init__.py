"""The service: REST interface and reconcile loop, one process behind the plugin's proxy route."""
