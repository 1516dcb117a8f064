"""A tenant's own facts are its clock: the fold keeps them, on the node `Tenant`."""
