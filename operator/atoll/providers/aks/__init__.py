"""Clusters that Azure manages (AKS), through azure-mgmt-containerservice and azure-identity."""
