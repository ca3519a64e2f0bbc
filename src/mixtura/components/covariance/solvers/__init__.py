"""M-steps of covariances that have no closed form."""
