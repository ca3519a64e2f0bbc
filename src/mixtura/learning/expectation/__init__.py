"""The E-step: what rows say of a mixture, however they were observed."""
