"""The operator: kopf lives here alone. Events fill a cache, a worker per fleet decides, a worker per child acts."""
