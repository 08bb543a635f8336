"""The embedded default: a management plane and an operator as processes under one home folder."""
