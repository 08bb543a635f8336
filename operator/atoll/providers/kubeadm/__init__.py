"""Provider `kubeadm`: clusters that kubeadm makes on hosts of a pool, over SSH."""
