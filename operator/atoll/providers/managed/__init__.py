"""What the providers of managed clusters share: the loop that works, the budget of an account, marks, kubeconfigs."""
