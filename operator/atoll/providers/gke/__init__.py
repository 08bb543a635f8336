"""Clusters of Google Kubernetes Engine: the `gke` block. See docs/reference/clouds/gke.md."""
