"""Bayesian mixtures with the labels marginalised: a posterior of all parameters, approximated or drawn from."""
